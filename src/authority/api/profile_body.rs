//! Reading and checking the bodies of `/_security/profile`.

use serde_json::{Map, Value};

use super::who::{check_size, read_question};
use crate::authority::access::question;
use crate::authority::body::{Field, Grammar, Object};
use crate::authority::failure::Failure;
use crate::authority::profile::suggest::Question;
use crate::model::credential::Credential;
use crate::model::secret::Secret;
use crate::wire::privileges::HasPrivilegesRequest;

/// The strict parser of `_activate`.
pub const ACTIVATE: Grammar = Grammar::Strict("activate_profile_request");
/// The strict parser of `_data`.
pub const UPDATE: Grammar = Grammar::Strict("update_profile_data_request_payload");
/// The strict parser of `_suggest`.
pub const SUGGEST: Grammar = Grammar::Strict("suggest_profile_request_payload");
/// The strict parser of `_suggest`'s `hint`.
const HINT: Grammar = Grammar::Strict("suggest_profile_request_payload_hint");
/// The name of `_has_privileges`' strict parser, also in messages about its question.
const CHECK_NAME: &str = "profile_has_privileges_request";
/// The strict parser of `_has_privileges`.
pub const CHECK: Grammar = Grammar::Strict(CHECK_NAME);
/// Profiles one `_has_privileges` may ask about; each costs a set of compiled roles.
const MAX_UIDS: usize = 1_000;

/// Reads on whose behalf a profile is activated: a user name and password, or an access token.
///
/// # Errors
/// What doesn't fit the grammar, then what is not valid.
pub fn parse_grant(object: &Object<'_>) -> Result<Credential, Failure> {
    let (mut kind, mut username, mut password, mut token) = (None, None, None, None);
    for field in object.fields() {
        match field.name {
            "grant_type" => kind = Some(field.string()?),
            "username" => username = Some(field.string()?),
            "password" => password = Some(field.string()?),
            "access_token" => token = Some(field.string()?),
            _ => return Err(field.unknown()),
        }
    }
    let given = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Secret::from);
    let username = username.filter(|text: &String| !text.is_empty());
    let (password, token) = (given(password), given(token));
    let Some(kind) = kind else {
        return Err(Failure::request_validation(&["[grant_type] is required"]));
    };
    let required = |name: &str| format!("[{name}] is required for grant_type [{kind}]");
    let refused = |name: &str| format!("[{name}] is not supported for grant_type [{kind}]");
    let mut faults = Vec::new();
    match kind.as_str() {
        "password" => {
            faults.extend(username.is_none().then(|| required("username")));
            faults.extend(password.is_none().then(|| required("password")));
            faults.extend(token.is_some().then(|| refused("access_token")));
        }
        "access_token" => {
            faults.extend(token.is_none().then(|| required("access_token")));
            faults.extend(username.is_some().then(|| refused("username")));
            faults.extend(password.is_some().then(|| refused("password")));
        }
        other => faults.push(format!("grant_type [{other}] is not supported")),
    }
    match (username, password, token) {
        (Some(username), Some(password), None) if faults.is_empty() => {
            Ok(Credential::Basic { username, password })
        }
        (None, None, Some(token)) if faults.is_empty() => Ok(Credential::Bearer(token)),
        _ => Err(Failure::request_validation(&faults)),
    }
}

/// What `_data` changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// Into the labels.
    pub labels: Map<String, Value>,
    /// Into the data.
    pub data: Map<String, Value>,
}

impl Changes {
    /// The applications they are for, sorted.
    pub fn applications(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .labels
            .keys()
            .chain(self.data.keys())
            .cloned()
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Reads the body of `_data`; what it says is checked by [`check_changes`].
///
/// # Errors
/// What doesn't fit the grammar.
pub fn parse_changes(object: &Object<'_>) -> Result<Changes, Failure> {
    let mut changes = Changes::default();
    for field in object.fields() {
        match field.name {
            "labels" => changes.labels = field.map()?,
            "data" => changes.data = field.map()?,
            _ => return Err(field.unknown()),
        }
    }
    Ok(changes)
}

/// What is wrong with an update of these applications.
pub fn check_changes(applications: &[String]) -> Vec<String> {
    let named = |is_bad: fn(&str) -> bool| {
        let bad: Vec<&str> = applications
            .iter()
            .map(String::as_str)
            .filter(|name| is_bad(name))
            .collect();
        (!bad.is_empty()).then(|| bad.join(","))
    };
    let mut faults = Vec::new();
    if applications.is_empty() {
        faults.push("update request is empty".to_owned());
    }
    if let Some(bad) = named(|name| name.contains('.')) {
        faults.push(format!(
            "application name must not contain dot, but found [{bad}]"
        ));
    }
    if let Some(bad) = named(|name| name.starts_with('_')) {
        faults.push(format!(
            "application name must not start with underscore, but found [{bad}]"
        ));
    }
    faults
}

/// The body of `_suggest`.
#[derive(Debug)]
pub struct Search {
    /// What is looked for.
    pub question: Question,
    /// How many suggestions at most.
    pub size: usize,
    /// Which data is shown, when the body says so.
    pub data: Option<String>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            question: Question::default(),
            size: 10,
            data: None,
        }
    }
}

