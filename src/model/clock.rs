//! Time and entropy as values: the only place that reads the system's clocks and its random source.
//!
//! Everything below a door takes a [`Now`]; a test moves a [`Clock::manual`] instead of sleeping.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Monotonic time since the [`Clock`] was made. For time-outs and life spans.
    pub mono: Duration,
    /// Time since the Unix epoch. For timestamps that leave the process, and for expiry dates that came from outside.
    pub unix: Duration,
}

impl Now {
    /// Milliseconds since the Unix epoch.
    pub fn unix_millis(&self) -> u64 {
        u64::try_from(self.unix.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A source of [`Now`]. Clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(Instant),
    Manual {
        mono: Arc<AtomicU64>,
        unix_offset: Arc<AtomicU64>,
    },
}

impl Clock {
    /// The machine's clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "this module is the one place that reads the clock"
    )]
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// A clock that stands still at `unix` until [`Clock::advance`] moves it.
    pub fn manual(unix: Duration) -> Self {
        Self(Source::Manual {
            mono: Arc::new(AtomicU64::new(0)),
            unix_offset: Arc::new(AtomicU64::new(
                u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX),
            )),
        })
    }

    /// Reads the time.
    #[expect(
        clippy::disallowed_methods,
        reason = "this module is the one place that reads the clock"
    )]
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System(start) => Now {
                mono: start.elapsed(),
                // A clock before 1970 is a broken machine; zero makes every credential look expired, which is the safe side.
                unix: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            },
            Source::Manual { mono, unix_offset } => {
                let mono = mono.load(Ordering::SeqCst);
                let unix = unix_offset.load(Ordering::SeqCst).saturating_add(mono);
                Now {
                    mono: Duration::from_nanos(mono),
                    unix: Duration::from_nanos(unix),
                }
            }
        }
    }

    /// Moves a manual clock forward; the system's clock can't be moved and ignores it.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { mono, .. } = &self.0 {
            mono.fetch_add(
                u64::try_from(by.as_nanos()).unwrap_or(u64::MAX),
                Ordering::SeqCst,
            );
        }
    }
}

/// Unpredictable bytes from the operating system's generator (aws-lc).
///
/// # Panics
/// Never on input: only when the operating system has no entropy source, where nothing secure could go on.
#[expect(
    clippy::expect_used,
    reason = "without entropy no key can be made and the process must not go on"
)]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system provides entropy");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Duration::from_secs(1_000));
        let before = clock.now();
        assert_eq!(before, clock.now());
        clock.clone().advance(Duration::from_secs(5));
        assert_eq!(clock.now().mono - before.mono, Duration::from_secs(5));
        assert_eq!(clock.now().unix, Duration::from_secs(1_005));
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random_bytes::<32>(), random_bytes::<32>());
    }
}
