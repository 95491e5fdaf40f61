//! Metric types with closed label sets, resolved once, cheap on the hot path.
//!
//! A module that counts something owns a struct of handles and registers it with [`Registry`]; labels are resolved when the
//! struct is made, so that counting is one relaxed add to a cache line of the running thread's own, and a duration is two.
//! Label values come from enums and configured names, never from clients; series are made ahead of time by looking them up at
//! start, and those of deleted routes go with [`Family::retain`].
//! To add a metric: register it in the struct of the module that counts, and describe it in `docs/metrics.md`.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::{self, Bucket, MetricType};

use super::cells::{BUCKETS, Cell, Cells, Spread};
use super::family::{Family, Series};

/// Where every metric of the process is registered, and from where `/metrics` is rendered. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Ours, under the prefix `sidegate_`.
    own: prometheus::Registry,
    /// Those with names that every exporter shares (`process_*`), without a prefix.
    shared: prometheus::Registry,
}

/// A family of counters.
pub type CounterVec = Family<Counter>;
/// A family of gauges.
pub type GaugeVec = Family<Gauge>;
/// A family of histograms of seconds.
pub type HistogramVec = Family<Histogram>;

/// Buckets in seconds: from 100 µs, because a cache hit takes microseconds.
pub const SECONDS: [f64; BUCKETS - 1] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// [`SECONDS`] in nanoseconds, and an end that nothing reaches.
const NANOS: [u64; BUCKETS] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    u64::MAX,
];

/// For numbers of so many bits: how many of [`NANOS`] are smaller than all of them. Bounds are at least a factor of two apart,
/// so that at most one lies among the numbers of one bit length, and one comparison finds the bucket.
const SMALLER: [u8; 65] = {
    let mut table = [0; 65];
    let mut bits = 1;
    while bits <= 64 {
        let least = 1 << (bits - 1);
        while NANOS[table[bits] as usize] < least {
            table[bits] += 1;
        }
        bits += 1;
    }
    table
};

/// The longest duration believed, about eleven days: a broken clock must not spoil a sum for ever.
const LONGEST_NANOS: u64 = 1_000_000_000_000_000;

/// A name, help or label that can't be a metric's, or a name taken twice.
#[derive(Debug, thiserror::Error)]
#[error("metric could not be registered")]
pub struct RegisterError(#[from] prometheus::Error);

// === impl Registry ===

impl Registry {
    /// A registry that holds the process's own metrics; every name registered later gets the prefix `sidegate_`.
    ///
    /// # Errors
    /// When the process metrics can't be registered.
    pub fn new() -> Result<Self, RegisterError> {
        let shared = prometheus::Registry::new();
        #[cfg(target_os = "linux")]
        shared.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        Ok(Self {
            own: prometheus::Registry::new_custom(Some("sidegate".to_owned()), None)?,
            shared,
        })
    }

    /// A counter family.
    ///
    /// # Errors
    /// [`RegisterError`] when the name is malformed or taken.
    pub fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<CounterVec, RegisterError> {
        self.family(name, help, labels)
    }

    /// A gauge family.
    ///
    /// # Errors
    /// [`RegisterError`] when the name is malformed or taken.
    pub fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, RegisterError> {
        self.family(name, help, labels)
    }

    /// A histogram family with buckets of [`SECONDS`].
    ///
    /// # Errors
    /// [`RegisterError`] when the name is malformed or taken.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<HistogramVec, RegisterError> {
        self.family(name, help, labels)
    }

    /// A counter without labels.
    ///
    /// # Errors
    /// [`RegisterError`] when the name is malformed or taken.
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, RegisterError> {
        Ok(self
            .counters(name, help, &[])?
            .with_label_values::<&str>(&[]))
    }

    /// A gauge without labels.
    ///
    /// # Errors
    /// [`RegisterError`] when the name is malformed or taken.
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, RegisterError> {
        Ok(self.gauges(name, help, &[])?.with_label_values::<&str>(&[]))
    }

    /// `build_info`, always 1: `labels` (name, value) say what is running, such as `version`, `commit` and `rustc`.
    ///
    /// # Errors
    /// [`RegisterError`] when a label name is malformed, or on a second call.
    pub fn build_info(&self, labels: &[(&str, &str)]) -> Result<(), RegisterError> {
        let (names, values): (Vec<&str>, Vec<&str>) = labels.iter().copied().unzip();
        let help = "What is running: always 1, the labels tell. Worry when replicas differ for longer than a roll-out.";
        self.gauges("build_info", help, &names)?
            .with_label_values(&values)
            .set(1);
        Ok(())
    }

    /// The text exposition (format 0.0.4) of everything registered. Takes time and memory in proportion to the number of
    /// series and reads `/proc`: not for a thread that serves requests.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let encoder = prometheus::TextEncoder::new();
        for family in self.own.gather().into_iter().chain(self.shared.gather()) {
            let whole = text.len();
            if let Err(error) = encoder.encode_utf8(std::slice::from_ref(&family), &mut text) {
                text.truncate(whole);
                tracing::error!(metric = family.name(), %error, "metric could not be rendered");
            }
        }
        text
    }

    /// Shows a family that was made elsewhere.
    pub(super) fn register<C: Collector + 'static>(
        &self,
        collector: C,
    ) -> Result<(), RegisterError> {
        Ok(self.own.register(Box::new(collector))?)
    }

    fn family<S: Series>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Family<S>, RegisterError> {
        let family = Family::new(name, help, labels)?;
        self.register(family.clone())?;
        Ok(family)
    }
}

