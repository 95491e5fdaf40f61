//! The access log: one line for each request, as JSON with the field names of the Elastic Common Schema (ECS), or as text to read.
//!
//! Always true: a request adds exactly one line, whatever bytes the client sent; logging makes no system call and waits for
//! nobody; what can't be written in time is dropped and counted in `access_log_dropped_total`.
//! Never holds a secret: [`Record`] has no place for a header, a query string or a body.
//! To add a field: put it into [`Record`], and into both forms below.

use std::io::{self, IsTerminal as _, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::escape;
use super::metrics::{Counter, CounterVec, RegisterError, Registry};
use super::sink::{Sink, Target};
use super::stamp::Stamp;
use crate::config::settings::{AccessLog as Settings, AccessLogFormat, AccessLogTarget};
use crate::model::clock::Now;

/// What is logged of one request. Borrowed, so that logging copies only into the log's own buffer.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When the response was over.
    pub time: Now,
    /// From the request's head to the end of the response.
    pub duration: Duration,
    /// The id that the client got and the upstream saw.
    pub request_id: &'a str,
    /// The client's address, behind trusted proxies.
    pub client_ip: IpAddr,
    /// Method.
    pub method: &'a str,
    /// Host asked for.
    pub host: &'a str,
    /// Path asked for; a query is cut off, should one be given.
    pub path: &'a str,
    /// Status of the response.
    pub status: u16,
    /// Bytes of the response's body that were sent.
    pub bytes: u64,
    /// Name of the route; empty when none matched.
    pub route: &'a str,
    /// Who it was, if known.
    pub username: Option<&'a str>,
    /// Whom they acted as, if that was somebody else.
    pub effective: Option<&'a str>,
    /// The realm that authenticated.
    pub realm: Option<&'a str>,
    /// Id of the API key, when that was the credential.
    pub api_key_id: Option<&'a str>,
    /// Scheme of the credential.
    pub scheme: Option<&'static str>,
    /// Where the answer came from: a label of the cache's results.
    pub cache: &'static str,
    /// The label of the refusal; `None` when the request passed.
    pub refusal: Option<&'static str>,
    /// Name of the upstream, when the request got that far.
    pub upstream: Option<&'a str>,
}

/// The running access log. Clones write to the same one.
#[derive(Clone, Debug)]
pub struct AccessLog {
    form: Form,
    sink: Option<Arc<Sink>>,
    dropped: Dropped,
}

/// The counter of dropped lines, and its family while no registry has it.
#[derive(Clone, Debug)]
struct Dropped {
    family: CounterVec,
    counter: Counter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Text { color: bool },
}

