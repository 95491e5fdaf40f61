//! Which route takes a request.
//!
//! Always true: the first match in written order wins; no match is a refusal; a method that no route lists only reaches
//! routes that take any method. Matching sees decoded segments of the canonical path and the canonical host, nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::config::bounds::{Addresses, Preflight};
use crate::config::forwards::{ApiKeyGrant, Assertion, Conveyed};
use crate::config::settings::{self, Forward, Settings};
use crate::model::privilege::Atom;

use super::extract::ways::Ways;
use super::pattern::{PathPattern, PatternError, Segment};
use super::requirement::{self, AtomTable, Rule};
use super::target::Target;
use super::trie::{HostPattern, Methods, Query, Trie, Wanted};

/// A route, compiled.
#[derive(Debug)]
pub struct Route {
    /// Unique name.
    pub name: String,
    /// Position in written order; also its index in per-route metric tables.
    pub index: usize,
    /// Position of its upstream in the name order of `Settings::upstreams`.
    pub upstream: usize,
    /// How the identity travels.
    pub forward: Forward,
    /// Position of `forward` among the distinct forwardings of the table: the slot of prebuilt headers in a cache entry.
    pub forward_slot: usize,
    /// What the forwarding needs of the credential; `None`: nothing.
    pub(super) demand: Option<Demand>,
    /// Slot of the credential that is exchanged for the upstream, in [`super::exchanged::Exchanged`].
    pub credential_slot: Option<usize>,
    /// Slot of the assertion made for the upstream.
    pub assertion_slot: Option<usize>,
    /// Whether WebSocket upgrades are tunnelled.
    pub websocket: bool,
    /// How often what lasts is looked at again; `None`: never.
    pub recheck: Option<Duration>,
    /// What it takes for a credential beside `Authorization`.
    pub ways: Ways,
    /// Whence it takes requests; `None`: from everywhere.
    pub(super) addresses: Option<Addresses>,
    /// What becomes of CORS preflights.
    pub preflight: Preflight,
    /// Which requests it takes, as configured.
    pub matches: settings::Match,
    /// Names of the listeners it counts on. Empty: all of them.
    pub listeners: Vec<String>,
    /// What it asks, compiled.
    pub(super) rule: Rule,
    pattern: PathPattern,
}

impl Route {
    /// `everyone`, `authenticated` or `require`.
    pub const fn access(&self) -> &'static str {
        match self.rule {
            Rule::Everyone => "everyone",
            Rule::Authenticated => "authenticated",
            Rule::Require(_) => "require",
        }
    }
}

/// All routes, compiled.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    forwardings: Vec<Forward>,
    exchanges: Vec<Exchange>,
    atoms: AtomTable,
    methods: MethodBits,
    /// The routes that count on every listener.
    trie: Trie,
    /// For each listener that a route names: the routes that count on it, those that count everywhere included.
    by_listener: Vec<(String, Trie)>,
}

/// What is made for an upstream, once per identity however many routes want it.
#[derive(Clone, Debug, PartialEq)]
enum Exchange {
    Token,
    ApiKey(Arc<ApiKeyGrant>),
    Assertion(Assertion),
}

impl Exchange {
    fn of_credential(conveyed: &Conveyed) -> Option<Self> {
        match conveyed {
            Conveyed::Token => Some(Self::Token),
            Conveyed::ApiKey(grant) => Some(Self::ApiKey(Arc::clone(grant))),
            Conveyed::Nothing | Conveyed::Client | Conveyed::RunAs => None,
        }
    }
}

/// What a forwarding needs of the client's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// To exchange it for an access token.
    Token,
    /// To exchange it for an API key.
    ApiKey,
    /// To pass it on to Elasticsearch, or what stands for it.
    Client,
    /// The same, beside Sidegate's own.
    Beside,
}

impl Demand {
    fn of(forward: &Forward) -> Option<Self> {
        let combined = forward.combined()?;
        match combined.credential {
            Conveyed::Client if combined.secondary => Some(Self::Beside),
            Conveyed::Token => Some(Self::Token),
            Conveyed::ApiKey(_) => Some(Self::ApiKey),
            Conveyed::Client if combined.elasticsearch => Some(Self::Client),
            Conveyed::Client | Conveyed::Nothing | Conveyed::RunAs => None,
        }
    }

    /// Whether it can be had for somebody who acts as another user.
    pub(super) const fn takes_run_as(self) -> bool {
        matches!(self, Self::ApiKey | Self::Client)
    }

    /// Whether it can't be had for somebody who shows nothing.
    pub(super) const fn takes_somebody(self) -> bool {
        !matches!(self, Self::Client)
    }

    /// In words, for `explain`.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Token => "an access token",
            Self::ApiKey => "an API key",
            Self::Client => "the credential, or a token that stands for it",
            Self::Beside => "the credential beside Sidegate's own",
        }
    }
}

