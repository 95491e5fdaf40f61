//! Routes that can never match, because one before them takes everything they would.

use std::collections::HashMap;

use crate::config::check::report::Report;
use crate::config::fault::At;
use crate::config::patterns::{PathPattern, Segment};
use crate::config::settings::{Match, Route};

/// What a route takes.
pub(super) struct Taken {
    index: usize,
    name: String,
    matches: Match,
    listeners: Vec<String>,
    path: PathPattern,
}

impl Taken {
    /// What the route at this position takes.
    pub(super) fn new(index: usize, route: &Route, path: &PathPattern) -> Self {
        Self {
            index,
            name: route.name.clone(),
            matches: route.matches.clone(),
            listeners: route.listeners.clone(),
            path: path.clone(),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        self.path.covers(&other.path)
            && (self.listeners.is_empty()
                || !other.listeners.is_empty()
                    && other
                        .listeners
                        .iter()
                        .all(|name| self.listeners.contains(name)))
            && (self.matches.methods.is_empty()
                || !other.matches.methods.is_empty()
                    && other
                        .matches
                        .methods
                        .iter()
                        .all(|method| self.matches.methods.contains(method)))
            && (self.matches.hosts.is_empty()
                || !other.matches.hosts.is_empty()
                    && other.matches.hosts.iter().all(|host| {
                        self.matches
                            .hosts
                            .iter()
                            .any(|ours| host_covers(ours, host))
                    }))
    }

    /// Up to two literals that the path begins with. Only a route that begins with the same, or fewer of them, can cover this.
    fn beginning(&self) -> Vec<&str> {
        let literals = self
            .path
            .segments
            .iter()
            .map_while(|segment| match segment {
                Segment::Literal(text) => Some(text.as_str()),
                Segment::Capture(_) | Segment::Any | Segment::Rest => None,
            });
        literals.take(2).collect()
    }
}

fn host_covers(ours: &str, theirs: &str) -> bool {
    ours == theirs
        || ours
            .strip_prefix('*')
            .is_some_and(|domain| theirs.len() > domain.len() && theirs.ends_with(domain))
}

/// Warns of every route that one before it covers.
pub(super) fn warn_of_shadows(report: &mut Report<'_>, taken: &[Taken]) {
    /// Comparisons at most: ten thousand routes below the same two segments are checked in part rather than for a minute.
    const MAX_COMPARISONS: usize = 5_000_000;
    let at = At::ROOT.key("routes");
    let mut before: HashMap<Vec<&str>, Vec<&Taken>> = HashMap::new();
    let mut left = MAX_COMPARISONS;
    for route in taken {
        let beginning = route.beginning();
        let candidates: Vec<&Taken> = (0..=beginning.len())
            .filter_map(|length| before.get(&beginning[..length]))
            .flatten()
            .copied()
            .collect();
        let Some(rest) = left.checked_sub(candidates.len()) else {
            return;
        };
        left = rest;
        if let Some(other) = candidates
            .into_iter()
            .filter(|other| other.covers(route))
            .min_by_key(|other| other.index)
        {
            let here = at.index(route.index);
            report
                .warn(
                    &here,
                    format!(
                        "route `{}` can never match: `{}` before it takes all of that",
                        route.name, other.name
                    ),
                )
                .hint("the first match wins: put the narrower route first");
        }
        before.entry(beginning).or_default().push(route);
    }
}
