//! Which names a role or an application privilege may use, and what Elasticsearch says when they break a rule.

use crate::authority::builtin::privileges;
use crate::wire::roles::{ApplicationPrivileges, IndexPrivileges, RoleDescriptor};

use super::budget::Budget;
use super::pattern;

/// Faults of one role that are told; a fault may list every privilege there is.
pub const MOST_FAULTS: usize = 100;
/// Names, patterns and privileges that one role may have in all.
const MOST_ENTRIES: usize = 10_000;

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

/// Checks an action, as stored with an application privilege: it can't be mistaken for a name, and it is a well-formed
/// pattern. The actions of one request draw from one budget.
///
/// # Errors
/// The rule that is broken.
pub fn check_action(action: &str, budget: &Budget) -> Result<(), NameError> {
    check_privilege_or_action(action)?;
    if !action.contains(['/', '*', ':']) {
        return Err(NameError(format!(
            "action [{action}] must contain one of [ '/' , '*' , ':' ]"
        )));
    }
    check_pattern(action, budget)
}

/// Checks that a pattern (index name, resource, user name) is well-formed. Builds nothing: whether it can be evaluated shows
/// when it is, with what it stands beside.
///
/// # Errors
/// What is wrong with the pattern, or that the budget of the request is used up.
pub fn check_pattern(pattern: &str, budget: &Budget) -> Result<(), NameError> {
    // Only a regular expression can be malformed.
    if !pattern.starts_with('/') {
        return Ok(());
    }
    match pattern::parse(pattern, budget) {
        Ok(_) => Ok(()),
        Err(error) => Err(NameError(error.to_string())),
    }
}

/// How many names, patterns and privileges a descriptor holds.
fn entries(role: &RoleDescriptor) -> usize {
    let of = |item: &IndexPrivileges| 1 + item.names.len() + item.privileges.len();
    let applications = role.applications.iter();
    let remote = role.remote_indices.iter();
    role.cluster.len()
        + role.run_as.len()
        + role.indices.iter().map(of).sum::<usize>()
        + remote
            .map(|item| of(&item.indices) + item.clusters.len())
            .sum::<usize>()
        + applications
            .map(|item| 1 + item.privileges.len() + item.resources.len())
            .sum::<usize>()
}

/// What was found wrong so far; past [`MOST_FAULTS`] nothing is looked at any more.
#[derive(Default)]
struct Faults(Vec<NameError>);

impl Faults {
    fn check<T>(&mut self, items: &[T], mut check: impl FnMut(&T) -> Result<(), NameError>) {
        for item in items {
            if self.0.len() > MOST_FAULTS {
                return;
            }
            self.0.extend(check(item).err());
        }
    }
}

/// Checks all names in a role descriptor, of a stored role or of an API key. Patterns draw from the budget of the request.
///
/// # Errors
/// Every rule that is broken, in the order of the descriptor: the items of one `Validation Failed` message. Of very many,
/// the first [`MOST_FAULTS`] and one that says so.
pub fn check_role(role: &RoleDescriptor, budget: &Budget) -> Result<(), Vec<NameError>> {
    if entries(role) > MOST_ENTRIES {
        return Err(vec![NameError(format!(
            "a role may have at most [{MOST_ENTRIES}] names and privileges but has [{}]",
            entries(role)
        ))]);
    }
    let mut faults = Faults::default();
    faults.check(&role.cluster, |name| check_cluster_privilege(name));
    for item in &role.indices {
        check_indices(item, &mut faults, budget);
    }
    for item in &role.applications {
        check_applications(item, &mut faults, budget);
    }
    faults.check(&role.run_as, |pattern| check_pattern(pattern, budget));
    for item in &role.remote_indices {
        let faulty =
            item.clusters.iter().any(String::is_empty).then(|| {
                NameError::because("remote index cluster alias cannot be an empty string")
            });
        faults.0.extend(faulty);
        check_indices(&item.indices, &mut faults, budget);
        let mut privileges = item.indices.privileges.iter();
        let faulty = privileges.any(|name| name.to_lowercase().ends_with("_failure_store"));
        faults.0.extend(faulty.then(|| NameError::because(
            "remote index privileges cannot contain privileges that grant access to the failure store",
        )));
    }
    if role.metadata.keys().any(|key| key.starts_with('_')) {
        faults.0.push(NameError::because(
            "role descriptor metadata keys may not start with [_]",
        ));
    }
    let mut faults = faults.0;
    if faults.len() > MOST_FAULTS {
        faults.truncate(MOST_FAULTS);
        faults.push(NameError::because("and more, which are not listed"));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn check_indices(item: &IndexPrivileges, faults: &mut Faults, budget: &Budget) {
    faults.check(&item.privileges, |name| check_index_privilege(name));
    faults.check(&item.names, |pattern| check_pattern(pattern, budget));
}

fn check_applications(item: &ApplicationPrivileges, faults: &mut Faults, budget: &Budget) {
    faults.check(std::slice::from_ref(&item.application), |name| {
        check_application_pattern(name)
    });
    faults.check(&item.privileges, |name| check_privilege_or_action(name));
    faults.check(&item.resources, |pattern| check_pattern(pattern, budget));
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
        assert_eq!(check_action("data:read/*", &Budget::for_reading()), Ok(()));
        assert_eq!(
            says(check_action("read", &Budget::for_reading())),
            "action [read] must contain one of [ '/' , '*' , ':' ]"
        );
        assert!(
            says(check_action("/read", &Budget::for_reading()))
                .starts_with("invalid pattern [/read].")
        );
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
        let faults = check_role(&role, &Budget::for_reading()).expect_err("faulty");
        assert_eq!(faults.len(), 5, "{faults:?}");
        for (_, role) in crate::authority::builtin::roles::reserved_roles() {
            let role = RoleDescriptor {
                metadata: serde_json::Map::new(),
                ..role.clone()
            };
            assert_eq!(check_role(&role, &Budget::for_reading()), Ok(()));
        }
    }
}
