//! The program's own log: `tracing` events to standard error, as text or as JSON, at a level that can be changed while running.
//!
//! Never: a secret. Our own events name their fields and take no header values; and dependencies are not heard below info,
//! whatever level is asked for, because at trace some of them print the headers they see.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, reload};

/// The environment variable that sets the level, over any setting.
pub const LEVEL_VARIABLE: &str = "SIDEGATE_LOG";

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable lines; coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// Shows and changes the level of the running log. Clones are the same.
#[derive(Clone, Debug)]
pub struct LogLevel {
    /// Absent when somebody else's subscriber takes the events.
    handle: Option<reload::Handle<EnvFilter, tracing_subscriber::Registry>>,
    current: Arc<Mutex<String>>,
}

/// Why the log can't be started or its level changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directives can't be read.
    #[error("log level {directives:?} can't be read: {reason}")]
    Directives {
        /// What was given.
        directives: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else already takes the process's events.
    #[error("log is already started")]
    AlreadyStarted,
    /// The log is gone.
    #[error("log is not running")]
    NotRunning,
}

/// Longest directives accepted, in bytes.
const LONGEST: usize = 1_024;

/// Starts the log of this process on standard error, at the level that `SIDEGATE_LOG` says, or else `level`: a level name, or
/// directives such as `info,sidegate::gate=debug`.
///
/// # Errors
/// [`LogError::Directives`], and [`LogError::AlreadyStarted`] on a second call.
pub fn start(format: LogFormat, level: &str) -> Result<LogLevel, LogError> {
    let given = std::env::var(LEVEL_VARIABLE).ok();
    let level = given
        .as_deref()
        .filter(|given| !given.is_empty())
        .unwrap_or(level);
    let color = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (subscriber, handle) = subscriber(format, level, color, io::stderr)?;
    subscriber
        .try_init()
        .map_err(|_| LogError::AlreadyStarted)?;
    Ok(handle)
}

fn subscriber<W>(
    format: LogFormat,
    level: &str,
    color: bool,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync, LogLevel), LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(parse(level)?);
    let lines = fmt::layer().with_writer(writer).with_ansi(color);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(filter_fn(may_be_heard)));
    let level = LogLevel {
        handle: Some(handle),
        current: Arc::new(Mutex::new(level.to_owned())),
    };
    Ok((subscriber, level))
}

/// Our own events at any level; those of dependencies at info and above. Of rustls only errors: it warns of odd handshakes,
/// so that any client could fill the log.
fn may_be_heard(event: &Metadata<'_>) -> bool {
    let target = event.target();
    let of = |name: &str| {
        target
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let loudest = if of("sidegate") {
        Level::TRACE
    } else if of("rustls") {
        Level::ERROR
    } else {
        Level::INFO
    };
    *event.level() <= loudest
}

fn parse(directives: &str) -> Result<EnvFilter, LogError> {
    let refuse = |reason: String| LogError::Directives {
        directives: directives.chars().take(80).collect(),
        reason,
    };
    if directives.trim().is_empty() || directives.len() > LONGEST {
        return Err(refuse(format!("expected 1 to {LONGEST} bytes")));
    }
    EnvFilter::builder()
        // Field values are matched as they are written: no pattern that somebody could make expensive.
        .with_regex(false)
        .parse(directives)
        .map_err(|error| refuse(error.to_string()))
}

impl LogLevel {
    /// A level that is checked and remembered but steers nothing: for a process whose events somebody else takes.
    ///
    /// # Errors
    /// [`LogError::Directives`].
    pub fn detached(level: &str) -> Result<Self, LogError> {
        parse(level)?;
        Ok(Self {
            handle: None,
            current: Arc::new(Mutex::new(level.to_owned())),
        })
    }

    /// The directives in force.
    pub fn current(&self) -> String {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts other directives in force at once.
    ///
    /// # Errors
    /// [`LogError::Directives`], with the old ones still in force; [`LogError::NotRunning`].
    pub fn set(&self, directives: &str) -> Result<(), LogError> {
        let directives = directives.trim();
        let filter = parse(directives)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &self.handle {
            handle.reload(filter).map_err(|_| LogError::NotRunning)?;
        }
        directives.clone_into(&mut current);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn heard(format: LogFormat, level: &str, speak: impl FnOnce(&LogLevel)) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let (subscriber, level) = subscriber(format, level, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || speak(&level));
        memory.text()
    }

    #[test]
    fn the_level_changes_while_running_and_a_bad_one_changes_nothing() {
        let text = heard(LogFormat::Text, "info", |level| {
            tracing::debug!("before");
            level.set(" sidegate=debug ").unwrap();
            tracing::debug!("during");
            assert!(matches!(
                level.set("sidegate=loud"),
                Err(LogError::Directives { .. })
            ));
            assert!(level.set("").is_err() && level.set(&"a".repeat(2_000)).is_err());
            assert_eq!(level.current(), "sidegate=debug");
            level.set("warn").unwrap();
            tracing::info!("after");
        });
        assert!(text.contains("during") && !text.contains("before") && !text.contains("after"));
    }

    #[test]
    fn dependencies_that_print_headers_at_trace_are_not_heard_below_info() {
        let text = heard(LogFormat::Text, "trace", |_| {
            tracing::trace!("ours");
            tracing::trace!(target: "h2::codec", authorization = "Basic aHVudGVyMg==", "theirs");
            tracing::debug!(target: "sidegated", "theirs as well");
            tracing::info!(target: "h2::server", "worth knowing");
        });
        assert!(text.contains("ours") && text.contains("worth knowing"));
        assert!(!text.contains("theirs") && !text.contains("aHVudGVyMg"));
    }

    #[test]
    fn what_clients_can_make_rustls_warn_of_is_not_logged() {
        let text = heard(LogFormat::Text, "info", |_| {
            tracing::warn!(target: "rustls::msgs::handshake", "illegal server name");
            tracing::error!(target: "rustls::conn", "broken");
            tracing::warn!(target: "rustls_platform", "another crate");
        });
        assert!(text.contains("broken") && text.contains("another crate"));
        assert!(!text.contains("illegal server name"));
    }

    #[test]
    fn json_lines_are_json_whatever_a_field_holds() {
        let text = heard(LogFormat::Json, "info", |_| {
            tracing::warn!(node = "a\n\"b\u{1b}[31m", "authority left the pool");
        });
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["node"], "a\n\"b\u{1b}[31m");
    }
}
