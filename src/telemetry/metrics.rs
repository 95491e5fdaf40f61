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

/// [`SECONDS`] in nanoseconds: integers compare faster, and add up without a loop.
const NANOS: [u64; BUCKETS - 1] = [
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
];

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
        // The cast saturates at both ends and makes NaN zero, which is what is wanted.
        self.observe_nanos((seconds * 1e9) as u64);
    }

    /// Counts a duration.
    #[inline]
    pub fn observe_duration(&self, duration: Duration) {
        self.observe_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    #[inline]
    fn observe_nanos(&self, nanos: u64) {
        let nanos = nanos.min(LONGEST_NANOS);
        // Counting all smaller bounds compiles to a few vector compares without a branch; a search would mispredict.
        let bucket = NANOS.iter().map(|&bound| usize::from(nanos > bound)).sum();
        self.0.add(bucket, nanos);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.0.read().buckets.iter().sum()
    }
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
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn line<'a>(text: &'a str, start: &str) -> Option<&'a str> {
        text.lines()
            .find_map(|line| line.strip_prefix(start)?.strip_prefix(' '))
    }

    #[test]
    fn a_counter_made_ahead_of_time_shows_zero_and_then_what_was_counted() {
        let registry = Registry::new().unwrap();
        let family = registry
            .counters("things_total", "Things.", &["kind", "size"])
            .unwrap();
        let small = family.with_label_values(&["red", "small"]);
        let name = r#"sidegate_things_total{kind="red",size="small"}"#;
        assert_eq!(line(&registry.render(), name), Some("0"));
        small.inc();
        family
            .with_label_values(&["red".to_owned(), "small".to_owned()])
            .inc_by(2);
        family.with_label_values(&["small", "red"]).inc();
        assert_eq!(line(&registry.render(), name), Some("3"));
        assert_eq!(small.get(), 3);
    }

    #[test]
    fn buckets_are_cumulative_and_bounds_belong_to_their_bucket() {
        let registry = Registry::new().unwrap();
        let spread = registry
            .histograms("wait_seconds", "Waiting.", &["who"])
            .unwrap()
            .with_label_values(&["me"]);
        for bound in SECONDS {
            spread.observe(bound);
        }
        spread.observe_duration(Duration::from_secs(11));
        let text = registry.render();
        for (position, bound) in SECONDS.iter().enumerate() {
            let name = format!(r#"sidegate_wait_seconds_bucket{{who="me",le="{bound}"}}"#);
            assert_eq!(
                line(&text, &name),
                Some((position + 1).to_string().as_str())
            );
        }
        assert_eq!(
            line(&text, r#"sidegate_wait_seconds_bucket{who="me",le="+Inf"}"#),
            Some("17")
        );
        assert_eq!(
            line(&text, r#"sidegate_wait_seconds_count{who="me"}"#),
            Some("17")
        );
        let sum: f64 = line(&text, r#"sidegate_wait_seconds_sum{who="me"}"#)
            .unwrap()
            .parse()
            .unwrap();
        assert!((sum - SECONDS.iter().sum::<f64>() - 11.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_duration_counts_as_zero_and_spoils_nothing() {
        let spread = Histogram::create(&());
        for odd in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            spread.observe(odd);
        }
        assert_eq!(spread.0.read().nanos, 0);
        assert_eq!(spread.0.read().buckets[0], 3);
        spread.observe(f64::INFINITY);
        assert_eq!(spread.0.read().nanos, LONGEST_NANOS);
        assert_eq!(spread.count(), 4);
    }

    #[test]
    fn a_gauge_follows_threads_that_open_and_threads_that_close() {
        let gauge = Registry::new().unwrap().gauge("open", "Open.").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..5).for_each(|_| gauge.inc()));
        });
        (0..7).for_each(|_| gauge.dec());
        assert_eq!(gauge.get(), -2);
        gauge.set(9);
        assert_eq!(gauge.get(), 9);
    }

    #[test]
    fn series_of_a_deleted_route_disappear_and_their_handles_stay_harmless() {
        let registry = Registry::new().unwrap();
        let family = registry
            .counters("hits_total", "Hits.", &["route"])
            .unwrap();
        let (old, kept) = (
            family.with_label_values(&["old"]),
            family.with_label_values(&["kept"]),
        );
        old.inc();
        family.retain(|values| &*values[0] == "kept");
        old.inc();
        kept.inc();
        let text = registry.render();
        assert!(!text.contains("old") && text.contains(r#"sidegate_hits_total{route="kept"} 1"#));
        assert!(family.remove_label_values(&["kept"]));
        assert!(!family.remove_label_values(&["kept"]));
        assert!(!registry.render().contains("sidegate_hits_total"));
    }

    #[test]
    fn a_name_is_taken_once_and_must_be_one() {
        let registry = Registry::new().unwrap();
        registry.counters("a_total", "A.", &[]).unwrap();
        assert!(registry.counters("a_total", "A.", &[]).is_err());
        assert!(registry.gauges("b-c", "B.", &[]).is_err());
    }

    #[test]
    fn label_values_with_quotes_and_newlines_stay_one_line() {
        let registry = Registry::new().unwrap();
        let family = registry.counters("a_total", "A.", &["route"]).unwrap();
        family.with_label_values(&["a\"b\nc\\d"]).inc();
        assert!(registry.render().contains(r#"{route="a\"b\nc\\d"} 1"#));
    }

    #[test]
    fn the_exposition_is_clean_in_the_eyes_of_promtool() {
        let registry = Registry::new().unwrap();
        registry
            .build_info(&[("version", "1.2.3"), ("commit", "abc")])
            .unwrap();
        registry.counter("a_total", "A.").unwrap().inc();
        registry.gauge("open", "Open.").unwrap().set(1);
        let seconds = registry.histograms("wait_seconds", "Waiting.", &["route"]).unwrap();
        seconds.with_label_values(&["x"]).observe(0.5);
        let text = registry.render();
        assert!(text.contains(r#"sidegate_build_info{version="1.2.3",commit="abc"} 1"#));
        assert!(text.contains("\nprocess_open_fds ") && !text.contains("sidegate_process"));
        let promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        // The integration tests insist on promtool; here it is a convenience.
        let Ok(mut promtool) = promtool else { return };
        promtool
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}
