//! Requirements, compiled: trees of bit tests, role names and templates, evaluated in three-valued logic.
//!
//! Always true: what fills a hole of a template is escaped, so that it can stand for nothing but itself; a hole that can't be
//! filled, or is filled with nothing, is a no; "unknown" is never taken for yes.

use std::collections::HashMap;

use serde_json::Value;

use crate::config::settings::{Access, IdentityField, Requirement, Template, TemplatePart};
use crate::model::identity::Identity;
use crate::model::privilege::{Atom, AtomBits, AtomId};

use super::fields;
use super::pattern::PathPattern;

/// Bytes of a resolved name at most. Longer ones are refused unasked: no index name and no sane resource is that long, and
/// what clients write would else fill the cache.
const MAX_RESOLVED: usize = 1024;

/// What a route asks, compiled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rule {
    /// Nothing; a credential is not looked at.
    Everyone,
    /// A valid credential.
    Authenticated,
    /// A requirement.
    Require(Need),
}

/// A compiled requirement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Need {
    All(Vec<Self>),
    Any(Vec<Self>),
    Role(String),
    /// A static atom: one bit.
    Held(AtomId),
    /// An atom that depends on the request or the identity.
    Resolved(AtomTemplate),
    /// What the request needs as a call of Elasticsearch's API.
    Call,
}

/// An atom with holes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AtomTemplate {
    Index {
        name: Vec<Part>,
        privilege: String,
        allow_restricted: bool,
    },
    Application {
        application: String,
        privilege: String,
        resource: Vec<Part>,
    },
}

/// A piece of a compiled template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Literal(String),
    /// The segment at this position.
    Segment(usize),
    Identity(IdentityField),
}

/// Yes, no, or not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    Unknown,
}

/// The static atoms of all routes, each once.
#[derive(Debug, Default)]
pub(super) struct AtomTable {
    ids: HashMap<Atom, AtomId>,
    atoms: Vec<Atom>,
}

impl AtomTable {
    fn intern(&mut self, atom: Atom) -> AtomId {
        let next = AtomId(u32::try_from(self.atoms.len()).unwrap_or(u32::MAX));
        *self.ids.entry(atom).or_insert_with_key(|atom| {
            self.atoms.push(atom.clone());
            next
        })
    }

    /// The atoms; an [`AtomId`] is a position here.
    pub(super) fn atoms(&self) -> &[Atom] {
        &self.atoms
    }
}

/// Compiles what a route asks; the error names a capture that its path doesn't have.
pub(super) fn compile(
    access: &Access,
    pattern: &PathPattern,
    table: &mut AtomTable,
) -> Result<Rule, String> {
    Ok(match access {
        Access::Everyone => Rule::Everyone,
        Access::Authenticated => Rule::Authenticated,
        Access::Require(requirement) => Rule::Require(need(requirement, pattern, table)?),
    })
}

fn need(
    requirement: &Requirement,
    pattern: &PathPattern,
    table: &mut AtomTable,
) -> Result<Need, String> {
    let mut each = |list: &[Requirement]| -> Result<Vec<Need>, String> {
        list.iter().map(|one| need(one, pattern, table)).collect()
    };
    Ok(match requirement {
        Requirement::AllOf(list) => Need::All(each(list)?),
        Requirement::AnyOf(list) => Need::Any(each(list)?),
        Requirement::Role(role) => Need::Role(role.clone()),
        Requirement::ElasticsearchCall => Need::Call,
        Requirement::Cluster(privilege) => Need::Held(table.intern(Atom::Cluster {
            privilege: privilege.clone(),
        })),
        Requirement::Index {
            name,
            privilege,
            allow_restricted,
        } => match parts(name, pattern)? {
            Ok(name) => Need::Held(table.intern(Atom::Index {
                name,
                privilege: privilege.clone(),
                allow_restricted: *allow_restricted,
            })),
            Err(name) => Need::Resolved(AtomTemplate::Index {
                name,
                privilege: privilege.clone(),
                allow_restricted: *allow_restricted,
            }),
        },
        Requirement::Application {
            application,
            privilege,
            resource,
        } => match parts(resource, pattern)? {
            Ok(resource) => Need::Held(table.intern(Atom::Application {
                application: application.clone(),
                privilege: privilege.clone(),
                resource,
            })),
            Err(resource) => Need::Resolved(AtomTemplate::Application {
                application: application.clone(),
                privilege: privilege.clone(),
                resource,
            }),
        },
    })
}