// === impl Counter ===

/// A monotonic counter. Clones are the same counter.
#[derive(Clone, Debug)]
pub struct Counter(Cell);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.0.add(1);
    }

    /// Adds `by`.
    #[inline]
    pub fn inc_by(&self, by: u64) {
        self.0.add(by);
    }

    /// What was counted so far.
    pub fn get(&self) -> u64 {
        self.0.sum()
    }
}

impl Series for Counter {
    type Source = Cells;
    const KIND: MetricType = MetricType::COUNTER;

    fn create(source: &Cells) -> Self {
        Self(source.next())
    }

    fn read(&self, into: &mut proto::Metric) {
        let mut counter = proto::Counter::default();
        counter.set_value(self.get() as f64);
        into.set_counter(counter);
    }
}

// === impl Gauge ===

/// A value that goes up and down. Clones are the same gauge.
///
/// Either count with [`Gauge::inc`] and [`Gauge::dec`] or [`Gauge::set`] it: both on one gauge at the same time disturb each other.
#[derive(Clone, Debug)]
pub struct Gauge(Cell);

impl Gauge {
    /// Makes it `value`.
    pub fn set(&self, value: i64) {
        self.0.store(value.cast_unsigned());
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Takes one away.
    #[inline]
    pub fn dec(&self) {
        self.add(-1);
    }

    /// Adds `by`, which may be negative.
    #[inline]
    pub fn add(&self, by: i64) {
        self.0.add(by.cast_unsigned());
    }

    /// Its value.
    pub fn get(&self) -> i64 {
        self.0.sum().cast_signed()
    }
}

impl Series for Gauge {
    type Source = Cells;
    const KIND: MetricType = MetricType::GAUGE;

    fn create(source: &Cells) -> Self {
        Self(source.next())
    }

    fn read(&self, into: &mut proto::Metric) {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(self.get() as f64);
        into.set_gauge(gauge);
    }
}

// === impl Histogram ===

/// A histogram of seconds with the buckets [`SECONDS`]. Clones are the same histogram.
#[derive(Clone, Debug)]
pub struct Histogram(Spread);

impl Histogram {
    /// Counts a duration in seconds; what is no duration (negative, NaN) counts as zero.
    #[inline]
    pub fn observe(&self, seconds: f64) {
        // Casts saturate and make NaN zero. By way of i64, because processors convert to that in one instruction.
        self.observe_nanos(((seconds * 1e9) as i64).max(0).cast_unsigned());
    }

    /// Counts a duration.
    #[inline]
    pub fn observe_duration(&self, duration: Duration) {
        self.observe_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    #[inline]
    fn observe_nanos(&self, nanos: u64) {
        let nanos = nanos.min(LONGEST_NANOS);
        self.0.add(bucket(nanos), nanos);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.0.read().buckets.iter().sum()
    }
}

/// The first bucket whose bound is not exceeded.
#[inline]
fn bucket(nanos: u64) -> usize {
    let bits = u64::BITS - nanos.leading_zeros();
    let smaller = usize::from(SMALLER[bits as usize]);
    smaller + usize::from(nanos > NANOS[smaller])
}

impl Series for Histogram {
    type Source = ();
    const KIND: MetricType = MetricType::HISTOGRAM;

    fn create((): &()) -> Self {
        Self(Spread::new())
    }

    fn read(&self, into: &mut proto::Metric) {
        let reading = self.0.read();
        let mut cumulative = 0;
        // The encoder adds the last bucket, `+Inf`, by itself.
        let buckets = SECONDS
            .iter()
            .zip(reading.buckets)
            .map(|(&bound, count)| {
                cumulative += count;
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(cumulative);
                bucket
            })
            .collect();
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(reading.buckets.iter().sum());
        histogram.set_sample_sum(reading.nanos as f64 / 1e9);
        into.set_histogram(histogram);
    }
}

#[cfg(test)]
mod tests;
