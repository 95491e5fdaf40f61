//! The application part of permissions: who may do what on which resources of which application.
//!
//! An entry is an application (name or pattern), a set of privilege names, what these stand for, and resources.
//! Entries with the same application and resources are merged first, then those with the same application and
//! privileges. A question is granted by one entry alone: its application holds the one asked about, its actions all
//! actions asked about, and its resources the whole resource pattern. Each of the three is one walk through one
//! automaton over all entries.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::automaton::Automaton;
use super::bits::Bits;
use super::budget::{Budget, TooComplex};
use super::cover::{Cover, Language, Question};
use super::names::is_privilege_name;
use super::pattern::PatternError;
use crate::wire::privileges::ApplicationQuestion;
use crate::wire::roles::{ApplicationPrivilege, RoleDescriptor};

/// The stored application privileges: application → privilege → actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplicationCatalogue {
    applications: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl ApplicationCatalogue {
    /// Adds a privilege, or replaces the one of the same application and name.
    pub fn insert(&mut self, application: &str, privilege: &str, actions: Vec<String>) {
        self.applications
            .entry(application.to_owned())
            .or_default()
            .insert(privilege.to_owned(), actions);
    }

    /// The actions a privilege name stands for; nothing if it is not stored.
    fn actions(&self, application: &str, privilege: &str) -> &[String] {
        let stored = self
            .applications
            .get(application)
            .and_then(|privileges| privileges.get(privilege));
        stored.map_or(&[], Vec::as_slice)
    }

    /// Everything the names stand for in an application: stored actions of names, and raw actions as they are.
    fn resolve(&self, application: &str, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut actions = BTreeSet::new();
        for name in names {
            if is_privilege_name(name) {
                actions.extend(self.actions(application, name).iter().cloned());
            } else {
                actions.insert(name.clone());
            }
        }
        actions
    }
}

impl<'a> FromIterator<&'a ApplicationPrivilege> for ApplicationCatalogue {
    fn from_iter<T: IntoIterator<Item = &'a ApplicationPrivilege>>(privileges: T) -> Self {
        let mut catalogue = Self::default();
        for privilege in privileges {
            catalogue.insert(
                &privilege.application,
                &privilege.name,
                privilege.actions.clone(),
            );
        }
        catalogue
    }
}

/// Application privileges of a set of roles.
#[derive(Debug)]
pub(super) struct ApplicationPart {
    applications: Cover,
    actions: Cover,
    resources: Cover,
    /// Entries that name a privilege: the quick way to a yes.
    by_name: HashMap<String, HashMap<String, Bits>>,
    /// Entries with exactly one name that stands for nothing: they grant that very name.
    undefined: HashMap<String, HashMap<String, Bits>>,
    /// What privilege names stand for in the applications that entries speak of, and in all others nothing.
    catalogue: ApplicationCatalogue,
    entries: usize,
}

struct Entry {
    application: String,
    names: BTreeSet<String>,
    actions: BTreeSet<String>,
    resources: BTreeSet<String>,
}

impl ApplicationPart {
    /// Merges the application privileges of all roles, resolves them against what is stored, and compiles them.
    ///
    /// # Errors
    /// A malformed pattern, or one that is too complex.
    pub(super) fn compile(
        roles: &[RoleDescriptor],
        catalogue: &ApplicationCatalogue,
        whole: &Budget,
    ) -> Result<Self, PatternError> {
        let entries = entries(roles, catalogue, whole)?;
        let languages = |patterns: fn(&Entry) -> Vec<String>| -> Result<Cover, PatternError> {
            let languages: Vec<Language> = entries
                .iter()
                .map(|entry| Language {
                    open: patterns(entry),
                    shy: Vec::new(),
                })
                .collect();
            Cover::build(&languages, &[], whole)
        };
        let applications = languages(|entry| vec![entry.application.clone()])?;
        let mut part = Self {
            actions: languages(|entry| entry.actions.iter().cloned().collect())?,
            resources: languages(|entry| entry.resources.iter().cloned().collect())?,
            by_name: HashMap::new(),
            undefined: HashMap::new(),
            catalogue: ApplicationCatalogue::default(),
            entries: entries.len(),
            applications,
        };
        for (name, privileges) in &catalogue.applications {
            if !part.applications.of_name(name).is_empty() {
                part.catalogue
                    .applications
                    .insert(name.clone(), privileges.clone());
            }
        }
        for (number, entry) in entries.iter().enumerate() {
            part.remember(number, entry, whole)?;
        }
        Ok(part)
    }

    fn remember(
        &mut self,
        number: usize,
        entry: &Entry,
        whole: &Budget,
    ) -> Result<(), PatternError> {
        let width = self.entries;
        let add = |to: &mut HashMap<String, HashMap<String, Bits>>, name: &str| {
            let names = to.entry(entry.application.clone()).or_default();
            names
                .entry(name.to_owned())
                .or_insert_with(|| Bits::none(width))
                .insert(number);
        };
        for name in &entry.names {
            let actions = self.catalogue.actions(&entry.application, name);
            // A stored action may be a regular expression that matches nothing; then the name proves nothing.
            if actions.iter().any(|action| !action.starts_with('/')) {
                add(&mut self.by_name, name);
            }
        }
        if let (Some(name), 1) = (entry.names.first(), entry.names.len()) {
            let mut actions = entry.actions.iter().map(String::as_str);
            let may_be_empty =
                is_privilege_name(name) && actions.clone().all(|action| action.starts_with('/'));
            if may_be_empty
                && actions.try_fold(true, |empty, action| {
                    Ok(empty && Automaton::of_patterns_within([action], whole)?.is_empty())
                })?
            {
                add(&mut self.undefined, name);
            }
        }
        Ok(())
    }