/// `Ok` with the whole text when there is no hole, else `Err` with the parts.
fn parts(template: &Template, pattern: &PathPattern) -> Result<Result<String, Vec<Part>>, String> {
    let parts = template
        .0
        .iter()
        .map(|part| match part {
            TemplatePart::Literal(text) => Ok(Part::Literal(text.clone())),
            TemplatePart::Capture(name) => pattern
                .position_of(name)
                .map(Part::Segment)
                .ok_or_else(|| name.clone()),
            TemplatePart::Identity(field) => Ok(Part::Identity(field.clone())),
        })
        .collect::<Result<Vec<_>, String>>()?;
    let whole: Option<String> = parts
        .iter()
        .map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Segment(_) | Part::Identity(_) => None,
        })
        .collect();
    Ok(whole.ok_or(parts))
}

/// What a requirement is evaluated against.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) identity: &'a Identity,
    pub(super) granted: &'a AtomBits,
    /// Decoded segments of the path, one per segment of the route's pattern at least.
    pub(super) segments: &'a [String],
    /// What the request needs as a call of Elasticsearch's API: of each list one atom.
    pub(super) call: &'a [Vec<Atom>],
}

impl Need {
    /// True when neither the path nor the identity takes part in any of its names.
    pub(super) fn is_static(&self) -> bool {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().all(Self::is_static),
            // A call's atoms are made from the target, not from the segments.
            Self::Role(_) | Self::Held(_) | Self::Call => true,
            Self::Resolved(_) => false,
        }
    }

    /// True when the request's meaning as a call of Elasticsearch's API takes part.
    pub(super) fn is_of_call(&self) -> bool {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().any(Self::is_of_call),
            Self::Role(_) | Self::Held(_) | Self::Resolved(_) => false,
            Self::Call => true,
        }
    }

    /// Evaluates the tree. `known` tells about resolved atoms; what it doesn't know is added to `missing` when it matters.
    pub(super) fn evaluate(
        &self,
        facts: Facts<'_>,
        known: &dyn Fn(&Atom) -> Option<bool>,
        missing: &mut Vec<Atom>,
    ) -> Answer {
        match self {
            Self::Role(role) => Answer::of(facts.identity.roles.iter().any(|held| held == role)),
            Self::Held(id) => Answer::of(facts.granted.contains(*id)),
            Self::Resolved(template) => match template.resolve(facts) {
                None => Answer::No,
                Some(atom) => look_up(&atom, known, missing),
            },
            Self::Call => facts.call.iter().fold(Answer::Yes, |answer, any| {
                match one_of(any, known, missing) {
                    Answer::Yes => answer,
                    Answer::No => Answer::No,
                    Answer::Unknown if answer == Answer::No => Answer::No,
                    Answer::Unknown => Answer::Unknown,
                }
            }),
            // A decided list asks for nothing more: what its members miss is dropped again.
            Self::All(list) => fold(list, facts, known, missing, Answer::No, Answer::Yes),
            Self::Any(list) => fold(list, facts, known, missing, Answer::Yes, Answer::No),
        }
    }

    /// In words, every part that is not met, for the log.
    pub(super) fn unmet(
        &self,
        facts: Facts<'_>,
        atoms: &[Atom],
        known: &dyn Fn(&Atom) -> Option<bool>,
        words: &mut Vec<String>,
    ) {
        let met = self.evaluate(facts, known, &mut Vec::new()) == Answer::Yes;
        if met {
            return;
        }
        match self {
            Self::Role(role) => words.push(format!("role:{role}")),
            Self::Held(id) => words.extend(atoms.get(id.0 as usize).map(ToString::to_string)),
            Self::Resolved(template) => words.push(match template.resolve(facts) {
                Some(atom) => atom.to_string(),
                None => format!("{template} (can't be resolved)"),
            }),
            Self::Call => words.extend(
                facts
                    .call
                    .iter()
                    .filter(|any| one_of(any, known, &mut Vec::new()) != Answer::Yes)
                    .map(|any| {
                        let names: Vec<String> = any.iter().map(ToString::to_string).collect();
                        names.join(" or ")
                    }),
            ),
            Self::All(list) | Self::Any(list) => {
                for need in list {
                    need.unmet(facts, atoms, known, words);
                }
            }
        }
    }
}

