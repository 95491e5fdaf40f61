//! Backup and restore of the authority's store.
//!
//! A store in use is copied by the process that uses it, over its control socket; one that isn't, by this process. A copy is
//! opened once before it is called good, and a restore never replaces a store.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::authority::control::{self, ControlError, SOCKET};
use crate::authority::store::{FILE, Store};

/// Copies the store in `data` to `target`.
///
/// # Errors
/// No store there, a process that doesn't answer, a target that can't be written.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(super) fn backup(data: &Path, target: &Path) -> anyhow::Result<()> {
    ensure!(
        data.join(FILE).exists(),
        "there is no store in {}",
        data.display()
    );
    let bytes = match control::request_backup(data, target) {
        Ok(bytes) => bytes,
        Err(ControlError::Absent { .. }) => copy_unused(data, target)?,
        Err(error) => return Err(error).with_context(|| target.display().to_string()),
    };
    println!("{} ({bytes} bytes)", target.display());
    Ok(())
}

fn copy_unused(data: &Path, target: &Path) -> anyhow::Result<u64> {
    let snapshots = Store::open_for_copy(data).with_context(|| {
        format!(
            "nobody answers at {}, and the store can't be opened either",
            data.join(SOCKET).display()
        )
    })?;
    snapshots.copy_to(target)?;
    Ok(std::fs::metadata(target)?.len())
}

/// Puts the copy `file` into `data`.
///
/// # Errors
/// A store that is already there, a file that is no copy of one.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(super) fn restore(file: &Path, data: &Path) -> anyhow::Result<()> {
    let target = data.join(FILE);
    if target.exists() {
        bail!(
            "{} is there already: move it away first, with the process that uses it stopped",
            target.display()
        );
    }
    // Opening it shows that it is a store, and of a format this program knows.
    let snapshots = Store::open_file_for_copy(file)
        .with_context(|| format!("{} is no backup that can be used", file.display()))?;
    Store::make_directory(data)?;
    snapshots.copy_to(&target)?;
    println!("{}", target.display());
    Ok(())
}
