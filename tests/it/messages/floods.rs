//! HTTP/2 clients that mean harm: each is cut off, the others are served, and memory stays where it was.

use std::io::{self, Read as _, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{gate, peak, resident};
use crate::differential::frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, block, frame,
};
use crate::harness::client::Wire;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Answer, Server};

const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;

/// More than any attack here may cost.
const BOUND: u64 = 48 << 20;

/// Frames after which an attacker that was not cut off has won.
const PATIENCE: u32 = 200_000;

struct Attack {
    fake: FakeElasticsearch,
    app: Server,
    gate: Running,
    before: u64,
}

impl Attack {
    fn begin() -> Self {
        let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
        let gate = gate(&fake, &app, false);
        gate.proxy.get("/public/x").send().expect(200);
        let before = resident(&gate);
        Self {
            fake,
            app,
            gate,
            before,
        }
    }

    fn open(&self) -> Wire {
        let mut wire = self.gate.proxy.connect();
        wire.send(PREFACE).unwrap();
        wire.send(&frame(SETTINGS, 0, 0, &[])).unwrap();
        wire
    }

    /// Sends a beginning, then batches until the other side has had enough, which it must say.
    fn flood(&self, begin: &[u8], batch: impl FnMut(u32) -> Vec<u8>) {
        let mut stream = TcpStream::connect(self.gate.proxy.address).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let closed = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&closed);
        let reading = thread::spawn(move || {
            let mut seen = Vec::new();
            // A reset ends it as well as an end.
            let _ = reader.read_to_end(&mut seen);
            tell.store(true, Ordering::SeqCst);
            seen
        });
        let _ = stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), begin].concat());
        self.send_until(&mut stream, &closed, batch);
        let seen = reading.join().unwrap();
        assert!(goaway(&seen).is_some(), "{seen:?}");
    }

    /// Sends batches until it can't, or is told to stop.
    fn send_until(
        &self,
        stream: &mut impl Write,
        closed: &AtomicBool,
        mut batch: impl FnMut(u32) -> Vec<u8>,
    ) {
        let mut sent = 0;
        while !closed.load(Ordering::SeqCst) && stream.write_all(&batch(sent)).is_ok() {
            sent += 1;
            assert!(sent < PATIENCE, "nobody minds");
            if sent % 1_000 == 0 {
                self.gate.proxy.get("/public/x").send().expect(200);
            }
        }
    }

    /// Others are served, memory is where it was, and nothing but requests of others arrived.
    fn end(self) {
        self.gate.proxy.get("/public/x").send().expect(200);
        let after = peak(&self.gate);
        assert!(after < self.before + BOUND, "{} {after}", self.before);
        for request in self.app.requests() {
            assert_eq!(request.target, "/public/x");
            assert_eq!(request.method, "GET");
        }
        drop(self.fake);
    }
}

fn fields(path: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
    ]
    .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
    .to_vec()
}

fn headers(stream: u32, flags: u8, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(&fields(path)))
}

/// The code of the `GOAWAY` among these frames.
fn goaway(bytes: &[u8]) -> Option<u32> {
    let mut rest = bytes;
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        let payload = rest.get(9..9 + length)?;
        if rest[3] == GOAWAY {
            return Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?));
        }
        rest = &rest[9 + length..];
    }
    None
}

/// CVE-2023-44487
#[test]
fn rapid_resets_end_the_connection() {
    let attack = Attack::begin();
    attack.flood(&[], |batch| {
        let mut bytes = Vec::new();
        for stream in (batch * 200 + 1..batch * 200 + 200).step_by(2) {
            bytes.extend(headers(stream, END_STREAM, "/secret"));
            bytes.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        }
        bytes
    });
    attack.end();
}

/// CVE-2025-8671: streams that the server itself resets.
#[test]
fn streams_that_are_made_to_be_reset_end_the_connection() {
    let attack = Attack::begin();
    attack.flood(&[], |batch| {
        let mut bytes = Vec::new();
        for stream in (batch * 200 + 1..batch * 200 + 200).step_by(2) {
            let (mut odd, name) = (fields("/public/x"), b"connection".to_vec());
            odd.push((name, b"close".to_vec()));
            bytes.extend(frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream,
                &block(&odd),
            ));
        }
        bytes
    });
    attack.end();
}

/// CVE-2024-27316 and its kin.
#[test]
fn a_head_that_never_ends_ends_the_connection() {
    let attack = Attack::begin();
    let begin = frame(HEADERS, END_STREAM, 1, &block(&fields("/public/open")));
    let more = vec![(b"x-more".to_vec(), vec![b'x'; 8_000])];
    let more = frame(CONTINUATION, 0, 1, &block(&more));
    attack.flood(&begin, |_| more.clone());
    attack.end();
    // The same with nothing in the frames.
    let attack = Attack::begin();
    attack.flood(&begin, |_| frame(CONTINUATION, 0, 1, &[]).repeat(100));
    attack.end();
}

/// CVE-2019-9518, RUSTSEC-2026-0258
#[test]
fn data_without_data_ends_the_connection() {
    let attack = Attack::begin();
    let begin = headers(1, 0, "/public/open");
    attack.flood(&begin, |_| frame(DATA, 0, 1, &[]).repeat(100));
    attack.end();
}