fn look_up(atom: &Atom, known: &dyn Fn(&Atom) -> Option<bool>, missing: &mut Vec<Atom>) -> Answer {
    match known(atom) {
        Some(granted) => Answer::of(granted),
        None => {
            if !missing.contains(atom) {
                missing.push(atom.clone());
            }
            Answer::Unknown
        }
    }
}

/// Whether one of the atoms is held. Unknown ones are asked about together.
fn one_of(any: &[Atom], known: &dyn Fn(&Atom) -> Option<bool>, missing: &mut Vec<Atom>) -> Answer {
    let before = missing.len();
    let mut answer = Answer::No;
    for atom in any {
        match look_up(atom, known, missing) {
            Answer::Yes => {
                missing.truncate(before);
                return Answer::Yes;
            }
            Answer::Unknown => answer = Answer::Unknown,
            Answer::No => {}
        }
    }
    answer
}

/// Kleene's "and" (`decisive` no) or "or" (`decisive` yes).
fn fold(
    list: &[Need],
    facts: Facts<'_>,
    known: &dyn Fn(&Atom) -> Option<bool>,
    missing: &mut Vec<Atom>,
    decisive: Answer,
    otherwise: Answer,
) -> Answer {
    let before = missing.len();
    let mut result = otherwise;
    for need in list {
        match need.evaluate(facts, known, missing) {
            answer if answer == decisive => {
                missing.truncate(before);
                return decisive;
            }
            Answer::Unknown => result = Answer::Unknown,
            _ => {}
        }
    }
    result
}

impl Answer {
    const fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl AtomTemplate {
    fn resolve(&self, facts: Facts<'_>) -> Option<Atom> {
        Some(match self {
            Self::Index {
                name,
                privilege,
                allow_restricted,
            } => Atom::Index {
                name: fill(name, facts)?,
                privilege: privilege.clone(),
                allow_restricted: *allow_restricted,
            },
            Self::Application {
                application,
                privilege,
                resource,
            } => Atom::Application {
                application: application.clone(),
                privilege: privilege.clone(),
                resource: fill(resource, facts)?,
            },
        })
    }
}

impl std::fmt::Display for AtomTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index { privilege, .. } => write!(f, "index:…:{privilege}"),
            Self::Application {
                application,
                privilege,
                ..
            } => write!(f, "application:{application}:{privilege}@…"),
        }
    }
}

/// The text of a template; `None` when a hole has nothing to be filled with, or the whole gets too long.
fn fill(parts: &[Part], facts: Facts<'_>) -> Option<String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Segment(at) => push_escaped(&mut text, facts.segments.get(*at)?)?,
            Part::Identity(field) => {
                let value = fields::text(field, facts.identity, single)?;
                push_escaped(&mut text, &value)?;
            }
        }
        if text.len() > MAX_RESOLVED {
            return None;
        }
    }
    Some(text)
}

/// Adds a value so that it stands for itself in Elasticsearch's patterns: `*`, `?` and `\` are escaped, and so is a leading
/// `/`, which would make a regular expression of it.
pub(super) fn push_escaped(text: &mut String, value: &str) -> Option<()> {
    if value.is_empty() || value.contains(|c: char| c.is_control()) {
        return None;
    }
    for c in value.chars() {
        if matches!(c, '*' | '?' | '\\') || (c == '/' && text.is_empty()) {
            text.push('\\');
        }
        text.push(c);
    }
    Some(())
}

/// What of the metadata may stand in a pattern: single values, no lists and no objects.
fn single(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
