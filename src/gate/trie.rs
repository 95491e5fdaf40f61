//! Finds the first route in written order for a host, a path and a method.
//!
//! Always true: the cost depends on the number of segments and host labels, not on the number of routes. Every node knows
//! the lowest route below it, so a branch that can't win is not entered. A new kind of segment is a new kind of child here and
//! in [`super::pattern`].

use std::collections::HashMap;

use super::pattern::{PathPattern, Segment};

/// Which methods a leaf takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Methods {
    /// Any, known or not.
    Any,
    /// A set of bits.
    Listed(u64),
}

impl Methods {
    /// `bit` is zero for a method that no route lists.
    const fn take(self, bit: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(mask) => mask & bit != 0,
        }
    }
}

/// A route's end in the trie.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    route: usize,
    methods: Methods,
}

#[derive(Debug)]
struct Node {
    literals: HashMap<Box<str>, usize>,
    one: Option<usize>,
    /// Routes that end here, in written order.
    here: Vec<Leaf>,
    /// Routes that take any rest from here, in written order.
    rest: Vec<Leaf>,
    /// The lowest route in this subtree.
    lowest: usize,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            literals: HashMap::new(),
            one: None,
            here: Vec::new(),
            rest: Vec::new(),
            lowest: usize::MAX,
        }
    }
}

/// The patterns of one host.
#[derive(Debug)]
struct PathTrie {
    nodes: Vec<Node>,
}

impl Default for PathTrie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

/// A segment that is looked up: known text, or, when patterns are compared, any text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    /// This text.
    Text(&'a str),
    /// Every text.
    Every,
}

/// What is looked up in a trie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    /// The segments.
    pub(super) segments: &'a [Wanted<'a>],
    /// Whether any rest follows, so that only a `**` covers it.
    pub(super) rest: bool,
    /// The method's bit; `None` when the method must be any.
    pub(super) method: Option<u64>,
}

impl Query<'_> {
    fn taken_by(&self, methods: Methods) -> bool {
        match self.method {
            Some(bit) => methods.take(bit),
            None => methods == Methods::Any,
        }
    }
}

impl PathTrie {
    fn insert(&mut self, pattern: &PathPattern, methods: Methods, route: usize) {
        let mut at = 0;
        self.touch(at, route);
        for segment in &pattern.segments {
            at = self.child(at, segment);
            self.touch(at, route);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            let leaves = if pattern.rest {
                &mut node.rest
            } else {
                &mut node.here
            };
            leaves.push(Leaf { route, methods });
        }
    }

    fn touch(&mut self, at: usize, route: usize) {
        if let Some(node) = self.nodes.get_mut(at) {
            node.lowest = node.lowest.min(route);
        }
    }

    fn child(&mut self, at: usize, segment: &Segment) -> usize {
        let fresh = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else {
            return at;
        };
        let child = match segment {
            Segment::Literal(text) => *node.literals.entry(text.as_str().into()).or_insert(fresh),
            Segment::One(_) => *node.one.get_or_insert(fresh),
        };
        if child == fresh {
            self.nodes.push(Node::default());
        }
        child
    }

    /// Lowers `best` to the first route below `at` that takes the query.
    fn search(&self, at: usize, query: Query<'_>, depth: usize, best: &mut usize) {
        let Some(node) = self.nodes.get(at) else {
            return;
        };
        if node.lowest >= *best {
            return;
        }
        lower(&node.rest, query, best);
        match query.segments.get(depth) {
            None if query.rest => {}
            None => lower(&node.here, query, best),
            Some(wanted) => {
                if let Wanted::Text(text) = wanted
                    && let Some(child) = node.literals.get(*text)
                {
                    self.search(*child, query, depth + 1, best);
                }
                if let Some(child) = node.one {
                    self.search(child, query, depth + 1, best);
                }
            }
        }
    }
}

fn lower(leaves: &[Leaf], query: Query<'_>, best: &mut usize) {
    let first = leaves
        .iter()
        .take_while(|leaf| leaf.route < *best)
        .find(|leaf| query.taken_by(leaf.methods));
    if let Some(leaf) = first {
        *best = leaf.route;
    }
}

/// Which hosts a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostPattern<'a> {
    /// Any host.
    Any,
    /// This host.
    Exact(&'a str),
    /// Every host below this domain, at least one label.
    Below(&'a str),
}

impl<'a> HostPattern<'a> {
    /// `*.example.com`, or a host name.
    pub(super) fn of(text: &'a str) -> Self {
        text.strip_prefix("*.")
            .map_or(Self::Exact(text), Self::Below)
    }
}

/// All routes.
#[derive(Debug, Default)]
pub(super) struct Trie {
    any: PathTrie,
    exact: HashMap<Box<str>, PathTrie>,
    below: HashMap<Box<str>, PathTrie>,
}

impl Trie {
    /// Adds a route; routes are added in written order.
    pub(super) fn insert(
        &mut self,
        host: HostPattern<'_>,
        pattern: &PathPattern,
        methods: Methods,
        route: usize,
    ) {
        let trie = match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Exact(host) => self.exact.entry(host.into()).or_default(),
            HostPattern::Below(domain) => self.below.entry(domain.into()).or_default(),
        };
        trie.insert(pattern, methods, route);
    }

    /// The first route before `bound` that takes everything `host` and `query` stand for.
    pub(super) fn find(
        &self,
        host: HostPattern<'_>,
        query: Query<'_>,
        bound: usize,
    ) -> Option<usize> {
        let mut best = bound;
        self.any.search(0, query, 0, &mut best);
        match host {
            HostPattern::Any => {}
            HostPattern::Exact(host) => {
                if let Some(trie) = self.exact.get(host) {
                    trie.search(0, query, 0, &mut best);
                }
                self.search_below(host, query, &mut best);
            }
            HostPattern::Below(domain) => {
                if let Some(trie) = self.below.get(domain) {
                    trie.search(0, query, 0, &mut best);
                }
                self.search_below(domain, query, &mut best);
            }
        }
        (best != bound).then_some(best)
    }

    /// Searches the patterns for every parent domain of `host`.
    fn search_below(&self, host: &str, query: Query<'_>, best: &mut usize) {
        if self.below.is_empty() {
            return;
        }
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(trie) = self.below.get(parent) {
                trie.search(0, query, 0, best);
            }
            rest = parent;
        }
    }
}