/// Why a route can't be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route {route}: {what}")]
pub struct RouteFault {
    /// The route's name.
    pub route: String,
    /// What is wrong.
    pub what: RouteFaultKind,
}

/// What is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteFaultKind {
    /// The path is no pattern.
    #[error(transparent)]
    Path(#[from] PatternError),
    /// A template names a capture that the path doesn't have.
    #[error("the path captures no {{{0}}}")]
    Capture(String),
    /// The upstream doesn't exist.
    #[error("there is no upstream {0}")]
    Upstream(String),
    /// More than 64 distinct methods are listed in all.
    #[error("too many distinct methods")]
    Methods,
}

/// A route that can never match, and the earlier route that takes its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The route that never matches.
    pub route: String,
    /// The first route that takes what it would take.
    pub by: String,
}

/// Methods that routes list; each has a bit.
#[derive(Debug, Default)]
struct MethodBits(Vec<Method>);

impl MethodBits {
    fn bit(&self, method: &Method) -> u64 {
        self.0
            .iter()
            .position(|known| known == method)
            .map_or(0, |at| 1 << at)
    }

    fn intern(&mut self, listed: &[String]) -> Option<Methods> {
        if listed.is_empty() {
            return Some(Methods::Any);
        }
        let mut mask = 0;
        for name in listed {
            let method = Method::from_bytes(name.as_bytes()).ok()?;
            if !self.0.contains(&method) {
                if self.0.len() == 64 {
                    return None;
                }
                self.0.push(method.clone());
            }
            mask |= self.bit(&method);
        }
        Some(Methods::Listed(mask))
    }
}

impl RouteTable {
    /// Compiles the routes of `settings`.
    ///
    /// # Errors
    /// Every [`RouteFault`] at once. Checked settings have none.
    pub fn compile(settings: &Settings) -> Result<Self, Vec<RouteFault>> {
        let mut table = Self {
            routes: Vec::with_capacity(settings.routes.len()),
            forwardings: Vec::new(),
            exchanges: Vec::new(),
            atoms: AtomTable::default(),
            methods: MethodBits::default(),
            trie: Trie::default(),
            by_listener: named_listeners(settings),
        };
        let mut faults = Vec::new();
        for route in &settings.routes {
            if let Err(what) = table.add(route, settings) {
                faults.push(RouteFault {
                    route: route.name.clone(),
                    what,
                });
            }
        }
        if faults.is_empty() {
            Ok(table)
        } else {
            Err(faults)
        }
    }

    fn add(&mut self, route: &settings::Route, settings: &Settings) -> Result<(), RouteFaultKind> {
        let pattern = PathPattern::parse(&route.matches.path)?;
        let rule = requirement::compile(&route.access, &pattern, &mut self.atoms)
            .map_err(RouteFaultKind::Capture)?;
        let upstream = settings
            .upstreams
            .keys()
            .position(|name| *name == route.upstream)
            .ok_or_else(|| RouteFaultKind::Upstream(route.upstream.clone()))?;
        let methods = self
            .methods
            .intern(&route.matches.methods)
            .ok_or(RouteFaultKind::Methods)?;
        let index = self.routes.len();
        for host in host_patterns(&route.matches) {
            for trie in self.tries_of(&route.listeners) {
                trie.insert(host, &pattern, methods, index);
            }
        }
        let forward_slot = self.forward_slot(&route.forward);
        let combined = route.forward.combined();
        let credential =
            combined.and_then(|combined| Exchange::of_credential(&combined.credential));
        let assertion = combined.and_then(|combined| combined.assertion.clone());
        let credential_slot = credential.map(|exchange| self.exchange_slot(exchange));
        let assertion_slot =
            assertion.map(|assertion| self.exchange_slot(Exchange::Assertion(assertion)));
        self.routes.push(Arc::new(Route {
            name: route.name.clone(),
            index,
            upstream,
            forward: route.forward.clone(),
            forward_slot,
            demand: Demand::of(&route.forward),
            credential_slot,
            assertion_slot,
            websocket: route.websocket,
            recheck: route.recheck,
            ways: Ways::new(&route.credentials),
            addresses: route.rules.addresses.clone(),
            preflight: route.rules.preflight.clone(),
            matches: route.matches.clone(),
            listeners: route.listeners.clone(),
            rule,
            pattern,
        }));
        Ok(())
    }

    /// The tries that hold a route which counts on these listeners.
    fn tries_of(&mut self, listeners: &[String]) -> impl Iterator<Item = &mut Trie> {
        let everywhere = listeners.is_empty();
        let own = self.by_listener.iter_mut();
        let own = own.filter(move |(name, _)| everywhere || listeners.contains(name));
        everywhere
            .then_some(&mut self.trie)
            .into_iter()
            .chain(own.map(|(_, trie)| trie))
    }

    /// The trie of the requests that come in at this listener.
    fn trie_at(&self, listener: &str) -> &Trie {
        self.by_listener
            .iter()
            .find(|(name, _)| name == listener)
            .map_or(&self.trie, |(_, trie)| trie)
    }

