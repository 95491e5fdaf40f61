//! What several commands do before anything else: read the configuration, start the log.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::config::check::{self, Checked};
use crate::config::fault::{Fault, Faults};
use crate::config::references::Machine;
use crate::config::settings::Settings;
use crate::config::settings_authority::AuthorityAlone;
use crate::telemetry::log::{self, LogFormat, LogLevel};

/// Reads and checks a configuration file; warnings go to standard error.
///
/// # Errors
/// Every fault at once, as one text.
pub(super) fn settings_from_file(path: &Path) -> anyhow::Result<Settings> {
    let checked = check::load(path, &Machine);
    settled(apart(checked), &path.display().to_string())
}

/// The same for a file of `sidegate authority`.
pub(super) fn authority_from_file(path: &Path) -> anyhow::Result<AuthorityAlone> {
    let name = path.display().to_string();
    let checked = check::load_authority(path, &Machine);
    settled(
        checked.map(|checked| (checked.settings, checked.warnings)),
        &name,
    )
}

/// The same for a text that is not a file's; `name` says whose it is.
pub(super) fn settings_from_text(text: &str, name: &str) -> anyhow::Result<Settings> {
    settled(apart(check::check(text, &Machine)), name)
}

fn apart(checked: Result<Checked, Faults>) -> Result<(Settings, Vec<Fault>), Faults> {
    checked.map(|checked| (checked.settings, checked.warnings))
}

#[expect(clippy::print_stderr, reason = "warnings are for the operator's eyes")]
fn settled<S>(checked: Result<(S, Vec<Fault>), Faults>, name: &str) -> anyhow::Result<S> {
    match checked {
        Ok((settings, warnings)) => {
            for warning in warnings {
                eprintln!("warning: {name}: {warning}");
            }
            Ok(settings)
        }
        Err(faults) => bail!("{name} can't be used\n\n{faults}"),
    }
}

/// Writes a line for whoever waits until everything listens.
///
/// # Errors
/// When the file can't be written.
pub(super) fn write_ready_file(path: &Path, line: &serde_json::Value) -> anyhow::Result<()> {
    // Written beside and renamed, so that a reader never sees half a line.
    let draft = path.with_extension("partial");
    std::fs::write(&draft, format!("{line}\n"))
        .and_then(|()| std::fs::rename(&draft, path))
        .with_context(|| format!("can't write {}", path.display()))
}

/// Starts the process's log.
pub(super) fn start_log(format: LogFormat) -> anyhow::Result<LogLevel> {
    Ok(log::start(format, "info")?)
}
