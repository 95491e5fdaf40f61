//! What can be wrong with a `_has_privileges` question.

use super::names::{self, NameError};
use super::pattern::{self, PatternError, Shape};
use crate::authority::builtin::privileges;
use crate::wire::privileges::HasPrivilegesRequest;

/// A question that has no answer. Elasticsearch says 400 with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// A privilege nobody knows; the text lists all that are known.
    #[error("{0}")]
    UnknownPrivilege(String),
    /// A pattern that is malformed or too complex.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl QuestionError {
    /// An unknown cluster privilege.
    pub(super) fn unknown_cluster(name: &str) -> Self {
        Self::UnknownPrivilege(privileges::unknown_cluster_privilege(name))
    }

    /// An unknown index privilege.
    pub(super) fn unknown_index(name: &str) -> Self {
        Self::UnknownPrivilege(privileges::unknown_index_privilege(name))
    }
}

/// Longest pattern that is quick to ask about.
const QUICK: usize = 1_024;
/// Most patterns that are quick together.
const FEW: usize = 1_000;

/// Whether the question asks about names and beginnings of names only, and few of them: then no automaton is built.
pub fn is_quick(question: &HasPrivilegesRequest) -> bool {
    let names = question.index.iter().flat_map(|item| {
        let raw = item
            .privileges
            .iter()
            .filter(|name| privileges::is_index_action(name));
        item.names.iter().chain(raw)
    });
    let resources = question
        .application
        .iter()
        .flat_map(|item| item.resources.iter().chain(&item.privileges));
    let mut patterns = question.cluster.iter().chain(names).chain(resources);
    let is_quick = |pattern: &String| {
        pattern.len() <= QUICK && !matches!(pattern::shape(pattern), Shape::Other)
    };
    patterns.by_ref().take(FEW).all(is_quick) && patterns.next().is_none()
}

/// Checks what Elasticsearch validates before it looks at anybody's privileges: that something is asked, and the names
/// in the application part.
///
/// # Errors
/// Every rule that is broken: the items of one `Validation Failed` message.
pub fn check(question: &HasPrivilegesRequest) -> Result<(), Vec<String>> {
    let mut faults = Vec::new();
    if question.cluster.is_empty() && question.index.is_empty() && question.application.is_empty() {
        faults.push("must specify at least one privilege".to_owned());
    }
    let mut note = |checked: Result<(), NameError>| {
        faults.extend(checked.err().map(|error| error.to_string()))
    };
    for item in &question.application {
        note(names::check_application_name(&item.application));
        item.privileges
            .iter()
            .for_each(|name| note(names::check_privilege_or_action(name)));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}
