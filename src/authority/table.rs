//! One typed table in memory, and the view a write job has of it.
//!
//! Readers take a short lock and leave with an `Arc`; a [`Draft`] collects a job's changes and shows them to the jobs after it
//! in the same batch. Nothing here touches the disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One table in memory. Readers take a short lock and leave with an `Arc`.
#[derive(Debug)]
pub struct Table<T> {
    rows: RwLock<BTreeMap<String, Arc<T>>>,
    /// Goes up with every change to this table.
    revision: AtomicU64,
    /// Where the next patrol starts.
    patrolled: Mutex<Option<String>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: RwLock::new(BTreeMap::new()),
            revision: AtomicU64::new(0),
            patrolled: Mutex::new(None),
        }
    }
}

impl<T> Table<T> {
    /// The row under `key`.
    pub fn find(&self, key: &str) -> Option<Arc<T>> {
        self.read().get(key).cloned()
    }

    /// Every row that `wanted` accepts, in key order.
    pub fn select(&self, mut wanted: impl FnMut(&str, &T) -> bool) -> Vec<(String, Arc<T>)> {
        self.read()
            .iter()
            .filter(|(key, row)| wanted(key, row))
            .map(|(key, row)| (key.clone(), Arc::clone(row)))
            .collect()
    }

    /// The next `limit` rows after those of the patrol before, from the start again after the last one. A caller that
    /// comes again and again sees every row without ever holding the lock for long.
    pub fn patrol(&self, limit: usize) -> Vec<(String, Arc<T>)> {
        let mut after = self
            .patrolled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let slice: Vec<_> = self
            .read()
            .range::<String, _>((start, Bound::Unbounded))
            .take(limit)
            .map(|(key, row)| (key.clone(), Arc::clone(row)))
            .collect();
        *after = slice
            .last()
            .filter(|_| slice.len() == limit)
            .map(|(key, _)| key.clone());
        slice
    }

    /// Rows that are there now.
    pub fn count(&self) -> usize {
        self.read().len()
    }

    /// Every row whose key starts with `prefix`, in key order. Costs as much as there are such rows.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(String, Arc<T>)> {
        let start = (Bound::Included(prefix), Bound::Unbounded);
        self.read()
            .range::<str, _>(start)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, row)| (key.clone(), Arc::clone(row)))
            .collect()
    }

    /// A table of these rows.
    pub fn of(rows: BTreeMap<String, Arc<T>>) -> Self {
        Self {
            rows: RwLock::new(rows),
            revision: AtomicU64::new(0),
            patrolled: Mutex::new(None),
        }
    }

    /// Changes whenever the table does.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<T>>> {
        // A panic while the lock was held leaves a map that is still whole: every change is a single insert or remove.
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes changes visible.
    pub fn apply(&self, changes: Changes<T>) {
        if changes.is_empty() {
            return;
        }
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for (key, row) in changes {
            match row {
                Some(row) => rows.insert(key, row),
                None => rows.remove(&key),
            };
        }
        self.revision.fetch_add(1, Ordering::AcqRel);
    }
}

impl<T> Table<T> {
    /// Takes over the rows of another table, whatever was here.
    pub fn replace(&self, other: Self) {
        let fresh = other
            .rows
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.revision.fetch_add(1, Ordering::AcqRel);
    }
}

/// Rows by key; `None` removes.
pub type Changes<T> = BTreeMap<String, Option<Arc<T>>>;

/// A table as a job sees it: what is durable, what earlier jobs of the batch changed, and its own changes.
pub struct Draft<'a, T> {
    base: &'a Table<T>,
    settled: Changes<T>,
    changes: Changes<T>,
}

impl<'a, T> Draft<'a, T> {
    /// An unchanged view.
    pub fn new(base: &'a Table<T>) -> Self {
        Self {
            base,
            settled: Changes::new(),
            changes: Changes::new(),
        }
    }

    /// The row under `key`.
    pub fn find(&self, key: &str) -> Option<Arc<T>> {
        match self.changes.get(key).or_else(|| self.settled.get(key)) {
            Some(row) => row.clone(),
            None => self.base.find(key),
        }
    }

