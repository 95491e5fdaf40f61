//! A number of places that requests take and give back, counted exactly and without a cache line that all cores write.
//!
//! Free places lie in shares, one per core; a thread takes from its own and gives back to its own, and only moves places in
//! bulk between its share and the common stock. Always true: there are never more taken than there are, and none is lost.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::telemetry::shard;

/// Places moved at a time between a share and the stock.
const BULK: usize = 32;

/// The places.
#[derive(Debug)]
pub struct Places {
    stock: Share,
    shares: Box<[Share]>,
}

/// Alone in its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Share(AtomicUsize);

impl Share {
    /// Takes up to so many; tells how many that were.
    fn take(&self, most: usize) -> usize {
        let taken = |free: usize| (free > 0).then(|| free.saturating_sub(most));
        match self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
        {
            Ok(free) => free.min(most),
            Err(_) => 0,
        }
    }

    fn put(&self, count: usize) -> usize {
        self.0.fetch_add(count, Ordering::Relaxed) + count
    }
}

impl Places {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self {
            stock: Share(AtomicUsize::new(count)),
            shares: (0..shard::count()).map(|_| Share::default()).collect(),
        }
    }

    /// Takes one, if any is free. Whoever takes one gives it back with [`Places::give_back`].
    pub fn take(&self) -> bool {
        let mine = self.mine();
        if mine.take(1) == 1 {
            return true;
        }
        match self.stock.take(BULK) {
            // The others hold what is left, if anything is.
            0 => self.shares.iter().any(|share| share.take(1) == 1),
            got => {
                mine.put(got - 1);
                true
            }
        }
    }

    /// Gives one back.
    pub fn give_back(&self) {
        let mine = self.mine();
        if mine.put(1) > 2 * BULK {
            self.stock.put(mine.take(BULK));
        }
    }

    fn mine(&self) -> &Share {
        &self.shares[shard::index() % self.shares.len()]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn there_are_as_many_as_there_are_whichever_thread_asks() {
        let places = Arc::new(Places::new(100));
        let elsewhere = {
            let places = Arc::clone(&places);
            std::thread::spawn(move || (0..40).filter(|_| places.take()).count())
        };
        assert_eq!(elsewhere.join().unwrap(), 40);
        let taken = (0..200).filter(|_| places.take()).count();
        assert_eq!(taken, 60, "what another thread has left over is found");
        for _ in 0..100 {
            places.give_back();
        }
        assert_eq!((0..200).filter(|_| places.take()).count(), 100);
    }

    #[test]
    fn many_threads_never_hold_more_than_there_are() {
        let (places, held) = (Arc::new(Places::new(3)), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (places, held) = (Arc::clone(&places), Arc::clone(&held));
                std::thread::spawn(move || {
                    for _ in 0..2_000 {
                        if places.take() {
                            assert!(held.fetch_add(1, Ordering::SeqCst) < 3);
                            held.fetch_sub(1, Ordering::SeqCst);
                            places.give_back();
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!((0..10).filter(|_| places.take()).count(), 3);
    }
}
