//! Application privileges: put, get, delete (`/_security/privilege`), and the names of the built-in ones.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::role_check;
use super::write::write;
use crate::authority::access::budget::Budget;
use crate::authority::access::names;
use crate::authority::authorize;
use crate::authority::body::{Field, Grammar, Object};
use crate::authority::builtin::privileges as builtin;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;
use crate::wire::roles::ApplicationPrivilege;

const STRICT: Grammar = Grammar::Strict("application_privilege");
const GROUPS: Grammar = Grammar::Strict("put_privileges");

/// `application → privilege → what happened`
type Outcome = BTreeMap<String, BTreeMap<String, Value>>;

/// `GET /_security/privilege/_builtin`
pub async fn builtin(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    granted.reply(&json!({
        "cluster": builtin::listed(builtin::cluster()),
        "index": builtin::listed(builtin::index()),
        "remote_cluster": builtin::REMOTE_CLUSTER,
    }))
}

/// `PUT|POST /_security/privilege`
pub async fn put(state: &State, call: Call) -> Result<Reply, Failure> {
    call.check_refresh()?;
    let object = call
        .object_for(|found| Failure::parse(format!("expected object but found {found} instead")))?;
    let privileges = parse(&object)?;
    check(&privileges)?;
    let applications: Vec<String> = privileges
        .iter()
        .map(|privilege| privilege.application.clone())
        .collect();
    let granted = if applications.is_empty() {
        authorize::by_cluster_privilege(state, &call).await?
    } else {
        authorize::for_applications(state, &call, &applications).await?
    };
    let actions = privileges.iter().flat_map(|privilege| &privilege.actions);
    role_check::actions(&granted, state, actions.cloned().collect()).await?;
    let outcome = write(&granted, state, move |drafts| {
        let mut outcome = Outcome::new();
        for privilege in privileges {
            let application = outcome.entry(privilege.application.clone()).or_default();
            let key = key(&privilege.application, &privilege.name);
            let name = privilege.name.clone();
            let created = drafts.privileges.put(&key, privilege);
            application.insert(name, json!({"created": created}));
        }
        Ok(outcome)
    })
    .await?;
    granted.reply(&outcome)
}

/// The key of the store's row. An application name can't hold a slash.
fn key(application: &str, name: &str) -> String {
    format!("{application}/{name}")
}

fn parse(object: &Object<'_>) -> Result<Vec<ApplicationPrivilege>, Failure> {
    let mut privileges = Vec::new();
    for application in object.fields() {
        let inner = expect_object(&application, GROUPS, application.name)?;
        for privilege in inner.fields() {
            let body = expect_object(&privilege, STRICT, application.name)?;
            privileges.push(parse_one(&body, application.name, privilege.name)?);
        }
    }
    Ok(privileges)
}

fn expect_object<'a>(
    field: &Field<'a>,
    grammar: Grammar,
    application: &str,
) -> Result<Object<'a>, Failure> {
    if field.token() == "START_OBJECT" {
        return field.object(grammar);
    }
    Err(Failure::parse(format!(
        "expected the value for {application} to be an object, but found {} instead",
        field.token()
    )))
}

fn parse_one(
    object: &Object<'_>,
    application: &str,
    name: &str,
) -> Result<ApplicationPrivilege, Failure> {
    let mut privilege = ApplicationPrivilege {
        application: application.to_owned(),
        name: name.to_owned(),
        ..ApplicationPrivilege::default()
    };
    let differs = |what: &str, given: &str, known: &str, expected: &str| {
        Failure::illegal_argument(format!(
            "privilege {what} [{given}] in source does not match the provided {known} [{expected}]"
        ))
    };
    for field in object.fields() {
        match field.name {
            "application" => {
                let given = field.string()?;
                if given != application {
                    return Err(differs("application", &given, "application", application));
                }
            }
            "name" => {
                let given = field.string()?;
                if given != name {
                    return Err(differs("name", &given, "name", name));
                }
            }
            "actions" => privilege.actions = field.strings()?,
            "metadata" if field.is_null() => {}
            "metadata" => privilege.metadata = field.map()?,
            // Written by `GET`, so that what was read can be put back.
            "type" => {}
            _ => return Err(field.unknown()),
        }
    }
    Ok(privilege)
}

fn check(privileges: &[ApplicationPrivilege]) -> Result<(), Failure> {
    let mut faults = Vec::new();
    if privileges.is_empty() {
        faults.push("At least one application privilege must be provided".to_owned());
    }
    let budget = Budget::for_reading();
    for privilege in privileges {
        if faults.len() >= names::MOST_FAULTS {
            faults.push("and more, which are not listed".to_owned());
            break;
        }
        let application = names::check_application_name(&privilege.application);
        faults.extend(application.err().map(|error| error.to_string()));
        let name = names::check_privilege_name(&privilege.name);
        faults.extend(name.err().map(|error| error.to_string()));
        if privilege.actions.is_empty() {
            faults.push("Application privileges must have at least one action".to_owned());
        }
        for action in &privilege.actions {
            if faults.len() >= names::MOST_FAULTS {
                break;
            }
            faults.extend(
                names::check_action(action, &budget)
                    .err()
                    .map(|error| error.to_string()),
            );
        }
        if privilege.metadata.keys().any(|key| key.starts_with('_')) {
            faults.push(format!(
                "metadata keys may not start with [_] (in privilege {} {})",
                privilege.application, privilege.name
            ));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::request_validation(&faults))
}

/// `GET /_security/privilege[/{applications}[/{names}]]`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    let applications = call.path_list("application");
    let wanted = call.path_list("name");
    let granted = authorize::for_applications(state, &call, &applications).await?;
    let rows = state.tables().privileges.select(|_, row| {
        (applications.is_empty() || applications.iter().any(|name| fits(name, &row.application)))
            && (wanted.is_empty() || wanted.contains(&row.name))
    });
    let mut found = Outcome::new();
    for (_, row) in rows {
        let application = found.entry(row.application.clone()).or_default();
        application.insert(row.name.clone(), json!(row));
    }
    let status = if found.is_empty() && !wanted.is_empty() {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    granted.reply_with(status, &found)
}

/// An application by name, or by a prefix with `*`.
fn fits(pattern: &str, application: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => application.starts_with(prefix),
        None => pattern == application,
    }
}

/// `DELETE /_security/privilege/{application}/{names}`
pub async fn delete(state: &State, call: Call) -> Result<Reply, Failure> {
    call.check_refresh()?;
    let application = call.path("application").unwrap_or_default().to_owned();
    let wanted = call.path_list("name");
    let granted =
        authorize::for_applications(state, &call, std::slice::from_ref(&application)).await?;
    let outcome = write(&granted, state, move |drafts| {
        let mut outcome = Outcome::new();
        let entry = outcome.entry(application.clone()).or_default();
        for name in wanted {
            let found = drafts.privileges.remove(&key(&application, &name));
            entry.insert(name, json!({"found": found}));
        }
        Ok(outcome)
    })
    .await?;
    let any = outcome
        .values()
        .flat_map(BTreeMap::values)
        .any(|item| item["found"] == json!(true));
    let status = if any {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    granted.reply_with(status, &outcome)
}
