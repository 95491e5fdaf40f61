//! A metric's series by their label values, and how they are shown to the scraper.
//!
//! Looking a series up takes a read lock and a hash; counting in one takes neither, so look up once and keep the handle.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// A handle that counts in one series. Clones count in the same one.
pub trait Series: Clone + Send + Sync + 'static {
    /// Where a family's series get their memory from.
    type Source: Default + Send + Sync;
    /// What the exposition calls this kind of metric.
    const KIND: MetricType;

    /// A series at zero.
    fn create(source: &Self::Source) -> Self;

    /// The current value.
    fn read(&self, into: &mut Metric);
}

/// A metric with labels: a set of series, one for each combination of label values seen. Clones are the same family.
pub struct Family<S: Series>(Arc<Inner<S>>);

struct Inner<S: Series> {
    desc: Desc,
    source: S::Source,
    hasher: RandomState,
    /// By the hash of the label values, so that a look-up needs no owned key.
    series: RwLock<HashMap<u64, Vec<(Values, S)>>>,
}

type Values = Box<[Box<str>]>;

impl<S: Series> Family<S> {
    /// A family that no scraper sees yet.
    ///
    /// # Errors
    /// When name, help or a label name is malformed.
    pub(super) fn new(name: &str, help: &str, labels: &[&str]) -> Result<Self, prometheus::Error> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        Ok(Self(Arc::new(Inner {
            desc: Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?,
            source: S::Source::default(),
            hasher: RandomState::new(),
            series: RwLock::default(),
        })))
    }

    /// The series with these label values, in the order of the label names; made at zero on first sight, so that calling this
    /// when the program starts is how a series is created ahead of time.
    ///
    /// Give exactly as many values as there are labels: too few count as empty, too many are dropped.
    pub fn with_label_values<V: AsRef<str>>(&self, values: &[V]) -> S {
        let labels = self.0.desc.variable_labels.len();
        debug_assert_eq!(values.len(), labels, "one value per label");
        let hash = self.hash(values);
        let series = self.0.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = find(&series, hash, values) {
            return found.clone();
        }
        drop(series);
        let mut series = self
            .0
            .series
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Somebody may have made it between the two locks.
        if let Some(found) = find(&series, hash, values) {
            return found.clone();
        }
        let made = S::create(&self.0.source);
        let owned = values.iter().map(|value| value.as_ref().into()).collect();
        series.entry(hash).or_default().push((owned, made.clone()));
        made
    }

    /// Takes a series out of the exposition. Handles to it go on working, unseen.
    ///
    /// # Errors
    /// When there is no such series.
    pub fn remove_label_values<V: AsRef<str>>(
        &self,
        values: &[V],
    ) -> Result<(), prometheus::Error> {
        let mut found = false;
        self.retain(|held| {
            let same = same(held, values);
            found |= same;
            !same
        });
        match found {
            true => Ok(()),
            false => Err(prometheus::Error::Msg("no such series".to_owned())),
        }
    }

    /// Takes every series out of the exposition.
    pub fn reset(&self) {
        self.retain(|_| false);
    }

    /// Keeps the series whose label values `keep` accepts, such as those of routes that still exist after a reload.
    pub fn retain(&self, mut keep: impl FnMut(&[Box<str>]) -> bool) {
        self.0
            .series
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, bucket| {
                bucket.retain(|(values, _)| keep(values));
                !bucket.is_empty()
            });
    }

    fn hash<V: AsRef<str>>(&self, values: &[V]) -> u64 {
        let mut hasher = self.0.hasher.build_hasher();
        for value in values {
            value.as_ref().hash(&mut hasher);
        }
        hasher.finish()
    }

    fn metric(&self, values: &[Box<str>], series: &S) -> Metric {
        let names = self.0.desc.variable_labels.iter();
        let values = values
            .iter()
            .map(AsRef::as_ref)
            .chain(std::iter::repeat(""));
        let labels = names
            .zip(values)
            .map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name(name.clone());
                pair.set_value(String::from(value));
                pair
            })
            .collect();
        let mut metric = Metric::from_label(labels);
        series.read(&mut metric);
        metric
    }
}

fn find<'a, S, V: AsRef<str>>(
    series: &'a HashMap<u64, Vec<(Values, S)>>,
    hash: u64,
    values: &[V],
) -> Option<&'a S> {
    let (_, found) = series
        .get(&hash)?
        .iter()
        .find(|(held, _)| same(held, values))?;
    Some(found)
}

fn same<V: AsRef<str>>(held: &[Box<str>], values: &[V]) -> bool {
    held.iter()
        .map(AsRef::as_ref)
        .eq(values.iter().map(AsRef::as_ref))
}

impl<S: Series> Collector for Family<S> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.0.series.read().unwrap_or_else(PoisonError::into_inner);
        let metrics = series
            .values()
            .flatten()
            .map(|(values, series)| self.metric(values, series))
            .collect();
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(S::KIND);
        family.set_metric(metrics);
        vec![family]
    }
}

impl<S: Series> Clone for Family<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Series> fmt::Debug for Family<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Family").field(&self.0.desc.fq_name).finish()
    }
}
