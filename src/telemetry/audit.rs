//! The audit log's file: lines in, from any thread; written by one writer, off the path of the requests they tell of.
//!
//! Always true: adding a line makes no system call and waits for nobody; what can't be written in time is dropped and counted
//! in `audit_log_dropped_total`. What a line says is the caller's matter; it never holds a secret by the caller's contract.

use std::sync::Arc;

use super::access::AccessLogError;
use super::metrics::{Counter, CounterVec, RegisterError, Registry};
use super::sink::{Sink, Target};
use crate::config::settings::AccessLogTarget;

/// Longest line kept, in bytes; a longer one is dropped and counted.
const LONGEST: usize = 256 * 1024;

/// The running audit log. Clones write to the same one.
#[derive(Clone, Debug)]
pub struct AuditLog {
    sink: Arc<Sink>,
    family: CounterVec,
    dropped: Counter,
}

impl AuditLog {
    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// [`AccessLogError`] when the file can't be opened or no thread is to be had.
    pub fn start(target: &AccessLogTarget) -> Result<Self, AccessLogError> {
        let target = match target {
            AccessLogTarget::Stdout => Target::Stream(Box::new(std::io::stdout())),
            AccessLogTarget::File(path) => {
                Target::file(path).map_err(|source| AccessLogError::Open {
                    path: path.display().to_string(),
                    source,
                })?
            }
        };
        Self::new(target)
    }

    /// A log into any stream, for tests.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub fn into_stream(stream: Box<dyn std::io::Write + Send>) -> Result<Self, AccessLogError> {
        Self::new(Target::Stream(stream))
    }

    fn new(target: Target) -> Result<Self, AccessLogError> {
        let help = "Audit log lines dropped because the target was too slow or failing. Worry when it grows: the log has gaps.";
        let family =
            CounterVec::new("audit_log_dropped_total", help, &[]).map_err(RegisterError::from)?;
        let dropped = family.with_label_values::<&str>(&[]);
        let sink = Sink::start(target, dropped.clone()).map_err(AccessLogError::Thread)?;
        Ok(Self {
            sink: Arc::new(sink),
            family,
            dropped,
        })
    }

    /// Shows `audit_log_dropped_total` to the scraper.
    ///
    /// # Errors
    /// When another audit log did so before.
    pub fn register(&self, registry: &Registry) -> Result<(), RegisterError> {
        registry.register(self.family.clone())
    }

    /// Adds a line, given without its line break.
    pub fn write(&self, line: &[u8]) {
        if line.len() > LONGEST {
            self.dropped.inc();
            return;
        }
        self.sink.append(|out, _| {
            out.extend_from_slice(line);
            out.push(b'\n');
        });
    }

    /// Waits until everything added before is written; blocks the thread, for at most five seconds.
    pub fn flush(&self) {
        self.sink.flush();
    }

    /// Opens the file anew, after it was moved away (SIGHUP); blocks the thread, for at most five seconds.
    ///
    /// # Errors
    /// [`AccessLogError::Reopen`]; the old file stays in use.
    pub fn reopen(&self) -> Result<(), AccessLogError> {
        self.sink.reopen().map_err(AccessLogError::Reopen)
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}
