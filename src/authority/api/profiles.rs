//! User profiles: activate, get, update data, enable and disable (`/_security/profile`).

use serde_json::json;

use super::profile_body::{self, Changes};
use super::write::write;
use crate::authority::authenticate::{self, Purpose};
use crate::authority::authorize;
use crate::authority::body::split_commas;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::permissions;
use crate::authority::profile::document::{self, Seen};
use crate::authority::profile::identity;
use crate::authority::state::State;
use crate::authority::subject::Subject;
use crate::wire::profiles::{ProfileErrors, Profiles};

/// Longest `data` parameter, as long as the longest `filter_path`.
const MAX_KEYS: usize = 4_096;

/// `POST /_security/profile/_activate`
pub async fn activate(state: &State, call: Call) -> Result<Reply, Failure> {
    let credential = profile_body::parse_grant(&call.object(profile_body::ACTIVATE)?)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let purpose = Purpose::Action(call.action);
    let subject = authenticate::check(state, credential, purpose, call.now).await?;
    check_user(&subject)?;
    let now = call.now;
    let (uid, profile) = write(&granted, state, move |drafts| {
        identity::activate(drafts, &subject.effective, now)
    })
    .await?;
    granted.reply(&document::show(&uid, &profile, &[]))
}

/// Only people have profiles.
fn check_user(subject: &Subject) -> Result<(), Failure> {
    let kind = if subject.acting_key().is_some() {
        "api_key"
    } else if permissions::service_role(&subject.effective).is_some() {
        "service_account"
    } else {
        return Ok(());
    };
    Err(Failure::illegal_argument(format!(
        "profile is supported for user only, but subject is a [{kind}]"
    )))
}

/// Reads `data`: patterns of what is shown.
///
/// # Errors
/// Longer than anybody needs.
pub fn data_keys(text: &str) -> Result<Vec<String>, Failure> {
    if text.len() > MAX_KEYS {
        return Err(Failure::illegal_argument(format!(
            "[data] may not be longer than [{MAX_KEYS}] characters"
        )));
    }
    let mut keys = split_commas(text);
    // A leading `-` means without in `filter_path`, but nothing here.
    keys.retain(|key| !key.starts_with('-'));
    Ok(keys)
}

/// `GET /_security/profile/{uids}`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    let keys = data_keys(call.query.text("data").unwrap_or_default())?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let mut profiles = Vec::new();
    let mut missing = Vec::new();
    for uid in call.path_list("uid") {
        match state.tables().profiles.find(&uid) {
            Some(profile) => profiles.push(document::show(&uid, &profile, &keys)),
            None => missing.push(uid),
        }
    }
    granted.reply(&Profiles {
        profiles,
        errors: ProfileErrors::not_found(missing),
    })
}

/// `PUT|POST /_security/profile/{uid}/_data`
pub async fn update_data(state: &State, call: Call) -> Result<Reply, Failure> {
    let uid = call.path("uid").unwrap_or_default().to_owned();
    let seen = parse_seen(&call)?;
    call.check_refresh()?;
    let changes = profile_body::parse_changes(&call.object(profile_body::UPDATE)?)?;
    let applications = changes.applications();
    let faults = profile_body::check_changes(&applications);
    if !faults.is_empty() {
        return Err(Failure::request_validation(&faults));
    }
    let granted = authorize::for_profile_data(state, &call, &applications).await?;
    let seen = check_seen(seen)?;
    let Changes { labels, data } = changes;
    write(&granted, state, move |drafts| {
        document::update_data(drafts, &uid, &labels, &data, seen)
    })
    .await?;
    granted.reply(&json!({"acknowledged": true}))
}

/// Reads `if_seq_no` and `if_primary_term`; a negative one is as good as none.
fn parse_seen(call: &Call) -> Result<(Option<u64>, Option<u64>), Failure> {
    let number = |name: &str| {
        let Some(text) = call.query.text(name) else {
            return Ok(None);
        };
        let number: i64 = text.parse().map_err(|_| {
            Failure::illegal_argument(format!(
                "Failed to parse long parameter [{name}] with value [{text}]"
            ))
        })?;
        Ok(u64::try_from(number).ok())
    };
    // Primary terms start at one; zero means that none was given.
    let term = number("if_primary_term")?.filter(|term| *term > 0);
    Ok((number("if_seq_no")?, term))
}

/// Both or neither.
fn check_seen(seen: (Option<u64>, Option<u64>)) -> Result<Seen, Failure> {
    match seen {
        (Some(seq_no), Some(term)) => Ok(Some((seq_no, term))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Failure::request_validation(&[
            "ifSeqNo is set, but primary term is [0]",
        ])),
        (None, Some(term)) => Err(Failure::request_validation(&[format!(
            "ifSeqNo is unassigned, but primary term is [{term}]"
        )])),
    }
}

/// `PUT|POST /_security/profile/{uid}/_enable`
pub async fn enable(state: &State, call: Call) -> Result<Reply, Failure> {
    set_enabled(state, call, true).await
}

/// `PUT|POST /_security/profile/{uid}/_disable`
pub async fn disable(state: &State, call: Call) -> Result<Reply, Failure> {
    set_enabled(state, call, false).await
}

async fn set_enabled(state: &State, call: Call, enabled: bool) -> Result<Reply, Failure> {
    let uid = call.path("uid").unwrap_or_default().to_owned();
    call.check_refresh()?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    write(&granted, state, move |drafts| {
        document::set_enabled(drafts, &uid, enabled)
    })
    .await?;
    granted.reply(&json!({"acknowledged": true}))
}
