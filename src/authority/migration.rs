//! From the format an older program wrote to this one's: a chain of steps, each from one number to the next.
//!
//! Always true: all steps of an upgrade and the new number are one transaction, so a crash leaves the old store; a copy of the
//! old store is kept beside it first, since an older program can't read the new one. A format that is newer, or no number, is
//! never touched. A new format is one line in `STEPS` and the function it names; rows are JSON there, because the types of
//! an old format are gone.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde_json::{Value, json};

use super::backup::{META, Snapshots, beside};
use super::database::StoreFile;

/// The format this program writes.
pub const FORMAT: u32 = 2;

/// Why a store can't be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The file was written by a newer program, or is something else.
    #[error("store has format {found}, this program knows up to {FORMAT}")]
    Format {
        /// The format found.
        found: String,
    },
    /// Reading or writing failed.
    #[error("store failed")]
    Store(#[source] Box<redb::Error>),
    /// The copy of the old store can't be made.
    #[error("the old store can't be kept")]
    Kept(#[source] super::backup::BackupError),
}

/// One step: from its number to the next.
struct Step {
    from: u32,
    run: fn(&WriteTransaction) -> Result<(), MigrationError>,
}

/// Every step there ever was, in order.
const STEPS: &[Step] = &[Step {
    from: 1,
    run: number_api_keys,
}];

fn store_error(error: impl Into<redb::Error>) -> MigrationError {
    MigrationError::Store(Box::new(error.into()))
}

/// Brings the store up to [`FORMAT`]; a fresh one gets the number and nothing else. `path` is the store's file, beside which
/// the old state is kept as `NAME.format-N`; `None` for a store in memory.
///
/// # Errors
/// See [`MigrationError`]; the store is unchanged then.
pub fn upgrade(
    database: &std::sync::Arc<Database>,
    path: Option<&Path>,
) -> Result<(), MigrationError> {
    let found = match read_format(database)? {
        Some(found) => parse(found)?,
        None => FORMAT,
    };
    let steps: Vec<&Step> = STEPS.iter().filter(|step| step.from >= found).collect();
    if let (false, Some(path)) = (steps.is_empty(), path) {
        let kept = beside(path, &format!("format-{found}"));
        let file = StoreFile::once(std::sync::Arc::clone(database));
        Snapshots::of(std::sync::Arc::new(file))
            .copy_to(&kept)
            .map_err(MigrationError::Kept)?;
        tracing::info!(from = found, to = FORMAT, kept = %kept.display(), "authority store is migrated");
    }
    let transaction = database.begin_write().map_err(store_error)?;
    for step in steps {
        (step.run)(&transaction)?;
    }
    let mut meta = transaction.open_table(META).map_err(store_error)?;
    meta.insert("format", FORMAT.to_string().as_str())
        .map_err(store_error)?;
    drop(meta);
    transaction.commit().map_err(store_error)
}

/// Whether this is a store of a format that this program can read or bring up to date.
///
/// # Errors
/// [`MigrationError::Format`], also for a file without a format.
pub fn check(database: &Database) -> Result<(), MigrationError> {
    parse(read_format(database)?.unwrap_or_default()).map(|_| ())
}

fn parse(found: String) -> Result<u32, MigrationError> {
    match found.parse() {
        Ok(number @ 1..=FORMAT) => Ok(number),
        Ok(_) | Err(_) => Err(MigrationError::Format { found }),
    }
}

fn read_format(database: &Database) -> Result<Option<String>, MigrationError> {
    let transaction = database.begin_read().map_err(store_error)?;
    match transaction.open_table(META) {
        Ok(meta) => {
            let found = meta.get("format").map_err(store_error)?;
            Ok(found.map(|found| found.value().to_owned()))
        }
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(store_error(error)),
    }
}

/// Changes every row of a table, as JSON.
fn rewrite(
    transaction: &WriteTransaction,
    name: &'static str,
    change: impl Fn(&mut serde_json::Map<String, Value>),
) -> Result<(), MigrationError> {
    let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(name);
    let mut table = transaction.open_table(definition).map_err(store_error)?;
    let mut rows = Vec::new();
    for entry in table.iter().map_err(store_error)? {
        let (key, value) = entry.map_err(store_error)?;
        rows.push((key.value().to_owned(), value.value().to_vec()));
    }
    for (key, bytes) in rows {
        let Ok(Value::Object(mut row)) = serde_json::from_slice(&bytes) else {
            // It can't be read in the new format either, and is set aside then.
            continue;
        };
        change(&mut row);
        let bytes = Value::Object(row).to_string();
        table
            .insert(key.as_str(), bytes.as_bytes())
            .map_err(store_error)?;
    }
    Ok(())
}

/// 1 → 2: API keys count their updates.
fn number_api_keys(transaction: &WriteTransaction) -> Result<(), MigrationError> {
    rewrite(transaction, "api_keys", |row| {
        row.entry("version").or_insert(json!(0));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_has_no_gap_and_ends_at_the_present_format() {
        let numbers: Vec<u32> = STEPS.iter().map(|step| step.from).collect();
        let expected: Vec<u32> = (1..FORMAT).collect();
        assert_eq!(numbers, expected);
    }

    #[test]
    fn what_is_no_known_number_is_refused() {
        for found in ["0", "3", "999", "", "two", "-1"] {
            assert!(parse(found.to_owned()).is_err(), "{found}");
        }
    }
}
