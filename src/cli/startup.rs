//! What several commands do before anything else: read the configuration, start the log.

use std::path::Path;

use anyhow::bail;

use crate::config::check::{self, Checked};
use crate::config::fault::Faults;
use crate::config::references::Machine;
use crate::config::settings::Settings;
use crate::telemetry::log::{self, LogFormat, LogLevel};

/// Reads and checks a configuration file; warnings go to standard error.
///
/// # Errors
/// Every fault at once, as one text.
pub(super) fn settings_from_file(path: &Path) -> anyhow::Result<Settings> {
    settled(check::load(path, &Machine), &path.display().to_string())
}

/// The same for a text that is not a file's; `name` says whose it is.
pub(super) fn settings_from_text(text: &str, name: &str) -> anyhow::Result<Settings> {
    settled(check::check(text, &Machine), name)
}

#[expect(clippy::print_stderr, reason = "warnings are for the operator's eyes")]
fn settled(checked: Result<Checked, Faults>, name: &str) -> anyhow::Result<Settings> {
    match checked {
        Ok(Checked { settings, warnings }) => {
            for warning in warnings {
                eprintln!("warning: {name}: {warning}");
            }
            Ok(settings)
        }
        Err(faults) => bail!("{name} can't be used\n\n{faults}"),
    }
}

/// Starts the process's log.
pub(super) fn start_log(format: LogFormat) -> anyhow::Result<LogLevel> {
    Ok(log::start(format, "info")?)
}
