//! The actions that named privileges stand for, cut into classes.
//!
//! Two actions are of one class when the same privileges hold both. A grant is then a set of classes, and "everything
//! this privilege stands for is granted" is "its classes are a subset": a few machine words, exact, and as cheap for
//! three hundred roles as for one. The classes of the built-in privileges are computed once; raw actions in roles need
//! a space of their own, which cuts finer.
//!
//! An index privilege speaks of the data of an index, of its failure store, or both: the two are told apart by a
//! symbol in front of every index action (see [`Realm::Index`]), so that `read` can never pass for `read_failure_store`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use super::bits::Bits;
use super::budget::{Budget, TooComplex};
use super::dfa::Dfa;
use super::nfa::Nfa;
use super::pattern::{self, Expr, PatternError};
use crate::authority::builtin::privileges::{self, Named, Selector};

/// Which privileges a space is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Realm {
    /// Cluster privileges.
    Cluster,
    /// Index privileges.
    Index,
}

/// Actions cut into classes; class 0 is everything no privilege speaks of.
#[derive(Debug)]
pub(super) struct ActionSpace {
    realm: Realm,
    dfa: Dfa,
    classes: usize,
    /// By privilege name or raw action, the classes it stands for.
    privileges: HashMap<String, Bits>,
}

static CLUSTER: LazyLock<Arc<ActionSpace>> = LazyLock::new(|| builtin(Realm::Cluster));
static INDEX: LazyLock<Arc<ActionSpace>> = LazyLock::new(|| builtin(Realm::Index));

fn builtin(realm: Realm) -> Arc<ActionSpace> {
    let space = ActionSpace::build(realm, &BTreeSet::new());
    Arc::new(space.expect("the built-in privileges are well-formed, which a test checks"))
}

impl Realm {
    fn named(self) -> &'static [Named] {
        match self {
            Self::Cluster => privileges::cluster(),
            Self::Index => privileges::index(),
        }
    }

    /// What stands in front of the actions of a privilege.
    fn planes(self, selector: Selector) -> &'static [&'static str] {
        match (self, selector) {
            (Self::Cluster, _) => &[""],
            (Self::Index, Selector::Data) => &["d"],
            (Self::Index, Selector::Failures) => &["f"],
            (Self::Index, Selector::Both) => &["d", "f"],
        }
    }

    /// The expression of a raw action: the name and all that begin with it, of data only.
    fn raw(self, action: &str, budget: &Budget) -> Result<Expr, PatternError> {
        let actions = pattern::parse(&format!("{action}*"), budget)?;
        Ok(on_planes(self.planes(Selector::Data), &actions))
    }
}

fn on_planes(planes: &[&str], actions: &Expr) -> Expr {
    Expr::Either(
        planes
            .iter()
            .map(|plane| Expr::Sequence(vec![Expr::text(plane), actions.clone()]))
            .collect(),
    )
}

impl ActionSpace {
    /// The space of the built-in privileges and these raw actions.
    ///
    /// # Errors
    /// Raw actions that are too complex together.
    pub(super) fn with_raw(
        realm: Realm,
        raw: &BTreeSet<String>,
    ) -> Result<Arc<Self>, PatternError> {
        match realm {
            _ if !raw.is_empty() => Self::build(realm, raw).map(Arc::new),
            Realm::Cluster => Ok(Arc::clone(&CLUSTER)),
            Realm::Index => Ok(Arc::clone(&INDEX)),
        }
    }

    fn build(realm: Realm, raw: &BTreeSet<String>) -> Result<Self, PatternError> {
        let budget = Budget::for_roles();
        let mut names: Vec<String> = Vec::new();
        let mut exprs = Vec::new();
        for named in realm.named() {
            let either = |patterns: &[String]| {
                patterns
                    .iter()
                    .map(|p| pattern::parse(p, &budget))
                    .collect::<Result<_, _>>()
                    .map(Expr::Either)
            };
            let allowed = either(&named.allow)?;
            let actions = if named.exclude.is_empty() {
                allowed
            } else {
                allowed.except(either(&named.exclude)?)
            };
            names.push(named.name.clone());
            exprs.push(on_planes(realm.planes(named.selector), &actions));
        }
        for action in raw {
            names.push(action.clone());
            exprs.push(realm.raw(action, &budget)?);
        }
        let too_complex = |TooComplex| PatternError::too_complex(raw.iter().map(String::as_str));
        let mut nfa = Nfa::new(&budget);
        for (number, expr) in exprs.iter().enumerate() {
            nfa.add(number as u32, expr).map_err(too_complex)?;
        }
        let (dfa, meanings) = nfa.determinise().map_err(too_complex)?;
        // A set of classes for each privilege.
        let sets = names.len().saturating_mul(1 + meanings.len() / 512);
        budget.spend(sets).map_err(too_complex)?;
        let mut of_privileges = vec![Bits::none(meanings.len()); names.len()];
        for (class, meaning) in meanings.iter().enumerate() {
            for privilege in meaning {
                of_privileges[*privilege as usize].insert(class);
            }
        }
        let privileges = names.into_iter().zip(of_privileges).collect();
        Ok(Self {
            realm,
            dfa: dfa.minimised(&budget).map_err(too_complex)?,
            classes: meanings.len(),
            privileges,
        })
    }

    /// A grant of nothing.
    pub(super) fn nothing(&self) -> Bits {
        Bits::none(self.classes)
    }

    /// The classes a privilege name, or a raw action the space was built with, stands for.
    pub(super) fn classes_of(&self, privilege: &str) -> Option<&Bits> {
        self.privileges.get(privilege)
    }

    /// Whether one action is granted. For an index action: on data.
    pub(super) fn grants_action(&self, granted: &Bits, action: &str) -> bool {
        let state = match self.realm {
            Realm::Cluster => self.dfa.run(action),
            Realm::Index => self.dfa.run(&format!("d{action}")),
        };
        granted.contains(self.dfa.mark(state) as usize)
    }

    /// Whether all actions of a raw action are granted.
    ///
    /// # Errors
    /// A pattern that is too complex to ask about.
    pub(super) fn grants_raw(
        &self,
        granted: &Bits,
        action: &str,
        budget: &Budget,
    ) -> Result<bool, PatternError> {
        if let Some(classes) = self.classes_of(action) {
            return Ok(classes.is_subset_of(granted));
        }
        let expr = self.realm.raw(action, budget)?;
        self.grants_all(granted, &expr, budget)
            .map_err(|TooComplex| PatternError::too_complex([action]))
    }

    fn grants_all(&self, granted: &Bits, expr: &Expr, budget: &Budget) -> Result<bool, TooComplex> {
        let mut nfa = Nfa::new(budget);
        nfa.add(0, expr)?;
        let mut todo: Vec<(u32, u32)> = nfa
            .closure([0])?
            .into_iter()
            .map(|node| (node, 0))
            .collect();
        let mut seen: std::collections::HashSet<(u32, u32)> = todo.iter().copied().collect();
        while let Some((node, state)) = todo.pop() {
            budget.spend(1 + nfa.arcs(node).len())?;
            if nfa.accepts(node) && !granted.contains(self.dfa.mark(state) as usize) {
                return Ok(false);
            }
            for arc in nfa.arcs(node) {
                let nodes = nfa.closure([arc.to])?;
                let stretches = self.dfa.targets(state, arc.lo, arc.hi, |state| {
                    for &node in &nodes {
                        if seen.insert((node, state)) {
                            todo.push((node, state));
                        }
                    }
                });
                budget.spend(stretches.saturating_mul(nodes.len()))?;
            }
        }
        Ok(true)
    }
}
