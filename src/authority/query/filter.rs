//! A compiled query: which documents fit.

use std::collections::HashSet;

use super::budget::Budget;
use super::datum::Document;
use super::leaf::Leaf;

/// Which documents fit.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All of them.
    All,
    /// None of them.
    Nothing,
    /// Those with one of these ids.
    Ids(HashSet<String>),
    /// Those with a field that answers a question.
    Leaf(Leaf),
    /// A combination.
    Bool(Box<Clauses>),
}

/// The clauses of a combination.
#[derive(Clone, Debug, Default)]
pub struct Clauses {
    /// All of these.
    pub must: Vec<Filter>,
    /// At least `minimum` of these.
    pub should: Vec<Filter>,
    /// None of these.
    pub must_not: Vec<Filter>,
    /// How many of `should`.
    pub minimum: usize,
}

impl Filter {
    /// Any of these; nothing, when there are none.
    pub fn any(mut filters: Vec<Self>) -> Self {
        match filters.len() {
            0 => Self::Nothing,
            1 => filters.remove(0),
            _ => Self::Bool(Box::new(Clauses {
                should: filters,
                minimum: 1,
                ..Clauses::default()
            })),
        }
    }

    /// All but these.
    pub fn all_but(filter: Self) -> Self {
        Self::Bool(Box::new(Clauses {
            must_not: vec![filter],
            ..Clauses::default()
        }))
    }

    /// Whether a document fits. The depth of the recursion is that of the query, which its parser bounds.
    pub fn matches(&self, document: &impl Document, budget: &Budget) -> bool {
        budget.spend(1);
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Ids(ids) => ids.contains(document.id().as_ref()),
            Self::Leaf(leaf) => leaf.matches(document, budget),
            Self::Bool(clauses) => clauses.matches(document, budget),
        }
    }
}

impl Clauses {
    fn matches(&self, document: &impl Document, budget: &Budget) -> bool {
        let fits = |filter: &Filter| filter.matches(document, budget);
        if !self.must.iter().all(fits) || self.must_not.iter().any(fits) {
            return false;
        }
        let found = self.should.iter().filter(|filter| fits(filter));
        self.minimum == 0 || found.take(self.minimum).count() == self.minimum
    }
}
