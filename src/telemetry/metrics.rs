//! Metric types with closed label sets, resolved once, cheap on the hot path.
//!
//! A module that counts something owns a struct of handles and registers it with [`Registry`]; labels are resolved when the
//! struct is made, so that counting is one relaxed add. Label values come from enums and configured names, never from clients.

use prometheus::core::Collector;

/// Where every metric of the process is registered, and from where `/metrics` is rendered. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry(prometheus::Registry);

/// A monotonic counter.
pub type Counter = prometheus::IntCounter;
/// A family of counters.
pub type CounterVec = prometheus::IntCounterVec;
/// A value that goes up and down.
pub type Gauge = prometheus::IntGauge;
/// A family of gauges.
pub type GaugeVec = prometheus::IntGaugeVec;
/// A histogram of seconds.
pub type Histogram = prometheus::Histogram;
/// A family of histograms.
pub type HistogramVec = prometheus::HistogramVec;

/// Buckets in seconds: from 100 µs, because a cache hit takes microseconds.
pub const SECONDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// A name, help or label that can't be a metric's, or a name taken twice.
#[derive(Debug, thiserror::Error)]
#[error("metric could not be registered")]
pub struct RegisterError(#[from] prometheus::Error);

impl Registry {
    /// An empty registry; every name gets the prefix `sidegate_`.
    ///
    /// # Errors
    /// When the process metrics can't be registered.
    pub fn new() -> Result<Self, RegisterError> {
        Ok(Self(prometheus::Registry::new_custom(
            Some("sidegate".to_owned()),
            None,
        )?))
    }

    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, RegisterError> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
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
        self.register(CounterVec::new(prometheus::Opts::new(name, help), labels)?)
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
        self.register(GaugeVec::new(prometheus::Opts::new(name, help), labels)?)
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
        let options = prometheus::HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.register(HistogramVec::new(options, labels)?)
    }

    /// The text exposition of everything registered.
    pub fn render(&self) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&self.0.gather())
            .unwrap_or_default()
    }
}