    /// Keys and rows that `wanted` accepts, changes of this batch included.
    pub fn select(&self, mut wanted: impl FnMut(&str, &T) -> bool) -> Vec<(String, Arc<T>)> {
        let touched = |key: &str| self.changes.contains_key(key) || self.settled.contains_key(key);
        let mut rows = self
            .base
            .select(|key, row| !touched(key) && wanted(key, row));
        let mut overlay = self.settled.clone();
        overlay.extend(self.changes.clone());
        rows.extend(
            overlay
                .into_iter()
                .filter_map(|(key, row)| Some((key, row?))),
        );
        rows.retain(|(key, row)| !touched(key) || wanted(key, row));
        rows
    }

    /// The next durable rows, as [`Table::patrol`].
    pub fn patrol(&self, limit: usize) -> Vec<(String, Arc<T>)> {
        self.base.patrol(limit)
    }

    /// Writes a row; true when there was none.
    pub fn put(&mut self, key: &str, row: T) -> bool {
        let created = self.find(key).is_none();
        self.changes.insert(key.to_owned(), Some(Arc::new(row)));
        created
    }

    /// Removes a row; true when there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let found = self.find(key).is_some();
        if found {
            self.changes.insert(key.to_owned(), None);
        }
        found
    }

    /// Keeps the current job's changes for the commit.
    pub fn keep(&mut self) {
        self.settled.append(&mut self.changes);
    }

    /// Drops the current job's changes.
    pub fn discard(&mut self) {
        self.changes.clear();
    }

    /// What is to be committed.
    pub fn settled(&self) -> &Changes<T> {
        &self.settled
    }

    /// What was committed, to be applied.
    pub fn into_settled(self) -> Changes<T> {
        self.settled
    }
}

impl<T: Serialize + DeserializeOwned> Draft<'_, T> {
    /// Whether every row that the current job wrote can be read from what would be written. JSON that is nested too deeply
    /// can be written and not be read.
    pub fn reads_back(&self) -> bool {
        self.changes.values().flatten().all(|row| {
            let written = serde_json::to_vec(&**row);
            written.is_ok_and(|bytes| serde_json::from_slice::<T>(&bytes).is_ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(draft: &Draft<'_, u32>) -> Vec<(String, u32)> {
        let mut rows: Vec<_> = draft
            .select(|_, row| *row < 100)
            .into_iter()
            .map(|(key, row)| (key, *row))
            .collect();
        rows.sort();
        rows
    }

    #[test]
    fn patrols_see_every_row_in_turn_and_start_again() {
        let rows = (0..5).map(|n| (format!("k{n}"), Arc::new(n)));
        let table = Table::of(rows.collect());
        let keys = || -> Vec<String> { table.patrol(2).into_iter().map(|(key, _)| key).collect() };
        assert_eq!(keys(), ["k0", "k1"]);
        assert_eq!(keys(), ["k2", "k3"]);
        assert_eq!(keys(), ["k4"]);
        assert_eq!(keys(), ["k0", "k1"]);
    }

    #[test]
    fn rows_are_found_by_prefix() {
        let rows = ["a/1", "a/b/1", "ab/1", "b/1"].map(|key| (key.to_owned(), Arc::new(1)));
        let table = Table::of(BTreeMap::from(rows));
        let found: Vec<String> = table
            .with_prefix("a/")
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(found, ["a/1", "a/b/1"]);
    }

    #[test]
    fn a_draft_shows_what_was_kept_and_forgets_what_was_discarded() {
        let rows = [("a", 1), ("b", 2), ("c", 500)];
        let rows = rows.map(|(key, row)| (key.to_owned(), Arc::new(row)));
        let table = Table::of(BTreeMap::from(rows));
        let mut draft = Draft::new(&table);
        assert!(!draft.put("a", 10));
        assert!(draft.put("d", 4));
        assert!(draft.remove("b"));
        assert!(!draft.remove("b"));
        draft.keep();
        draft.put("a", 700);
        draft.remove("d");
        assert_eq!(keys(&draft), []);
        draft.discard();
        let expected = [("a".to_owned(), 10), ("d".to_owned(), 4)];
        assert_eq!(keys(&draft), expected);
        assert_eq!(table.find("a").as_deref(), Some(&1), "not yet visible");

        let changes = draft.into_settled();
        let before = table.revision();
        table.apply(changes);
        assert_ne!(table.revision(), before);
        assert_eq!(table.find("b"), None);
        assert_eq!(keys(&Draft::new(&table)), expected);
    }
}
