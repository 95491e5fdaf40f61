//! Which of a few copies of a thing the running thread works on, so that worker threads don't pull one cache line to and fro.
//!
//! Threads are numbered in order of first use. Two threads may share a shard, so what lies in one is still atomic or locked:
//! sharing costs time, never correctness.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More shards than this cost memory and slow scrapes for nothing: a sidecar runs on few cores.
const MOST: usize = 16;

/// How many shards there are: the cores, rounded up to a power of two.
pub fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::thread::available_parallelism()
            .map_or(1, std::num::NonZero::get)
            .next_power_of_two()
            .min(MOST)
    })
}

/// The number of the running thread; take it modulo the number of shards.
#[inline]
pub fn index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    const UNSET: usize = usize::MAX;
    thread_local! {
        static INDEX: Cell<usize> = const { Cell::new(UNSET) };
    }
    INDEX.with(|index| {
        if index.get() == UNSET {
            index.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        index.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_number_and_shares_it_with_nobody() {
        let mine = index();
        assert_eq!(mine, index());
        let theirs = std::thread::spawn(index).join().unwrap();
        assert_ne!(mine, theirs);
        assert!(count().is_power_of_two() && count() <= MOST);
    }
}
