//! Which names a role or an application privilege may use, and what Elasticsearch says when they break a rule.

use crate::authority::builtin::privileges;
use crate::wire::roles::{ApplicationPrivileges, IndexPrivileges, RoleDescriptor};

use super::automaton::Automaton;

/// Characters no file name, and so no application name, may contain.
const NOT_IN_FILE_NAMES: &str = "\\/*?\"<>| ,";

/// A name that is not acceptable; the text is the one Elasticsearch answers with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(String);

impl NameError {
    fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Checks a cluster privilege name or raw cluster action.
///
/// # Errors
/// `unknown cluster privilege […]…` with all known names.
pub fn check_cluster_privilege(name: &str) -> Result<(), NameError> {
    if privileges::is_cluster_action(name) || privileges::cluster_privilege(name).is_some() {
        return Ok(());
    }
    Err(NameError(privileges::unknown_cluster_privilege(name)))
}

/// Checks an index privilege name or raw index action.
///
/// # Errors
/// `unknown index privilege […]…` with all known names.
pub fn check_index_privilege(name: &str) -> Result<(), NameError> {
    if privileges::is_index_action(name) || privileges::index_privilege(name).is_some() {
        return Ok(());
    }
    Err(NameError(privileges::unknown_index_privilege(name)))
}

/// Checks the name of an application, as stored and as asked about: no wildcards.
///
/// # Errors
/// The rule that is broken.
pub fn check_application_name(name: &str) -> Result<(), NameError> {
    check_application(name, false)
}

/// Checks an application name or pattern, as roles use it: one trailing `*` is allowed.
///
/// # Errors
/// The rule that is broken.
pub fn check_application_pattern(name: &str) -> Result<(), NameError> {
    check_application(name, true)
}

fn check_application(name: &str, wildcards: bool) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::because("Application names cannot be blank"));
    }
    let star = name.find('*');
    if star.is_some() && !wildcards {
        return Err(NameError(format!(
            "Application names may not contain '*' (found '{name}')"
        )));
    }
    if name == "*" {
        return Ok(());
    }
    if star.is_some_and(|at| at + 1 != name.len()) {
        return Err(NameError(format!(
            "Application name patterns only support trailing wildcards (found '{name}')"
        )));
    }
    if name.contains(char::is_whitespace) {
        return Err(NameError(format!(
            "Application names may not contain whitespace (found '{name}')"
        )));
    }
    let stem = name.strip_suffix('*').unwrap_or(name);
    let (prefix, suffix) = stem
        .split_once(['-', '_'])
        .map_or((stem, None), |(prefix, suffix)| (prefix, Some(suffix)));
    let mut characters = prefix.chars();
    if !characters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        || !characters.all(|character| character.is_ascii_alphanumeric())
    {
        return Err(NameError(format!(
            "An application name prefix must match the pattern ^[a-z][A-Za-z0-9]*$ (found '{prefix}')"
        )));
    }
    if prefix.len() < 3 && star.is_none() {
        return Err(NameError(format!(
            "An application name prefix must be at least 3 characters long (found '{prefix}')"
        )));
    }
    match suffix {
        Some(suffix) if suffix.contains(|character| NOT_IN_FILE_NAMES.contains(character)) => {
            Err(NameError(format!(
                "An application name suffix may not contain any of the characters '{NOT_IN_FILE_NAMES}' (found '{suffix}')"
            )))
        }
        _ => Ok(()),
    }
}

/// Whether a text is the name of an application privilege rather than a raw action.
pub fn is_privilege_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        && characters
            .all(|character| character.is_ascii_alphanumeric() || "_.-".contains(character))
}

/// Checks the name of an application privilege, as stored.
///
/// # Errors
/// The pattern it must match.
pub fn check_privilege_name(name: &str) -> Result<(), NameError> {
    if is_privilege_name(name) {
        return Ok(());
    }
    Err(NameError(format!(
        "Application privilege names must match the pattern ^[a-z][a-zA-Z0-9_.-]*$ (found '{name}')"
    )))
}

/// Checks a privilege name or raw action, as roles and questions use it: visible characters only.
///
/// # Errors
/// The pattern it must match.
pub fn check_privilege_or_action(name: &str) -> Result<(), NameError> {
    if name.chars().all(|character| character.is_ascii_graphic()) {
        return Ok(());
    }
    Err(NameError(format!(
        "Application privilege names and actions must match the pattern ^\\p{{Graph}}*$ (found '{name}')"
    )))
}

/// Checks an action, as stored with an application privilege: it can't be mistaken for a name, and it is a pattern we
/// can evaluate.
///
/// # Errors
/// The rule that is broken.
pub fn check_action(action: &str) -> Result<(), NameError> {
    check_privilege_or_action(action)?;
    if !action.contains(['/', '*', ':']) {
        return Err(NameError(format!(
            "action [{action}] must contain one of [ '/' , '*' , ':' ]"
        )));
    }
    check_pattern(action)
}

/// Checks that a pattern (index name, resource, user name) can be evaluated.
///
/// # Errors
/// What is wrong with the pattern.
pub fn check_pattern(pattern: &str) -> Result<(), NameError> {
    match Automaton::of_pattern(pattern) {
        Ok(_) => Ok(()),
        Err(error) => Err(NameError(error.to_string())),
    }
}