    /// Answers one part of a question: for each resource and each privilege whether it is granted.
    ///
    /// # Errors
    /// A malformed pattern, or one that is too complex to ask about.
    pub(super) fn answer(
        &self,
        question: &ApplicationQuestion,
        budget: &Budget,
        mut note: impl FnMut(&str, &str, bool),
    ) -> Result<(), PatternError> {
        let application = self.applications.of_name(&question.application);
        let mut held = Vec::with_capacity(question.resources.len());
        for resource in &question.resources {
            held.push(self.all_of(&self.resources, resource, budget)?);
        }
        for privilege in &question.privileges {
            let quick = self
                .by_name
                .get(&question.application)
                .and_then(|names| names.get(privilege));
            let undefined = self
                .undefined
                .get(&question.application)
                .and_then(|names| names.get(privilege));
            // Worked out when the quick way does not answer with yes, and then once for all resources.
            let mut slow = None;
            for (resource, held) in question.resources.iter().zip(&held) {
                let mut is_granted = quick.is_some_and(|entries| entries.meets(held));
                if !is_granted {
                    let entries = match &slow {
                        Some(entries) => entries,
                        None => slow.insert(self.entries_for(
                            question,
                            privilege,
                            &application,
                            undefined,
                            budget,
                        )?),
                    };
                    is_granted = entries.meets(held);
                }
                note(resource, privilege, is_granted);
            }
        }
        Ok(())
    }

    /// The entries that grant a privilege, if the resource fits.
    fn entries_for(
        &self,
        question: &ApplicationQuestion,
        privilege: &str,
        application: &Bits,
        undefined: Option<&Bits>,
        budget: &Budget,
    ) -> Result<Bits, PatternError> {
        let raw = [privilege.to_owned()];
        let actions = if is_privilege_name(privilege) {
            self.catalogue.actions(&question.application, privilege)
        } else {
            &raw
        };
        // An entry that holds every action holds also a privilege that stands for none.
        let mut entries = self.all_of(&self.actions, "*", budget)?;
        let mut holding = Bits::all(self.entries);
        let mut stands_for_something = false;
        for action in actions {
            let question = Question::parse(action, budget)?;
            let of_action = self.actions.of_all(&question, false, budget);
            if let Some(of_action) =
                of_action.map_err(|TooComplex| PatternError::too_complex([action.as_str()]))?
            {
                holding.intersect(&of_action);
                stands_for_something = true;
            }
        }
        if stands_for_something {
            entries.unite(&holding);
        }
        entries.intersect(application);
        if let (Some(undefined), false) = (undefined, stands_for_something) {
            entries.unite(undefined);
        }
        Ok(entries)
    }

    /// The entries that hold all strings of a pattern; all entries if there are no such strings.
    fn all_of(&self, cover: &Cover, pattern: &str, budget: &Budget) -> Result<Bits, PatternError> {
        let question = Question::parse(pattern, budget)?;
        let held = cover.of_all(&question, false, budget);
        let held = held.map_err(|TooComplex| PatternError::too_complex([pattern]))?;
        Ok(held.unwrap_or_else(|| Bits::all(self.entries)))
    }
}

/// The entries of all roles, merged and resolved.
fn entries(
    roles: &[RoleDescriptor],
    catalogue: &ApplicationCatalogue,
    whole: &Budget,
) -> Result<Vec<Entry>, PatternError> {
    let mut by_resources: BTreeMap<(&str, BTreeSet<&String>), BTreeSet<String>> = BTreeMap::new();
    for item in roles.iter().flat_map(|role| &role.applications) {
        let names = by_resources
            .entry((&item.application, item.resources.iter().collect()))
            .or_default();
        names.extend(item.privileges.iter().cloned());
    }
    let mut by_privileges: BTreeMap<(String, BTreeSet<String>), BTreeSet<String>> = BTreeMap::new();
    for ((application, resources), names) in by_resources {
        for application in expanded(application, &names, catalogue, whole)? {
            let all = by_privileges
                .entry((application, names.clone()))
                .or_default();
            all.extend(resources.iter().map(|resource| (*resource).clone()));
        }
    }
    let entry = |((application, names), resources): ((String, BTreeSet<String>), _)| Entry {
        actions: catalogue.resolve(&application, &names),
        application,
        names,
        resources,
    };
    Ok(by_privileges.into_iter().map(entry).collect())
}

/// The applications an entry speaks of: itself, and for a pattern each stored application it matches, because there
/// privilege names have a meaning.
fn expanded(
    application: &str,
    names: &BTreeSet<String>,
    catalogue: &ApplicationCatalogue,
    whole: &Budget,
) -> Result<Vec<String>, PatternError> {
    let mut applications = vec![application.to_owned()];
    if application.contains('*') && names.iter().any(|name| is_privilege_name(name)) {
        let pattern = Automaton::of_patterns_within([application], whole)?;
        applications.extend(
            catalogue
                .applications
                .keys()
                .filter(|stored| pattern.matches(stored))
                .cloned(),
        );
    }
    Ok(applications)
}
