//! The memory that counters, gauges and histograms count in.
//!
//! Every value exists once per [`shard`]; reading sums the shards. Counters of one family are packed sixteen to a block, and a
//! block holds one aligned line per shard: neighbours in a line belong to the same thread, so nothing is lost to padding.
//! A sum of shards that each only grow only grows, so a counter never seems to reset.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::shard;

/// Values per block: 128 bytes, two cache lines, because processors fetch lines in pairs.
const PER_BLOCK: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; PER_BLOCK]);

/// A number that many threads add to. Clones are the same number.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    block: Arc<[Line]>,
    slot: usize,
}

impl Cell {
    /// Adds `by`, wrapping: a negative number is added as its two's complement.
    #[inline]
    pub(super) fn add(&self, by: u64) {
        let line = &self.block[shard::index() & (self.block.len() - 1)];
        line.0[self.slot % PER_BLOCK].fetch_add(by, Ordering::Relaxed);
    }

    /// The sum of all shards.
    pub(super) fn sum(&self) -> u64 {
        self.block.iter().fold(0, |sum, line| {
            sum.wrapping_add(line.0[self.slot % PER_BLOCK].load(Ordering::Relaxed))
        })
    }

    /// Makes the sum `value`. Not one step: only for numbers that are never added to at the same time.
    pub(super) fn store(&self, value: u64) {
        for (position, line) in self.block.iter().enumerate() {
            let share = if position == 0 { value } else { 0 };
            line.0[self.slot % PER_BLOCK].store(share, Ordering::Relaxed);
        }
    }
}

/// Where a family gets its [`Cell`]s from.
#[derive(Debug, Default)]
pub struct Cells(Mutex<Option<Cell>>);

impl Cells {
    /// A number of its own, starting at zero. Places are never used twice: an old handle may still be counting in one.
    pub(super) fn next(&self) -> Cell {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match last.as_ref() {
            Some(cell) if cell.slot + 1 < PER_BLOCK => Cell {
                block: Arc::clone(&cell.block),
                slot: cell.slot + 1,
            },
            _ => Cell {
                block: (0..shard::count()).map(|_| Line::default()).collect(),
                slot: 0,
            },
        };
        *last = Some(next.clone());
        next
    }
}

/// How many buckets a [`Spread`] has, the last of which takes everything too large for the others.
pub(super) const BUCKETS: usize = 17;

/// One shard of a histogram; aligned so that it shares no cache line with another's.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Part {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

/// The spread of many durations. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Spread(Arc<[Part]>);

/// A reading of a [`Spread`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Observations per bucket, not cumulative.
    pub(super) buckets: [u64; BUCKETS],
    /// Sum of everything observed, in nanoseconds.
    pub(super) nanos: u64,
}

impl Spread {
    pub(super) fn new() -> Self {
        Self((0..shard::count()).map(|_| Part::default()).collect())
    }

    /// Counts one observation of `nanos` in `bucket`; numbers past the last bucket count there.
    #[inline]
    pub(super) fn add(&self, bucket: usize, nanos: u64) {
        let part = &self.0[shard::index() & (self.0.len() - 1)];
        part.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        part.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Reading {
        let mut reading = Reading::default();
        for part in self.0.iter() {
            for (sum, bucket) in reading.buckets.iter_mut().zip(&part.buckets) {
                *sum = sum.wrapping_add(bucket.load(Ordering::Relaxed));
            }
            reading.nanos = reading
                .nanos
                .wrapping_add(part.nanos.load(Ordering::Relaxed));
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_when_many_threads_count() {
        let cell = Cells::default().next();
        let spread = Spread::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        cell.add(2);
                        spread.add(3, 10);
                    }
                });
            }
        });
        assert_eq!(cell.sum(), 16_000);
        let reading = spread.read();
        assert_eq!((reading.buckets[3], reading.nanos), (8_000, 80_000));
    }

    #[test]
    fn neighbours_in_a_block_are_separate() {
        let cells = Cells::default();
        let all: Vec<Cell> = (0..40).map(|_| cells.next()).collect();
        for (number, cell) in all.iter().enumerate() {
            cell.add(number as u64);
        }
        for (number, cell) in all.iter().enumerate() {
            assert_eq!(cell.sum(), number as u64);
        }
    }

    #[test]
    fn storing_replaces_what_other_threads_added() {
        let cell = Cells::default().next();
        std::thread::scope(|scope| {
            scope.spawn(|| cell.add(5));
        });
        cell.add(7);
        cell.store(3);
        assert_eq!(cell.sum(), 3);
        cell.add(1_u64.wrapping_neg());
        assert_eq!(cell.sum(), 2);
    }
}