/// CVE-2019-9515, CVE-2019-9512: the answers to these pile up when nobody reads them.
#[test]
fn settings_and_pings_whose_answers_nobody_reads_are_not_answered_for_long() {
    for flood in [
        frame(SETTINGS, 0, 0, &[]).repeat(1_000),
        frame(PING, 0, 0, b"flooding").repeat(1_000),
    ] {
        let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
        let gate = Plan::with_elasticsearch(&fake)
            .listener(
                "limits: { header_timeout: 1s, body_idle_timeout: 1s, keep_alive_timeout: 1s }",
            )
            .upstream("app", &app)
            .route("public", "/public/**", "allow: everyone")
            .start();
        gate.proxy.get("/public/x").send().expect(200);
        let before = resident(&gate);
        let attack = Attack {
            fake,
            app,
            gate,
            before,
        };
        let mut wire = attack.open();
        attack.send_until(&mut wire, &AtomicBool::new(false), |_| flood.clone());
        attack.end();
    }
}

#[test]
fn pings_without_a_request_do_not_keep_a_connection() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .listener("limits: { header_timeout: 300ms, keep_alive_timeout: 300ms }")
        .upstream("app", &app)
        .route("public", "/public/**", "allow: everyone")
        .start();
    let mut wire = gate.proxy.connect();
    wire.send(PREFACE).unwrap();
    wire.send(&frame(SETTINGS, 0, 0, &[])).unwrap();
    let mut answer = [0; 4_096];
    while wire.send(&frame(PING, 0, 0, b"stillhre")).is_ok() {
        match wire.read(&mut answer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("it stays"),
            Err(_) => break,
        }
    }
}

/// CVE-2019-9517, CVE-2019-9511: an answer that is asked for and never taken.
#[test]
fn a_window_that_stays_shut_does_not_hold_an_answer_for_long() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(|request| match request.target.as_str() {
        "/public/large" => Answer::Reply(200, Vec::new(), vec![b'x'; 4 << 20]),
        _ => Answer::text("upstream"),
    });
    let gate = Plan::with_elasticsearch(&fake)
        .listener("limits: { body_idle_timeout: 500ms }")
        .upstream("app", &app)
        .route("public", "/public/**", "allow: everyone")
        .start();
    for window in [0u32, 10] {
        let mut wire = gate.proxy.connect();
        let mut setting = vec![0, 4];
        setting.extend(window.to_be_bytes());
        wire.send(PREFACE).unwrap();
        wire.send(&frame(SETTINGS, 0, 0, &setting)).unwrap();
        wire.send(&frame(SETTINGS, ACK, 0, &[])).unwrap();
        for stream in (1..64).step_by(2) {
            wire.send(&headers(stream, END_STREAM, "/public/large"))
                .unwrap();
        }
        // Ends by the gate's patience, not by the test's.
        wire.read_to_close();
        gate.proxy.get("/public/x").send().expect(200);
        gate.wait_for_metric("sidegate_requests_in_flight", &[], |count| count == 0.0);
    }
    assert!(peak(&gate) < 200 << 20, "{}", peak(&gate));
}

/// HPACK bomb: one large field, remembered, named thousands of times by one byte each (CVE-2016-6581).
#[test]
fn a_small_head_that_unfolds_into_a_large_one_is_refused() {
    let attack = Attack::begin();
    let mut bomb = block(&fields("/public/bomb"));
    // A literal with incremental indexing (RFC 7541 §6.2.1) becomes entry 62.
    bomb.extend([0x40, 1, b'x', 127]);
    let mut length = 4_000 - 127;
    while length >= 128 {
        bomb.push((length % 128) as u8 | 128);
        length /= 128;
    }
    bomb.push(length as u8);
    bomb.extend(vec![b'x'; 4_000]);
    bomb.extend(vec![0x80 | 62; 12_000]);
    let begin = frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
    // What isn't cut off at once goes on to the end of the connection.
    attack.flood(&begin, |batch| {
        let stream = 3 + batch * 2;
        let again = [block(&fields("/public/bomb")), vec![0x80 | 62; 12_000]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &again)
    });
    attack.end();
}

#[test]
fn five_hundred_cookies_and_a_hundred_and_one_fields_are_refused() {
    let attack = Attack::begin();
    for (name, count) in [("cookie", 500), ("x-field", 101)] {
        let mut wire = attack.open();
        let mut many = fields("/public/many");
        for number in 0..count {
            let field = if name == "cookie" {
                name.to_owned()
            } else {
                format!("{name}-{number}")
            };
            many.push((field.into_bytes(), format!("c{number}=v").into_bytes()));
        }
        let block = block(&many);
        wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block))
            .unwrap();
        let mut answer = Vec::new();
        let mut chunk = [0; 4_096];
        // The first byte of a head without Huffman coding is the status, here a literal `431`.
        while !answer.windows(3).any(|window| window == b"431") && !has_huffman_431(&answer) {
            let read = wire.read(&mut chunk).unwrap();
            assert!(read > 0, "{name}: {answer:?}");
            answer.extend(&chunk[..read]);
        }
        assert_eq!(goaway(&answer), None, "{name}: others on it are served");
    }
    attack.end();
}

/// `431` in HPACK's Huffman code: `4` is 011010, `3` is 011001, `1` is 00001, padded with ones.
fn has_huffman_431(bytes: &[u8]) -> bool {
    bytes
        .windows(3)
        .any(|window| window == [0b0110_1001, 0b1001_0000, 0b1111_1111])
}