/// Checks all names in a role descriptor, of a stored role or of an API key.
///
/// # Errors
/// Every rule that is broken, in the order of the descriptor: the items of one `Validation Failed` message.
pub fn check_role(role: &RoleDescriptor) -> Result<(), Vec<NameError>> {
    let mut faults = Vec::new();
    let mut note = |checked: Result<(), NameError>| faults.extend(checked.err());
    role.cluster
        .iter()
        .for_each(|name| note(check_cluster_privilege(name)));
    role.indices
        .iter()
        .for_each(|item| check_indices(item, &mut note));
    role.applications
        .iter()
        .for_each(|item| check_applications(item, &mut note));
    role.run_as
        .iter()
        .for_each(|pattern| note(check_pattern(pattern)));
    for item in &role.remote_indices {
        if item.clusters.iter().any(String::is_empty) {
            note(Err(NameError::because(
                "remote index cluster alias cannot be an empty string",
            )));
        }
        check_indices(&item.indices, &mut note);
        if item
            .indices
            .privileges
            .iter()
            .any(|name| name.to_lowercase().ends_with("_failure_store"))
        {
            note(Err(NameError::because(
                "remote index privileges cannot contain privileges that grant access to the failure store",
            )));
        }
    }
    if role.metadata.keys().any(|key| key.starts_with('_')) {
        note(Err(NameError::because(
            "role descriptor metadata keys may not start with [_]",
        )));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn check_indices(item: &IndexPrivileges, note: &mut impl FnMut(Result<(), NameError>)) {
    item.privileges
        .iter()
        .for_each(|name| note(check_index_privilege(name)));
    item.names
        .iter()
        .for_each(|pattern| note(check_pattern(pattern)));
}

fn check_applications(item: &ApplicationPrivileges, note: &mut impl FnMut(Result<(), NameError>)) {
    note(check_application_pattern(&item.application));
    item.privileges
        .iter()
        .for_each(|name| note(check_privilege_or_action(name)));
    item.resources
        .iter()
        .for_each(|pattern| note(check_pattern(pattern)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(checked: Result<(), NameError>) -> String {
        checked.expect_err("refused").to_string()
    }

    #[test]
    fn application_names_follow_elasticsearchs_rules() {
        for name in ["shop", "shop-1", "kibana-.kibana", "mine_app-x_y"] {
            assert_eq!(check_application_name(name), Ok(()), "{name}");
        }
        for name in ["*", "shop*", "shop-*", "a*"] {
            assert_eq!(check_application_pattern(name), Ok(()), "{name}");
        }
        assert_eq!(
            says(check_application_name("")),
            "Application names cannot be blank"
        );
        assert_eq!(
            says(check_application_name("shop*")),
            "Application names may not contain '*' (found 'shop*')"
        );
        assert_eq!(
            says(check_application_pattern("a*b")),
            "Application name patterns only support trailing wildcards (found 'a*b')"
        );
        assert_eq!(
            says(check_application_name("my shop")),
            "Application names may not contain whitespace (found 'my shop')"
        );
        assert_eq!(
            says(check_application_name("Shop")),
            "An application name prefix must match the pattern ^[a-z][A-Za-z0-9]*$ (found 'Shop')"
        );
        assert_eq!(
            says(check_application_name("ab-c")),
            "An application name prefix must be at least 3 characters long (found 'ab')"
        );
        assert!(
            says(check_application_name("shop-a/b"))
                .starts_with("An application name suffix may not contain any of the characters '")
        );
    }

    #[test]
    fn privilege_names_and_actions_are_told_apart() {
        assert_eq!(check_privilege_name("orders_read.v-1"), Ok(()));
        assert_eq!(
            says(check_privilege_name("Read")),
            "Application privilege names must match the pattern ^[a-z][a-zA-Z0-9_.-]*$ (found 'Read')"
        );
        assert_eq!(
            says(check_privilege_or_action("a b")),
            "Application privilege names and actions must match the pattern ^\\p{Graph}*$ (found 'a b')"
        );
        assert_eq!(check_action("data:read/*"), Ok(()));
        assert_eq!(
            says(check_action("read")),
            "action [read] must contain one of [ '/' , '*' , ':' ]"
        );
        assert!(says(check_action("/read")).starts_with("invalid pattern [/read]."));
    }

    #[test]
    fn a_role_is_told_all_its_faults_at_once() {
        let role = RoleDescriptor {
            cluster: vec!["monitor".into(), "moniter".into()],
            indices: vec![IndexPrivileges {
                names: vec!["/a".into()],
                privileges: vec!["reed".into()],
                ..Default::default()
            }],
            applications: vec![ApplicationPrivileges {
                application: "x".into(),
                privileges: vec!["a b".into()],
                resources: vec!["*".into()],
            }],
            ..Default::default()
        };
        let faults = check_role(&role).expect_err("faulty");
        assert_eq!(faults.len(), 5, "{faults:?}");
        for (_, role) in crate::authority::builtin::roles::reserved_roles() {
            let role = RoleDescriptor {
                metadata: serde_json::Map::new(),
                ..role.clone()
            };
            assert_eq!(check_role(&role), Ok(()));
        }
    }
}