/// Reads and checks the body of `_suggest`.
///
/// # Errors
/// What doesn't fit the grammar, then what is not valid.
pub fn parse_search(object: &Object<'_>) -> Result<Search, Failure> {
    let mut search = Search::default();
    let mut faults = Vec::new();
    let mut hint_faults = Vec::new();
    for field in object.fields() {
        match field.name {
            "name" => search.question.name = field.string()?,
            "size" => match usize::try_from(parse_integer(&field)?) {
                Ok(size) => search.size = size,
                Err(_) => faults.push(format!(
                    "[size] parameter cannot be negative but was [{}]",
                    field.text().trim_matches('"')
                )),
            },
            "hint" => hint_faults = parse_hint(&field, &mut search.question)?,
            "data" => search.data = Some(field.string()?),
            _ => return Err(field.unknown()),
        }
    }
    faults.extend(hint_faults);
    if faults.is_empty() {
        return Ok(search);
    }
    Err(Failure::request_validation(&faults))
}

/// A 32-bit integer, or a string that holds one, as Elasticsearch's `declareInt`.
fn parse_integer(field: &Field<'_>) -> Result<i32, Failure> {
    let text = match field.token() {
        "VALUE_STRING" => field.string()?,
        "VALUE_NUMBER" => field.text().to_owned(),
        _ => return Err(field.mistyped("integer")),
    };
    text.parse().map_err(|_| field.mistyped("integer"))
}

/// Reads `hint`; returns what is not valid in it.
fn parse_hint(field: &Field<'_>, question: &mut Question) -> Result<Vec<String>, Failure> {
    let (mut uids, mut labels) = (None, None);
    for field in field.object(HINT)?.fields() {
        match field.name {
            "uids" => uids = Some(field.strings()?),
            "labels" => labels = Some(field.map()?),
            _ => return Err(field.unknown()),
        }
    }
    let labels = labels.map(parse_labels).transpose()?;
    if uids.is_none() && labels.is_none() {
        return Ok(vec!["[hint] parameter cannot be empty".to_owned()]);
    }
    let mut faults = Vec::new();
    if uids.as_ref().is_some_and(Vec::is_empty) {
        faults.push("[uids] hint cannot be empty".to_owned());
    }
    question.uids = uids.unwrap_or_default();
    let Some(mut labels) = labels else {
        return Ok(faults);
    };
    let keys: Vec<String> = labels.iter().map(|(key, _)| key.clone()).collect();
    let Some((key, values)) = labels.pop().filter(|_| labels.is_empty()) else {
        faults.push(format!(
            "[labels] hint supports a single key, got [{}]",
            keys.join(",")
        ));
        return Ok(faults);
    };
    if key.contains('*') {
        faults.push("[labels] hint key cannot contain wildcard".to_owned());
    }
    if values.is_empty() {
        faults.push("[labels] hint value cannot be empty".to_owned());
    }
    question.label = Some((key, values));
    Ok(faults)
}

fn parse_labels(labels: Map<String, Value>) -> Result<Vec<(String, Vec<String>)>, Failure> {
    let of_list = |items: Vec<Value>| {
        items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(Failure::parse(
                    "[labels] hint supports either string value or list of strings",
                )),
            })
            .collect::<Result<Vec<String>, Failure>>()
    };
    labels
        .into_iter()
        .map(|(key, value)| match value {
            Value::String(text) => Ok((key, vec![text])),
            Value::Array(items) => Ok((key, of_list(items)?)),
            _ => Err(Failure::parse(
                "[labels] hint supports either string or list of strings as its value",
            )),
        })
        .collect()
}

/// The body of `_has_privileges`.
pub struct Check {
    /// Profiles.
    pub uids: Vec<String>,
    /// Privileges.
    pub question: HasPrivilegesRequest,
}

/// Reads and checks the body of `_has_privileges`.
///
/// # Errors
/// What doesn't fit the grammar, then what is not valid or too much.
pub fn parse_check(object: &Object<'_>) -> Result<Check, Failure> {
    let (mut uids, mut question) = (None, None);
    for field in object.fields() {
        match field.name {
            "uids" => uids = Some(field.strings()?),
            "privileges" => {
                let object = field.object(Grammar::Hand("privileges check"))?;
                question = Some(read_question(&object, CHECK_NAME)?);
            }
            _ => return Err(field.unknown()),
        }
    }
    let (uids, question) = match (uids, question) {
        (Some(uids), Some(question)) => (uids, question),
        (None, Some(_)) => return Err(Failure::illegal_argument("Required [uids]")),
        (Some(_), None) => return Err(Failure::illegal_argument("Required [privileges]")),
        (None, None) => return Err(Failure::illegal_argument("Required [uids, privileges]")),
    };
    let mut faults = Vec::new();
    if uids.is_empty() {
        faults.push("profile uids list must not be empty".to_owned());
    }
    faults.extend(question::check(&question).err().unwrap_or_default());
    if !faults.is_empty() {
        return Err(Failure::request_validation(&faults));
    }
    check_size(&question)?;
    if uids.len() > MAX_UIDS {
        return Err(Failure::illegal_argument(format!(
            "a privilege check may be about at most [{MAX_UIDS}] profiles but is about [{}]",
            uids.len()
        )));
    }
    Ok(Check { uids, question })
}
