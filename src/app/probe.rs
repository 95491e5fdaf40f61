//! `check --online`: asks the authority and the upstreams what no file can tell.

use std::fmt;
use std::time::Duration;

/// One thing that was looked at.
#[derive(Debug)]
pub struct Finding {
    /// What: `authority https://es-1:9200`, `upstream shop http://127.0.0.1:3000`.
    pub subject: String,
    /// How it went: a note when fine, the trouble and what to do about it otherwise.
    pub outcome: Result<String, String>,
}

impl Finding {
    /// Whether the configuration can't work like this.
    pub fn is_fault(&self) -> bool {
        self.outcome.is_err()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(note) => write!(f, "ok      {}: {note}", self.subject),
            Err(trouble) => write!(f, "FAULT   {}: {trouble}", self.subject),
        }
    }
}

/// How long one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
