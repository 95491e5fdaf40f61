//! One row of the table: what is broken where, and what everybody sees of it.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::client::Reply;
use crate::harness::fault_proxy::Fault;
use crate::harness::pki::Authority;
use crate::harness::plan::Running;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Refuses,
    Resets,
    Closes,
    HalfCloses,
    Silent,
    EndlessHead,
    Late,
    Bytewise,
    ResetInHead,
    ResetInBody,
    Garbage,
    LengthCut,
    ChunksCut,
    LongBody,
    LongHead,
    Status503,
    Foreign200,
    Foreign401,
    NameGone,
    WrongCertificate,
    /// In the middle of an answer that the client already sees the beginning of.
    ThenReset,
    ThenClosed,
    ThenSilent,
}

impl Trouble {
    /// What the proxy does about it. What is no matter of a proxy is arranged by who sets the stage.
    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Refuses => Fault::Refuse,
            Self::Resets => Fault::Reset,
            Self::Closes => Fault::Close,
            Self::HalfCloses => Fault::HalfClose,
            Self::Silent => Fault::BlackHole,
            Self::EndlessHead => Fault::EndlessHead,
            Self::Late => Fault::Late(Duration::from_millis(100)),
            Self::Bytewise => Fault::Bytewise,
            Self::ResetInHead => Fault::ResetAfter(20),
            // Every head that is sent in these tests is shorter, and every answer longer.
            Self::ResetInBody => Fault::ResetAfter(150),
            Self::Garbage => instead("\u{16}\u{3}\u{1}\0nonsense, and no HTTP\r\n\r\n"),
            Self::LengthCut => instead(&format!("{}content-length: 500\r\n\r\n{ROOT}", head(200))),
            Self::ChunksCut => instead(&format!(
                "{}transfer-encoding: chunked\r\n\r\n{:x}\r\n{ROOT}\r\n",
                head(200),
                ROOT.len()
            )),
            Self::LongBody => {
                let body = " ".repeat(2 << 20);
                let length = body.len() + ROOT.len();
                instead(&format!(
                    "{}content-length: {length}\r\n\r\n{body}{ROOT}",
                    head(200)
                ))
            }
            Self::LongHead => {
                let lines = "x-more: and more\r\n".repeat(100_000);
                instead(&format!("{}{lines}content-length: 0\r\n\r\n", head(200)))
            }
            Self::Status503 => instead(&format!("{}content-length: 0\r\n\r\n", head(503))),
            Self::Foreign200 => foreign("200 OK", "<h1>Please log in to this network</h1>"),
            Self::Foreign401 => foreign(
                "401 Unauthorized",
                "<h1>A proxy in between wants a word</h1>",
            ),
            Self::WrongCertificate => {
                Fault::Impostor(Authority::new().server_config(&[b"http/1.1"]))
            }
            Self::NameGone => Fault::None,
            // Past the size of a first chunk.
            Self::ThenReset | Self::ThenClosed | Self::ThenSilent => Fault::StallInBody(7),
        }
    }

    /// The words for it in the page.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Refuses => "nobody listens",
            Self::Resets => "connections are reset",
            Self::Closes => "connections are closed without an answer",
            Self::HalfCloses => "sends its end instead of an answer, goes on reading",
            Self::Silent => "takes connections and never answers",
            Self::EndlessHead => "the head of the answer never ends",
            Self::Late => "answers late, but in time",
            Self::Bytewise => "answers byte by byte",
            Self::ResetInHead => "reset in the head of the answer",
            Self::ResetInBody => "reset in the body of the answer",
            Self::Garbage => "answers something that is no HTTP",
            Self::LengthCut => "closes before the announced length",
            Self::ChunksCut => "closes before the last chunk",
            Self::LongBody => "an answer of 2 MiB",
            Self::LongHead => "a head of 1.8 MB",
            Self::Status503 => "answers 503",
            Self::Foreign200 => "something else answers 200",
            Self::Foreign401 => "something else answers 401",
            Self::NameGone => "the host's name does not resolve",
            Self::WrongCertificate => "a certificate of a stranger's",
            Self::ThenReset => "reset in the middle of the answer",
            Self::ThenClosed => "closed in the middle of the answer",
            Self::ThenSilent => "stands still in the middle of the answer",
        }
    }
}

/// An identity that would be let in everywhere, if half an answer counted.
const ROOT: &str = r#"{"username":"root","roles":["superuser"],"full_name":null,"email":null,"metadata":{},"enabled":true,"authentication_realm":{"name":"native1","type":"native"},"lookup_realm":{"name":"native1","type":"native"},"authentication_type":"realm"}"#;

fn head(status: u16) -> String {
    format!(
        "HTTP/1.1 {status} Scripted\r\nx-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n"
    )
}