    fn forward_slot(&mut self, forward: &Forward) -> usize {
        match self.forwardings.iter().position(|known| known == forward) {
            Some(slot) => slot,
            None => {
                self.forwardings.push(forward.clone());
                self.forwardings.len() - 1
            }
        }
    }

    fn exchange_slot(&mut self, exchange: Exchange) -> usize {
        match self.exchanges.iter().position(|known| *known == exchange) {
            Some(slot) => slot,
            None => {
                self.exchanges.push(exchange);
                self.exchanges.len() - 1
            }
        }
    }

    /// The first route that takes this request, which came in at this listener.
    pub fn find(&self, listener: &str, target: &Target, method: &Method) -> Option<&Arc<Route>> {
        /// Segments held without allocating; deeper paths are rare.
        const SHALLOW: usize = 16;
        let mut shallow = [Wanted::Every; SHALLOW];
        let bit = self.methods.bit(method);
        let trie = self.trie_at(listener);
        let path = target.path();
        if path.contains('%') || path.bytes().filter(|byte| *byte == b'/').count() > SHALLOW {
            let segments: Vec<_> = target.segments().collect();
            let wanted: Vec<_> = segments.iter().map(|text| Wanted::Text(text)).collect();
            return self.first(trie, target.host(), &wanted, bit);
        }
        let inner = path.trim_matches('/');
        let mut count = 0;
        if !inner.is_empty() {
            for (slot, segment) in shallow.iter_mut().zip(inner.split('/')) {
                *slot = Wanted::Text(segment);
                count += 1;
            }
        }
        self.first(trie, target.host(), shallow.get(..count)?, bit)
    }

    fn first(
        &self,
        trie: &Trie,
        host: &str,
        segments: &[Wanted<'_>],
        bit: u64,
    ) -> Option<&Arc<Route>> {
        let query = Query {
            segments,
            rest: false,
            method: Some(bit),
        };
        let at = trie.find(HostPattern::Exact(host), query, usize::MAX)?;
        self.routes.get(at)
    }

    /// Routes that can never match because earlier ones take all their requests. Finds every route covered, host by host
    /// and method by method, by single earlier routes; not those that only several path patterns together cover.
    pub fn shadowed(&self) -> Vec<Shadowed> {
        self.routes
            .iter()
            .filter_map(|route| {
                let by = self.cover(route)?;
                Some(Shadowed {
                    route: route.name.clone(),
                    by: self.routes.get(by)?.name.clone(),
                })
            })
            .collect()
    }

    /// The first route before this one that takes a part of its requests, when on every listener all are taken.
    fn cover(&self, route: &Route) -> Option<usize> {
        if route.listeners.is_empty() {
            return self.cover_in(&self.trie, route);
        }
        let covers = route
            .listeners
            .iter()
            .map(|name| self.cover_in(self.trie_at(name), route));
        covers.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    fn cover_in(&self, trie: &Trie, route: &Route) -> Option<usize> {
        let segments: Vec<_> = route
            .pattern
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => Wanted::Text(text),
                Segment::One(_) => Wanted::Every,
            })
            .collect();
        let methods: Vec<Option<u64>> = if route.matches.methods.is_empty() {
            vec![None]
        } else {
            let known = route.matches.methods.iter();
            known
                .filter_map(|name| Method::from_bytes(name.as_bytes()).ok())
                .map(|method| Some(self.methods.bit(&method)))
                .collect()
        };
        let mut first = None;
        for host in host_patterns(&route.matches) {
            for method in &methods {
                let query = Query {
                    segments: &segments,
                    rest: route.pattern.rest,
                    method: *method,
                };
                let by = trie.find(host, query, route.index)?;
                first = Some(first.map_or(by, |first: usize| first.min(by)));
            }
        }
        first
    }

    /// The routes in written order.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The distinct forwardings; [`Route::forward_slot`] is a position here.
    pub fn forwardings(&self) -> &[Forward] {
        &self.forwardings
    }

    /// How many distinct exchanges there are: slots of what an identity was exchanged for.
    pub fn exchanges(&self) -> usize {
        self.exchanges.len()
    }

    /// The static atoms of all routes, each once; what is asked about a credential on first sight.
    pub fn atoms(&self) -> &[Atom] {
        self.atoms.atoms()
    }
}

/// Every listener that a route names, once.
fn named_listeners(settings: &Settings) -> Vec<(String, Trie)> {
    let named = settings.routes.iter().flat_map(|route| &route.listeners);
    let names: BTreeSet<&String> = named.collect();
    names
        .into_iter()
        .map(|name| (name.clone(), Trie::default()))
        .collect()
}

fn host_patterns(matches: &settings::Match) -> Vec<HostPattern<'_>> {
    if matches.hosts.is_empty() {
        return vec![HostPattern::Any];
    }
    matches
        .hosts
        .iter()
        .map(|host| HostPattern::of(host))
        .collect()
}

#[cfg(test)]
mod tests;
