//! Role mappings: which roles a user gets whose realm keeps none itself (JWT, PKI and their like).
//!
//! [`Mappings`] holds every enabled mapping compiled, renewed when the table changes, each mapping once. Always true: a
//! disabled mapping grants nothing; a mapping that can't be evaluated grants nothing and says so in the log. It reads nothing
//! but the table and the user it is given. A new field of users is an arm in `rule`; the language of values is `value`.

pub mod model;
pub mod rule;
pub mod template;

mod dn;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::authority::failure::Failure;
use crate::authority::table::Table;
use crate::wire::roles::RoleMapping;
use model::MappedUser;
use rule::Rule;
use template::RoleNames;

/// One mapping, compiled.
#[derive(Clone, Debug)]
pub struct Mapping {
    rule: Rule,
    roles: Vec<String>,
    templates: Vec<RoleNames>,
}

impl Mapping {
    /// Compiles a mapping called `name`.
    ///
    /// # Errors
    /// Rules or templates that don't fit their language.
    pub fn compile(name: &str, mapping: &RoleMapping) -> Result<Self, Failure> {
        let templates = mapping.role_templates.iter().map(RoleNames::compile);
        Ok(Self {
            rule: Rule::parse(&mapping.rules, name)?,
            roles: mapping.roles.clone(),
            templates: templates.collect::<Result<_, _>>()?,
        })
    }

    /// Adds the roles this mapping gives a user, if its rule holds.
    fn add_roles(&self, name: &str, user: &MappedUser<'_>, roles: &mut BTreeSet<String>) {
        if !self.rule.matches(user) {
            return;
        }
        roles.extend(self.roles.iter().cloned());
        if self.templates.is_empty() {
            return;
        }
        let variables = user.variables();
        for template in &self.templates {
            match template.names(&variables) {
                Ok(names) => roles.extend(names.into_iter().filter(|name| !name.is_empty())),
                Err(error) => tracing::warn!(mapping = name, %error, "role template failed"),
            }
        }
    }
}

/// The enabled mappings of a moment, by name.
#[derive(Debug, Default)]
pub struct MappingSet(BTreeMap<String, (Arc<RoleMapping>, Arc<Mapping>)>);

impl MappingSet {
    /// The roles all mappings together give a user: sorted, each once.
    pub fn roles(&self, user: &MappedUser<'_>) -> Vec<String> {
        let mut roles = BTreeSet::new();
        for (name, (_, mapping)) in &self.0 {
            mapping.add_roles(name, user, &mut roles);
        }
        roles.into_iter().collect()
    }

    /// The set after a change: mappings that stayed the same are not compiled again.
    fn renewed(&self, rows: Vec<(String, Arc<RoleMapping>)>) -> Self {
        let mut renewed = BTreeMap::new();
        for (name, row) in rows {
            let known = self
                .0
                .get(&name)
                .filter(|(known, _)| Arc::ptr_eq(known, &row));
            let compiled = match known {
                Some((_, compiled)) => Arc::clone(compiled),
                None => match Mapping::compile(&name, &row) {
                    Ok(compiled) => Arc::new(compiled),
                    Err(failure) => {
                        let (_, reason) = failure.cause();
                        tracing::warn!(mapping = name, reason, "role mapping can't be used");
                        continue;
                    }
                },
            };
            renewed.insert(name, (row, compiled));
        }
        Self(renewed)
    }
}

/// The compiled mappings, renewed when their table changes.
#[derive(Debug)]
pub struct Mappings(ArcSwap<(u64, MappingSet)>);

impl Default for Mappings {
    fn default() -> Self {
        Self(ArcSwap::from_pointee((u64::MAX, MappingSet::default())))
    }
}

impl Mappings {
    /// The roles a user gets from the enabled mappings of `table`: sorted, each once.
    pub fn roles(&self, table: &Table<RoleMapping>, user: &MappedUser<'_>) -> Vec<String> {
        // Read before the rows: a change in between leaves a set under a revision nobody asks for again.
        let revision = table.revision();
        let current = self.0.load_full();
        if current.0 == revision {
            return current.1.roles(user);
        }
        let rows = table.select(|_, row| row.enabled);
        let fresh = Arc::new((revision, current.1.renewed(rows)));
        self.0.store(Arc::clone(&fresh));
        fresh.1.roles(user)
    }
}

#[cfg(test)]
mod tests;
