//! Clients that send without a pause and keep count. They send no request twice: what HTTP lets a client know before it sends
//! (`Connection: close`, GOAWAY, a connection that was closed while idle) they heed, everything else is a failure.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use crate::harness::DEADLINE;
use crate::harness::client::{Target, Wire};
use crate::harness::h2;

#[derive(Default)]
struct Count {
    stopped: AtomicBool,
    done: Mutex<usize>,
    more: Condvar,
    failures: Mutex<Vec<String>>,
    closes: AtomicUsize,
}

impl Count {
    fn note(&self, outcome: Result<(), String>) {
        if let Err(failure) = outcome {
            self.failures.lock().unwrap().push(failure);
        }
        *self.done.lock().unwrap() += 1;
        self.more.notify_all();
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::SeqCst) && self.failures.lock().unwrap().is_empty()
    }
}

/// Clients at work.
pub(super) struct Load {
    count: Arc<Count>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many clients that keep their connection, that take a new one for each request, and that speak HTTP/2.
    pub(super) fn start(target: &Target, keeping: usize, fresh: usize, http2: usize) -> Self {
        let count = Arc::new(Count::default());
        let spawn = |client: fn(&Target, &Count)| {
            let (target, count) = (target.clone(), Arc::clone(&count));
            thread::spawn(move || client(&target, &count))
        };
        let mut threads = Vec::new();
        threads.extend((0..keeping).map(|_| spawn(keep)));
        threads.extend((0..fresh).map(|_| spawn(connect_anew)));
        threads.extend((0..http2).map(|_| spawn(speak_http2)));
        Self { count, threads }
    }

    /// Waits until so many more requests were answered.
    pub(super) fn wait_for(&self, more: usize) {
        let done = self.count.done.lock().unwrap();
        let wanted = *done + more;
        let (done, _) = self
            .count
            .more
            .wait_timeout_while(done, DEADLINE, |done| {
                *done < wanted && self.count.failures.lock().unwrap().is_empty()
            })
            .unwrap();
        let failures = self.count.failures.lock().unwrap();
        assert!(failures.is_empty(), "{failures:?}");
        assert!(*done >= wanted, "{} of {wanted} requests", *done);
    }

    /// How often a kept connection was closed by an answer that said so.
    pub(super) fn closes(&self) -> usize {
        self.count.closes.load(Ordering::SeqCst)
    }

    /// Ends it; every request must have been answered 200.
    pub(super) fn stop(self) {
        self.count.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let failures = self.count.failures.lock().unwrap();
        assert!(failures.is_empty(), "{failures:?}");
    }
}

/// One request; whether the connection may be used again.
fn ask(target: &Target, wire: &mut Wire) -> Result<bool, String> {
    let sent = wire.send(&target.get("/open").bytes());
    let reply = wire
        .reply()
        .map_err(|error| format!("{error}, sent: {sent:?}"))?;
    if reply.status != 200 {
        return Err(format!("{} {:?}", reply.status, reply.headers));
    }
    Ok(reply.header("connection") != Some("close"))
}

fn open(target: &Target) -> Result<Wire, String> {
    target.try_connect().map_err(|error| error.to_string())
}

fn keep(target: &Target, count: &Count) {
    let mut kept: Option<Wire> = None;
    while count.goes_on() {
        let outcome = match kept.take() {
            Some(wire) => Ok(wire),
            None => open(target),
        };
        let outcome = outcome.and_then(|mut wire| Ok((ask(target, &mut wire)?, wire)));
        match outcome {
            Ok((true, wire)) => {
                kept = Some(wire);
                count.note(Ok(()));
            }
            Ok((false, mut wire)) => {
                count.closes.fetch_add(1, Ordering::SeqCst);
                // It says so, and it does so.
                let ended = wire.read(&mut [0; 1]);
                let closed = matches!(ended, Ok(0) | Err(_));
                count.note(closed.then_some(()).ok_or("bytes after a close".to_owned()));
            }
            Err(failure) => count.note(Err(format!("kept: {failure}"))),
        }
    }
}

fn connect_anew(target: &Target, count: &Count) {
    while count.goes_on() {
        let outcome = open(target).and_then(|mut wire| ask(target, &mut wire).map(|_| ()));
        count.note(outcome.map_err(|failure| format!("new: {failure}")));
    }
}

fn speak_http2(target: &Target, count: &Count) {
    h2::block_on(async {
        while count.goes_on() {
            let mut sender = h2::connect(target).await;
            // Not ready any more: the server said that it goes away.
            while count.goes_on() && sender.ready().await.is_ok() {
                let sent = sender.try_send_request(h2::get(target, "/open", "")).await;
                let outcome = match sent {
                    Ok(response) => match h2::whole(response).await {
                        (head, _) if head.status == 200 => Ok(()),
                        (head, _) => Err(format!("h2: {}", head.status)),
                    },
                    Err(mut error) => {
                        if error.take_message().is_some() {
                            // Given back unsent: the connection closed between two lines.
                            break;
                        }
                        Err(format!("h2: {:?}", error.into_error()))
                    }
                };
                count.note(outcome);
            }
        }
    });
}