fn foreign(status: &str, page: &str) -> Fault {
    let length = page.len();
    instead(&format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\r\n{page}"
    ))
}

fn instead(bytes: &str) -> Fault {
    Fault::Instead(Arc::from(bytes.as_bytes()))
}

/// What the client sees.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sees {
    /// The application's answer, whole.
    Passes,
    /// Sidegate's refusal: status and reason.
    Refusal(u16, &'static str),
    /// The application's status, then half an answer; this reason is in the access log.
    CutOff(&'static str),
}

/// What the row expects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The section of the page it is in.
    pub(crate) place: &'static str,
    pub(crate) trouble: Trouble,
    pub(crate) sees: Sees,
    /// All in one line of the program's log; empty when it says nothing.
    pub(crate) log: &'static [&'static str],
    /// A metric that grows, with its labels.
    pub(crate) counts: (&'static str, &'static [&'static str]),
}

impl Row {
    /// The row as it stands in the page.
    pub(crate) fn line(&self) -> String {
        let sees = match self.sees {
            Sees::Passes => "the application's answer".to_owned(),
            Sees::Refusal(status, reason) => format!("{status} `{reason}`"),
            Sees::CutOff(reason) => format!("half of it, then an end; `{reason}`"),
        };
        let log = match self.log {
            [] => "nothing".to_owned(),
            parts => parts
                .iter()
                .map(|part| format!("`{part}`"))
                .collect::<Vec<_>>()
                .join(" "),
        };
        let (name, labels) = self.counts;
        let name = name.strip_prefix("sidegate_").unwrap_or(name);
        format!(
            "| {} | {sees} | {log} | `{name}{{{}}}` |",
            self.trouble.told(),
            labels.join(",")
        )
    }

    /// How far its metric has come.
    pub(crate) fn counted(&self, gate: &Running) -> f64 {
        gate.metric(self.counts.0, self.counts.1)
    }

    /// Fails unless log and metric say what the row says. `before` is how far the metric had come.
    pub(crate) fn is_told(&self, gate: &Running, before: f64) {
        if !self.log.is_empty() {
            let wanted = |line: &str| self.log.iter().all(|part| line.contains(part));
            let found = gate.process.stderr.find(wanted);
            assert!(found.is_some(), "{:?} is not in the log", self.log);
        }
        gate.wait_for_metric(self.counts.0, self.counts.1, |count| count > before);
    }

    /// Fails unless the client sees what the row says, and the access log says the same.
    pub(crate) fn is_seen(&self, gate: &Running, reply: &Reply) {
        let reply = reply.clone();
        let id = reply.header("x-request-id").expect("an id").to_owned();
        let (status, reason) = match self.sees {
            Sees::Passes | Sees::CutOff(_) => (reply.expect(200).status, None),
            Sees::Refusal(status, reason) => {
                let reply = reply.expect_refusal(status, reason);
                if reply.header("content-type") == Some("application/problem+json") {
                    assert_eq!(reply.json()["reason"], reason);
                }
                assert_eq!(
                    reply.header("www-authenticate"),
                    None,
                    "nobody is logged out"
                );
                let waits = reply.header("retry-after").is_some();
                assert_eq!(waits, status == 503, "{:?}", reply.headers);
                (status, Some(reason))
            }
        };
        is_logged(gate, &id, status, reason);
    }
}

/// Fails unless the access log has the request, with this status and reason.
pub(crate) fn is_logged(gate: &Running, id: &str, status: u16, reason: Option<&str>) {
    let has_id = |line: &str| line.contains(id);
    let line = gate.process.stdout.find(has_id).expect("a line for it");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["http.response.status_code"], status, "{line}");
    assert_eq!(line["event.reason"].as_str(), reason, "{line}");
    let outcome = if reason.is_some() {
        "failure"
    } else {
        "success"
    };
    assert_eq!(line["event.outcome"], outcome, "{line}");
}

/// Names tests after rows, and gathers the rows.
macro_rules! rows {
    ($play:path; $($name:ident: $trouble:ident in $place:expr => $sees:expr, $log:expr, $metric:expr, $labels:expr;)+) => {
        pub(crate) const ROWS: &[$crate::faults::row::Row] = &[
            $($crate::faults::row::Row {
                place: $place,
                trouble: $crate::faults::row::Trouble::$trouble,
                sees: $sees,
                log: $log,
                counts: ($metric, $labels),
            }),+
        ];
        $(
            #[test]
            fn $name() {
                $play(&$crate::faults::row::Row {
                    place: $place,
                    trouble: $crate::faults::row::Trouble::$trouble,
                    sees: $sees,
                    log: $log,
                    counts: ($metric, $labels),
                });
            }
        )+
    };
}
pub(crate) use rows;
