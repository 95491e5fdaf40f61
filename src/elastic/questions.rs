//! Atoms to `_has_privileges` and back.
//!
//! Always true: what is returned as granted was named in the answer as granted, atom by atom. An answer that leaves one out,
//! or whose summary contradicts its parts, is no answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::privilege::Atom;
use crate::wire::privileges::{
    ApplicationQuestion, HasPrivilegesRequest, HasPrivilegesResponse, IndexQuestion,
};

/// Positions of the atoms for one request each. Nearly always one: two are needed when the same index name is asked about
/// with and without restricted indices, because the answer is keyed by name and privilege alone.
pub(super) fn rounds(atoms: &[Atom]) -> Vec<Vec<usize>> {
    let mut asked: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    let (mut first, mut second) = (Vec::with_capacity(atoms.len()), Vec::new());
    for (at, atom) in atoms.iter().enumerate() {
        let clashes = match atom {
            Atom::Index {
                name,
                privilege,
                allow_restricted,
            } => *asked.entry((name, privilege)).or_insert(*allow_restricted) != *allow_restricted,
            Atom::Cluster { .. } | Atom::Application { .. } => false,
        };
        if clashes { &mut second } else { &mut first }.push(at);
    }
    let mut rounds = vec![first, second];
    rounds.retain(|round| !round.is_empty());
    rounds
}

/// One request for all of `atoms`, grouped so that nothing else is asked.
pub(super) fn request<'a>(atoms: impl Iterator<Item = &'a Atom>) -> HasPrivilegesRequest {
    let mut cluster = BTreeSet::new();
    let mut indices: BTreeMap<(&str, bool), BTreeSet<&str>> = BTreeMap::new();
    let mut applications: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for atom in atoms {
        match atom {
            Atom::Cluster { privilege } => {
                cluster.insert(privilege.as_str());
            }
            Atom::Index {
                name,
                privilege,
                allow_restricted,
            } => {
                indices
                    .entry((name, *allow_restricted))
                    .or_default()
                    .insert(privilege);
            }
            Atom::Application {
                application,
                privilege,
                resource,
            } => {
                applications
                    .entry((application, resource))
                    .or_default()
                    .insert(privilege);
            }
        }
    }
    HasPrivilegesRequest {
        cluster: owned(cluster),
        index: index_questions(indices),
        application: application_questions(applications),
    }
}

/// Names with the same privileges share a question.
fn index_questions(indices: BTreeMap<(&str, bool), BTreeSet<&str>>) -> Vec<IndexQuestion> {
    let mut grouped: BTreeMap<(bool, BTreeSet<&str>), Vec<String>> = BTreeMap::new();
    for ((name, restricted), privileges) in indices {
        grouped
            .entry((restricted, privileges))
            .or_default()
            .push(name.to_owned());
    }
    grouped
        .into_iter()
        .map(
            |((allow_restricted_indices, privileges), names)| IndexQuestion {
                names,
                privileges: owned(privileges),
                allow_restricted_indices,
            },
        )
        .collect()
}

/// Resources with the same privileges of the same application share a question.
fn application_questions(
    applications: BTreeMap<(&str, &str), BTreeSet<&str>>,
) -> Vec<ApplicationQuestion> {
    let mut grouped: BTreeMap<(&str, BTreeSet<&str>), Vec<String>> = BTreeMap::new();
    for ((application, resource), privileges) in applications {
        grouped
            .entry((application, privileges))
            .or_default()
            .push(resource.to_owned());
    }
    grouped
        .into_iter()
        .map(
            |((application, privileges), resources)| ApplicationQuestion {
                application: application.to_owned(),
                privileges: owned(privileges),
                resources,
            },
        )
        .collect()
}

fn owned(texts: BTreeSet<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

/// One boolean per atom, in order; or what is wrong with the answer.
pub(super) fn granted<'a>(
    atoms: impl Iterator<Item = &'a Atom>,
    answer: &HasPrivilegesResponse,
) -> Result<Vec<bool>, &'static str> {
    let granted = atoms
        .map(|atom| find(atom, answer).ok_or("a privilege that was asked about is not in it"))
        .collect::<Result<Vec<bool>, _>>()?;
    if answer.has_all_requested != granted.iter().all(|granted| *granted) {
        return Err("its summary contradicts its parts");
    }
    Ok(granted)
}

fn find(atom: &Atom, answer: &HasPrivilegesResponse) -> Option<bool> {
    match atom {
        Atom::Cluster { privilege } => answer.cluster.get(privilege),
        Atom::Index {
            name, privilege, ..
        } => answer.index.get(name)?.get(privilege),
        Atom::Application {
            application,
            privilege,
            resource,
        } => answer
            .application
            .get(application)?
            .get(resource)?
            .get(privilege),
    }
    .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(name: &str, privilege: &str, allow_restricted: bool) -> Atom {
        Atom::Index {
            name: name.into(),
            privilege: privilege.into(),
            allow_restricted,
        }
    }

    fn application(privilege: &str, resource: &str) -> Atom {
        Atom::Application {
            application: "shop".into(),
            privilege: privilege.into(),
            resource: resource.into(),
        }
    }

    #[test]
    fn atoms_are_grouped_without_asking_for_anything_else() {
        let atoms = [
            index("a", "read", false),
            index("b", "read", false),
            index("b", "write", false),
            application("p", "x"),
            application("p", "y"),
            Atom::Cluster {
                privilege: "monitor".into(),
            },
        ];
        let request = request(atoms.iter());
        let pairs: usize = request
            .index
            .iter()
            .map(|question| question.names.len() * question.privileges.len())
            .sum();
        assert_eq!(pairs, 3);
        assert_eq!(request.application.len(), 1);
        assert_eq!(request.application[0].resources, ["x", "y"]);
        assert_eq!(request.cluster, ["monitor"]);
    }

    #[test]
    fn a_name_asked_with_and_without_restricted_indices_takes_two_rounds() {
        let atoms = [index("a", "read", false), index("a", "read", true)];
        assert_eq!(rounds(&atoms), [vec![0], vec![1]]);
        assert_eq!(rounds(&atoms[..1]), [vec![0]]);
        assert!(rounds(&[]).is_empty());
    }

    #[test]
    fn an_answer_that_leaves_an_atom_out_is_no_answer() {
        let atoms = [index("a", "read", false), index("b", "read", false)];
        let short: HasPrivilegesResponse = serde_json::from_value(serde_json::json!({
            "username": "u", "has_all_requested": true, "cluster": {}, "index": {"a": {"read": true}}, "application": {}
        }))
        .unwrap();
        assert!(granted(atoms.iter(), &short).is_err());
        assert_eq!(granted(atoms[..1].iter(), &short), Ok(vec![true]));
    }

    #[test]
    fn an_answer_whose_summary_contradicts_its_parts_is_no_answer() {
        let atoms = [index("a", "read", false)];
        for (all, part) in [(true, false), (false, true)] {
            let answer: HasPrivilegesResponse = serde_json::from_value(serde_json::json!({
                "username": "u", "has_all_requested": all, "index": {"a": {"read": part}}
            }))
            .unwrap();
            assert!(granted(atoms.iter(), &answer).is_err());
        }
    }
}
