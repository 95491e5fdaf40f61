//! Rows of one table in the store's file: reading all, writing changes, and setting aside what can't be read.
//!
//! Always true: one bad row never keeps the others from being served; its bytes stay in the file, in [`UNREADABLE`]. A row is
//! JSON; what it means is its type's.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{Database, ReadableTable, TableDefinition, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::table::{Changes, Table};

/// Rows that could not be read when the store was opened, by `table/key`, as they were.
pub(super) const UNREADABLE: TableDefinition<'static, &str, &[u8]> =
    TableDefinition::new("unreadable");

/// A row that can't be read.
pub(super) struct Unreadable {
    /// Its table.
    pub(super) table: &'static str,
    /// Its key.
    pub(super) key: String,
    /// What is wrong.
    pub(super) error: serde_json::Error,
}

/// Every row of a table; those that can't be read are added to `unreadable`.
///
/// # Errors
/// When the file can't be read.
pub(super) fn load<T: DeserializeOwned>(
    transaction: &redb::ReadTransaction,
    name: &'static str,
    unreadable: &mut Vec<Unreadable>,
) -> Result<Table<T>, redb::Error> {
    let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(name);
    let table = match transaction.open_table(definition) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Table::default()),
        Err(error) => return Err(error.into()),
    };
    let mut rows = BTreeMap::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let key = key.value().to_owned();
        match serde_json::from_slice(value.value()) {
            Ok(row) => {
                rows.insert(key, Arc::new(row));
            }
            Err(error) => unreadable.push(Unreadable {
                table: name,
                key,
                error,
            }),
        }
    }
    Ok(Table::of(rows))
}

/// Moves rows out of their tables into [`UNREADABLE`], so that nothing overwrites them.
///
/// # Errors
/// When the file can't be written; nothing was moved then.
pub(super) fn set_aside(database: &Database, unreadable: &[Unreadable]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let mut aside = transaction.open_table(UNREADABLE)?;
    for Unreadable { table, key, error } in unreadable {
        let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(table);
        let mut from = transaction.open_table(definition)?;
        let Some(bytes) = from.remove(key.as_str())?.map(|row| row.value().to_vec()) else {
            continue;
        };
        let mut name = format!("{table}/{key}");
        while aside.get(name.as_str())?.is_some() {
            name.push('\'');
        }
        aside.insert(name.as_str(), bytes.as_slice())?;
        tracing::error!(table, key, %error, kept = %name, "a row of the authority store can't be read and was set aside");
    }
    drop(aside);
    transaction.commit()?;
    Ok(())
}

/// Writes a table's changes.
///
/// # Errors
/// When the file can't be written.
pub(super) fn save<T: Serialize>(
    transaction: &redb::WriteTransaction,
    name: &'static str,
    changes: &Changes<T>,
) -> Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(name);
    let mut table = transaction.open_table(definition)?;
    for (key, row) in changes {
        match row {
            Some(row) => {
                let bytes = serde_json::to_vec(row)
                    .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
                table.insert(key.as_str(), bytes.as_slice())?;
            }
            None => {
                table.remove(key.as_str())?;
            }
        }
    }
    Ok(())
}