/// Why the access log can't be started or reopened.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The file can't be opened for appending.
    #[error("access log {path} can't be opened")]
    Open {
        /// The file.
        path: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The operating system gives no thread to write with.
    #[error("access log's writer can't be started")]
    Thread(#[source] io::Error),
    /// The writer is stuck in its target, or the new file can't be opened; the old one stays in use.
    #[error("access log can't be reopened")]
    Reopen(#[source] io::Error),
    /// The counter of dropped lines is malformed.
    #[error(transparent)]
    Metric(#[from] RegisterError),
}

/// Longest path logged, in bytes.
const PATH: usize = 1_024;
/// Longest other text logged, in bytes.
const TEXT: usize = 256;
/// Longest method logged, in bytes.
const METHOD: usize = 32;

impl AccessLog {
    /// Opens the target and starts the writer; with the format off, records go nowhere.
    ///
    /// # Errors
    /// See [`AccessLogError`].
    pub fn start(settings: &Settings) -> Result<Self, AccessLogError> {
        let (target, terminal) = match &settings.target {
            AccessLogTarget::Stdout => {
                let stdout = io::stdout();
                let terminal = stdout.is_terminal();
                (Target::Stream(Box::new(stdout)), terminal)
            }
            AccessLogTarget::File(_) if settings.format == AccessLogFormat::Off => {
                return Self::off();
            }
            AccessLogTarget::File(path) => {
                let target = Target::file(path).map_err(|source| AccessLogError::Open {
                    path: path.display().to_string(),
                    source,
                })?;
                (target, false)
            }
        };
        // https://no-color.org
        let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match settings.format {
            AccessLogFormat::Json => Self::new(Form::Json, Some(target)),
            AccessLogFormat::Text => Self::new(Form::Text { color }, Some(target)),
            AccessLogFormat::Off => Self::off(),
        }
    }

    /// A log that keeps nothing.
    ///
    /// # Errors
    /// Never in practice: when the counter of dropped lines is malformed.
    pub fn off() -> Result<Self, AccessLogError> {
        Self::new(Form::Json, None)
    }

    /// A log in `format`, without colours, into any stream.
    ///
    /// # Errors
    /// See [`AccessLogError`].
    pub fn into_stream(
        format: AccessLogFormat,
        stream: Box<dyn Write + Send>,
    ) -> Result<Self, AccessLogError> {
        match format {
            AccessLogFormat::Json => Self::new(Form::Json, Some(Target::Stream(stream))),
            AccessLogFormat::Text => {
                Self::new(Form::Text { color: false }, Some(Target::Stream(stream)))
            }
            AccessLogFormat::Off => Self::off(),
        }
    }

    fn new(form: Form, target: Option<Target>) -> Result<Self, AccessLogError> {
        let help = "Access log lines dropped because the target was too slow or failing. Worry when it grows: the log has gaps.";
        let family =
            CounterVec::new("access_log_dropped_total", help, &[]).map_err(RegisterError::from)?;
        let counter = family.with_label_values::<&str>(&[]);
        let sink = match target {
            Some(target) => {
                let sink = Sink::start(target, counter.clone()).map_err(AccessLogError::Thread)?;
                Some(Arc::new(sink))
            }
            None => None,
        };
        Ok(Self {
            form,
            sink,
            dropped: Dropped { family, counter },
        })
    }

    /// Shows `access_log_dropped_total` to the scraper.
    ///
    /// # Errors
    /// When another access log did so before.
    pub fn register(&self, registry: &Registry) -> Result<(), RegisterError> {
        registry.register(self.dropped.family.clone())
    }

    /// Adds the line of one request. Costs a fraction of a microsecond, and nothing when the log is off.
    #[inline]
    pub fn record(&self, record: &Record<'_>) {
        let Some(sink) = &self.sink else { return };
        sink.append(|line, stamp| match self.form {
            Form::Json => json(line, stamp, record),
            Form::Text { color } => text(line, stamp, record, color),
        });
    }

    /// Waits until everything recorded before is written; blocks the thread, for at most five seconds.
    pub fn flush(&self) {
        if let Some(sink) = &self.sink {
            sink.flush();
        }
    }

    /// Opens the file anew, after it was moved away (SIGHUP); blocks the thread, for at most five seconds.
    ///
    /// # Errors
    /// [`AccessLogError::Reopen`]; the old file stays in use.
    pub fn reopen(&self) -> Result<(), AccessLogError> {
        match &self.sink {
            Some(sink) => sink.reopen().map_err(AccessLogError::Reopen),
            None => Ok(()),
        }
    }

    /// Writes what is left and ends the writer; blocks the thread, for at most five seconds. Later records are dropped and
    /// counted.
    pub fn stop(&self) {
        if let Some(sink) = &self.sink {
            sink.stop();
        }
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.counter.get()
    }
}

// === the two forms ===

fn json(line: &mut Vec<u8>, stamp: &mut Stamp, record: &Record<'_>) {
    use escape::{field, number};
    line.extend_from_slice(b"{\"@timestamp\":\"");
    stamp.write(record.time.unix, line);
    line.extend_from_slice(b"\",\"event.duration\":");
    number(line, nanos(record.duration));
    match record.refusal {
        None => line.extend_from_slice(b",\"event.action\":\"permitted\""),
        // It had passed before it failed.
        Some(_) if record.status < 400 => {
            line.extend_from_slice(b",\"event.action\":\"permitted\"");
        }
        Some(_) => line.extend_from_slice(b",\"event.action\":\"refused\""),
    }
    match succeeded(record) {
        true => line.extend_from_slice(b",\"event.outcome\":\"success\""),
        false => line.extend_from_slice(b",\"event.outcome\":\"failure\""),
    }
    if let Some(refusal) = record.refusal {
        field(line, b",\"event.reason\":", refusal, TEXT);
    }
    field(line, b",\"http.request.id\":", record.request_id, TEXT);
    field(line, b",\"http.request.method\":", record.method, METHOD);
    field(line, b",\"url.domain\":", record.host, TEXT);
    let path = without_query(record.path);
    field(line, b",\"url.path\":", path, PATH);
    line.extend_from_slice(b",\"http.response.status_code\":");
    number(line, record.status.into());
    line.extend_from_slice(b",\"http.response.body.bytes\":");
    number(line, record.bytes);
    line.extend_from_slice(b",\"client.ip\":\"");
    escape::address(line, record.client_ip);
    field(line, b"\",\"sidegate.route\":", record.route, TEXT);
    field(line, b",\"sidegate.cache\":", record.cache, TEXT);
    if let Some(username) = record.username {
        field(line, b",\"user.name\":", username, TEXT);
    }
    if let Some(username) = record.effective {
        field(line, b",\"user.effective.name\":", username, TEXT);
    }
    if let Some(realm) = record.realm {
        field(line, b",\"sidegate.realm\":", realm, TEXT);
    }
    if let Some(id) = record.api_key_id {
        field(line, b",\"sidegate.api_key.id\":", id, TEXT);
    }
    if let Some(scheme) = record.scheme {
        field(line, b",\"sidegate.scheme\":", scheme, TEXT);
    }
    if let Some(upstream) = record.upstream {
        field(line, b",\"sidegate.upstream\":", upstream, TEXT);
    }
    line.extend_from_slice(b"}\n");
}

fn text(line: &mut Vec<u8>, stamp: &mut Stamp, record: &Record<'_>, color: bool) {
    stamp.write(record.time.unix, line);
    line.push(b' ');
    let paint = match record.status {
        ..300 => "\u{1b}[32m",
        300..400 => "\u{1b}[36m",
        400..500 => "\u{1b}[33m",
        500.. => "\u{1b}[31m",
    };
    if color {
        line.extend_from_slice(paint.as_bytes());
    }
    escape::number(line, record.status.into());
    if color {
        line.extend_from_slice(b"\x1b[0m");
    }
    line.push(b' ');
    escape::word(line, record.method, METHOD);
    line.push(b' ');
    escape::word(line, without_query(record.path), PATH);
    line.push(b' ');
    milliseconds(line, record.duration);
    line.push(b' ');
    escape::number(line, record.bytes);
    line.push(b'B');
    for (key, value) in [
        (" refusal=", record.refusal),
        (" user=", record.username),
        (" as=", record.effective),
        (" realm=", record.realm),
        (" api_key=", record.api_key_id),
        (" scheme=", record.scheme),
        (
            " route=",
            Some(record.route).filter(|route| !route.is_empty()),
        ),
        (" cache=", Some(record.cache)),
        (" upstream=", record.upstream),
        (" host=", Some(record.host)),
    ] {
        if let Some(value) = value {
            line.extend_from_slice(key.as_bytes());
            escape::word(line, value, TEXT);
        }
    }
    line.extend_from_slice(b" client=");
    escape::address(line, record.client_ip);
    line.extend_from_slice(b" id=");
    escape::word(line, record.request_id, TEXT);
    line.push(b'\n');
}

/// `12.345ms`
fn milliseconds(line: &mut Vec<u8>, duration: Duration) {
    let micros = nanos(duration) / 1_000;
    escape::number(line, micros / 1_000);
    line.push(b'.');
    for divisor in [100, 10, 1] {
        escape::number(line, micros / divisor % 10);
    }
    line.extend_from_slice(b"ms");
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// ECS `event.outcome`: it passed, and nobody behind failed.
fn succeeded(record: &Record<'_>) -> bool {
    record.refusal.is_none() && record.status < 500
}

/// Queries carry tokens and search terms; no line holds one, even when a caller hands it in.
fn without_query(path: &str) -> &str {
    let end = path.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    &path[..end.unwrap_or(path.len())]
}

#[cfg(test)]
mod tests;
