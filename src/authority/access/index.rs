//! The index part of permissions: groups of name patterns, each with its privileges.
//!
//! What counts as one group decides what is granted, because a pattern asked about must be covered by a single group:
//! roles that name exactly the same patterns are merged first (their privileges unite), then groups with exactly the
//! same privileges (their names unite). A group without `allow_restricted_indices` holds no restricted name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use super::actions::{ActionSpace, Realm};
use super::bits::Bits;
use super::budget::{Budget, TooComplex};
use super::cover::{Cover, Language, Question};
use super::pattern::{self, PatternError};
use super::question::QuestionError;
use crate::authority::builtin::privileges;
use crate::authority::builtin::restricted::RESTRICTED;
use crate::wire::privileges::IndexQuestion;
use crate::wire::roles::RoleDescriptor;

/// Index privileges of a set of roles.
#[derive(Debug)]
pub(super) struct IndexPart {
    names: Cover,
    space: Arc<ActionSpace>,
    /// The action classes of each group.
    granted: Vec<Bits>,
}

static RESTRICTED_NAMES: LazyLock<Vec<String>> =
    LazyLock::new(|| RESTRICTED.map(str::to_owned).to_vec());

impl IndexPart {
    /// Groups the index privileges of all roles and compiles them. Privilege names that are unknown grant nothing.
    ///
    /// # Errors
    /// A malformed pattern, or one that is too complex.
    pub(super) fn compile(roles: &[RoleDescriptor], whole: &Budget) -> Result<Self, PatternError> {
        let groups = grouped(roles);
        let raw: BTreeSet<String> = groups
            .keys()
            .flatten()
            .filter(|name| privileges::is_index_action(name))
            .cloned()
            .collect();
        let space = ActionSpace::with_raw(Realm::Index, &raw)?;
        let granted = groups.keys().map(|names| {
            names.iter().filter_map(|name| space.classes_of(name)).fold(
                space.nothing(),
                |mut all, classes| {
                    all.unite(classes);
                    all
                },
            )
        });
        let granted = granted.collect();
        let languages: Vec<Language> = groups.into_values().collect();
        let names = Cover::build(&languages, &RESTRICTED_NAMES, whole)?;
        Ok(Self {
            names,
            space,
            granted,
        })
    }

    /// Answers one part of a question: for each name and each privilege whether it is granted.
    ///
    /// # Errors
    /// An unknown privilege name, a malformed pattern, or one that is too complex to ask about.
    pub(super) fn answer(
        &self,
        question: &IndexQuestion,
        budget: &Budget,
        mut note: impl FnMut(&str, &str, bool),
    ) -> Result<(), QuestionError> {
        let asked = question
            .privileges
            .iter()
            .map(|name| self.asked(name))
            .collect::<Result<Vec<_>, _>>()?;
        for name in &question.names {
            let grants = self.grants(name, question.allow_restricted_indices, budget)?;
            for (privilege, asked) in question.privileges.iter().zip(&asked) {
                let mut is_granted = !grants.is_empty();
                for granted in &grants {
                    is_granted &= match asked {
                        Asked::Classes(classes) => classes.is_subset_of(granted),
                        Asked::Raw(action) => self.space.grants_raw(granted, action, budget)?,
                    };
                }
                note(name, privilege, is_granted);
            }
        }
        Ok(())
    }

    fn asked(&self, privilege: &str) -> Result<Asked<'_>, QuestionError> {
        let name = privilege.to_lowercase();
        match self.space.classes_of(&name) {
            Some(classes) => Ok(Asked::Classes(classes)),
            None if privileges::is_index_action(&name) => Ok(Asked::Raw(name)),
            None => Err(QuestionError::unknown_index(&name)),
        }
    }

    /// What is granted on all names of a pattern. Of several grants, every one must hold a privilege; of none, nothing
    /// is granted: no group covers the pattern, or no name is left to ask about.
    fn grants(
        &self,
        name: &str,
        allow_restricted: bool,
        budget: &Budget,
    ) -> Result<Vec<Bits>, PatternError> {
        let too_complex = |TooComplex| PatternError::too_complex([name]);
        let unhidden = !allow_restricted && !is_concrete_restricted(name);
        let question = Question::parse(name, budget)?;
        match question {
            // Regular expressions may be covered by several groups together: each single name by one of them.
            Question::Names(nfa) if pattern::is_regex(name) => {
                let held = self
                    .names
                    .of_each(&nfa, unhidden, budget)
                    .map_err(too_complex)?;
                Ok(if held.iter().any(Bits::is_empty) {
                    Vec::new()
                } else {
                    held.iter().map(|groups| self.united(groups)).collect()
                })
            }
            question => {
                let groups = self
                    .names
                    .of_all(&question, unhidden, budget)
                    .map_err(too_complex)?;
                Ok(groups
                    .filter(|groups| !groups.is_empty())
                    .map(|groups| self.united(&groups))
                    .into_iter()
                    .collect())
            }
        }
    }

    fn united(&self, groups: &Bits) -> Bits {
        let mut all = self.space.nothing();
        for group in groups.iter() {
            if let Some(granted) = self.granted.get(group) {
                all.unite(granted);
            }
        }
        all
    }
}

enum Asked<'a> {
    Classes(&'a Bits),
    Raw(String),
}

/// Names by the set of privileges they share.
fn grouped(roles: &[RoleDescriptor]) -> BTreeMap<BTreeSet<String>, Language> {
    let mut by_names: BTreeMap<(BTreeSet<&String>, bool), BTreeSet<String>> = BTreeMap::new();
    for item in roles.iter().flat_map(|role| &role.indices) {
        let privileges = by_names
            .entry((item.names.iter().collect(), item.allow_restricted_indices))
            .or_default();
        privileges.extend(item.privileges.iter().map(|name| name.to_lowercase()));
    }
    let mut by_privileges: BTreeMap<BTreeSet<String>, Language> = BTreeMap::new();
    for ((names, allow_restricted), privileges) in by_names {
        let language = by_privileges.entry(privileges).or_default();
        let half = if allow_restricted {
            &mut language.open
        } else {
            &mut language.shy
        };
        half.extend(names.into_iter().cloned());
    }
    by_privileges
}

/// Whether the name is a restricted one and names nothing else. Only `*` makes it a pattern here, as in Elasticsearch.
fn is_concrete_restricted(name: &str) -> bool {
    !name.contains('*')
        && !pattern::is_regex(name)
        && RESTRICTED
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == *pattern,
            })
}
