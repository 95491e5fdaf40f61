//! A profile as a document: what answers show of it, and changes to what applications keep in it.

use serde_json::{Map, Value};

use crate::authority::failure::Failure;
use crate::authority::filter_path::FilterPath;
use crate::authority::record;
use crate::authority::store::Drafts;
use crate::wire::profiles::{Profile, ProfileUser, ProfileVersion};

/// Elasticsearch's index of profiles, in messages about documents.
const INDEX: &str = ".security-profile-8";
/// There is one primary and it never moves.
const PRIMARY_TERM: u64 = 1;
/// Longest labels and data of a profile, as JSON, in bytes.
const MAX_SIZE: usize = 10 * 1024 * 1024;

/// The version a writer saw, if it minds: sequence number and primary term.
pub type Seen = Option<(u64, u64)>;

/// A profile as answers show it, with as much of its data as `keys` (patterns, dots for depth) ask for.
pub fn show(uid: &str, profile: &record::Profile, keys: &[String]) -> Profile {
    Profile {
        uid: uid.to_owned(),
        enabled: profile.enabled,
        last_synchronized: profile.last_synchronized,
        user: show_user(&profile.user),
        labels: profile.labels.clone(),
        data: show_data(profile, keys),
        version: ProfileVersion {
            primary_term: PRIMARY_TERM,
            seq_no: profile.seq_no,
        },
    }
}

/// The user of a profile as answers show them.
pub fn show_user(user: &record::ProfileUser) -> ProfileUser {
    ProfileUser {
        username: user.username.clone(),
        roles: user.roles.clone(),
        realm_name: user.realm.name.clone(),
        realm_domain: user.realm.domain.clone(),
        email: user.email.clone(),
        full_name: user.full_name.clone(),
    }
}

/// As much of the data as `keys` ask for; nothing without keys.
pub fn show_data(profile: &record::Profile, keys: &[String]) -> Map<String, Value> {
    if keys.is_empty() || profile.data.is_empty() {
        return Map::new();
    }
    let wanted = FilterPath::of(keys.iter().map(String::as_str));
    match wanted.apply(Value::Object(profile.data.clone())) {
        Value::Object(data) => data,
        _ => Map::new(),
    }
}

/// Merges labels and data into a profile, deeply.
///
/// # Errors
/// No such profile, another version than was seen, or too much for one profile.
pub fn update_data(
    drafts: &mut Drafts<'_>,
    uid: &str,
    labels: &Map<String, Value>,
    data: &Map<String, Value>,
    seen: Seen,
) -> Result<(), Failure> {
    change(drafts, uid, seen, |profile| {
        merge(&mut profile.labels, labels);
        merge(&mut profile.data, data);
    })
}

/// Enables or disables a profile.
///
/// # Errors
/// No such profile.
pub fn set_enabled(drafts: &mut Drafts<'_>, uid: &str, enabled: bool) -> Result<(), Failure> {
    change(drafts, uid, None, |profile| profile.enabled = enabled)
}

fn change(
    drafts: &mut Drafts<'_>,
    uid: &str,
    seen: Seen,
    work: impl FnOnce(&mut record::Profile),
) -> Result<(), Failure> {
    let id = format!("profile_{uid}");
    let Some(before) = drafts.profiles.find(uid) else {
        return Err(Failure::document_missing(&id, INDEX));
    };
    let current = (before.seq_no, PRIMARY_TERM);
    if let Some(seen) = seen.filter(|seen| *seen != current) {
        let why = format!(
            "required seqNo [{}], primary term [{}]. current document has seqNo [{}] and primary term [{}]",
            seen.0, seen.1, current.0, current.1
        );
        return Err(Failure::version_conflict(&id, &why, INDEX));
    }
    let mut profile = (*before).clone();
    work(&mut profile);
    // A change that changes nothing leaves the version alone, as Elasticsearch's updates do.
    if profile == *before {
        return Ok(());
    }
    check_size(uid, &profile)?;
    profile.seq_no += 1;
    drafts.profiles.put(uid, profile);
    Ok(())
}

fn check_size(uid: &str, profile: &record::Profile) -> Result<(), Failure> {
    let size =
        serde_json::to_vec(&(&profile.labels, &profile.data)).map_or(usize::MAX, |json| json.len());
    if size <= MAX_SIZE {
        return Ok(());
    }
    Err(Failure::illegal_argument(format!(
        "cannot update profile [{uid}] because the combined profile size of [{size}] bytes exceeds the maximum of [{MAX_SIZE}] bytes"
    )))
}

/// Objects are merged key by key, everything else is replaced. No deeper than what serde_json reads (128).
fn merge(target: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (key, change) in changes {
        match (target.get_mut(key), change) {
            (Some(Value::Object(inner)), Value::Object(change)) => merge(inner, change),
            _ => {
                target.insert(key.clone(), change.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn objects_merge_deeply_and_everything_else_is_replaced() {
        let mut target = map(json!({"a": {"b": 1, "c": [1, 2]}, "d": {"e": 1}}));
        merge(
            &mut target,
            &map(json!({"a": {"c": [3], "x": null}, "d": 5, "f": {}})),
        );
        assert_eq!(
            target,
            map(json!({"a": {"b": 1, "c": [3], "x": null}, "d": 5, "f": {}}))
        );
    }
}
