//! Settings of the security indices: kept and shown as in Elasticsearch, though there is no index here that they could change.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::write::write;
use crate::authority::authorize;
use crate::authority::body::Grammar;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;
use crate::authority::time_value;

const STRICT: Grammar = Grammar::Strict("update_security_settings_request");

/// The indices by their names in this API.
const INDICES: [&str; 3] = ["security", "security-profile", "security-tokens"];

const REPLICAS: &str = "index.number_of_replicas";
const EXPAND: &str = "index.auto_expand_replicas";
const TIERS: &str = "index.routing.allocation.include._tier_preference";
/// What may be set.
const ALLOWED: [&str; 3] = [REPLICAS, EXPAND, TIERS];
/// Longest value that is kept, in bytes.
const LONGEST: usize = 256;
/// Data tiers that hold the security indices.
const TIER_NAMES: [&str; 4] = ["data_content", "data_hot", "data_warm", "data_cold"];
/// What Elasticsearch creates the indices with.
const DEFAULTS: [(&str, &str); 3] = [(EXPAND, "0-1"), (REPLICAS, "0"), (TIERS, "data_content")];

/// `GET /_security/settings`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    check_durations(&call)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let mut answer = Map::new();
    for index in INDICES {
        let kept = state.tables().index_settings.find(index);
        let kept = kept.map(|row| row.values.clone()).unwrap_or_default();
        answer.insert(index.to_owned(), shown(&kept));
    }
    granted.reply(&answer)
}

/// Values in the nested form of index settings: `{"index":{"number_of_replicas":"0"}}`.
fn shown(kept: &BTreeMap<String, String>) -> Value {
    let mut settings = json!({});
    for (name, default) in DEFAULTS {
        let value = kept.get(name).map_or(default, String::as_str);
        let mut at = &mut settings;
        for part in name.split('.') {
            at = &mut at[part];
        }
        *at = json!(value);
    }
    settings
}

/// `PUT /_security/settings`
pub async fn update(state: &State, call: Call) -> Result<Reply, Failure> {
    check_durations(&call)?;
    let changes = parse(&call)?;
    check(&changes)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    write(&granted, state, move |drafts| {
        for (index, settings) in &changes {
            let old = drafts.index_settings.find(index);
            let mut row = old.map(|row| (*row).clone()).unwrap_or_default();
            for (name, value) in settings {
                match text(value) {
                    Some(text) => row.values.insert(name.clone(), text),
                    // Null takes the default back.
                    None => row.values.remove(name),
                };
            }
            drafts.index_settings.put(index, row);
        }
        Ok(())
    })
    .await?;
    granted.reply(&json!({"acknowledged": true}))
}

fn check_durations(call: &Call) -> Result<(), Failure> {
    for name in ["master_timeout", "timeout"] {
        if let Some(value) = call.query.non_empty(name)
            && value != "-1"
        {
            time_value::parse(value, name).map_err(Failure::illegal_argument)?;
        }
    }
    Ok(())
}

type Changes = Vec<(&'static str, Map<String, Value>)>;

fn parse(call: &Call) -> Result<Changes, Failure> {
    let object = call.object(STRICT)?;
    let mut changes = Changes::new();
    for field in object.fields() {
        let Some(index) = INDICES.into_iter().find(|index| *index == field.name) else {
            return Err(field.unknown());
        };
        let mut flat = Map::new();
        flatten(String::new(), Value::Object(field.map()?), &mut flat);
        changes.push((index, flat));
    }
    Ok(changes)
}

/// `{"index":{"number_of_replicas":1}}` means the same as `{"index.number_of_replicas":1}`. Depth is bounded by the JSON reader.
fn flatten(prefix: String, value: Value, into: &mut Map<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() || prefix.is_empty() => {
            for (key, value) in map {
                let name = if prefix.is_empty() {
                    key
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(name, value, into);
            }
        }
        value => {
            into.insert(prefix, value);
        }
    }
}

fn check(changes: &Changes) -> Result<(), Failure> {
    let settings = changes
        .iter()
        .flat_map(|(index, settings)| settings.iter().map(move |setting| (*index, setting)));
    let mut faults = Vec::new();
    let mut count = 0;
    for (index, (name, value)) in settings {
        count += 1;
        if !ALLOWED.contains(&name.as_str()) {
            faults.push(format!(
                "illegal setting for index [{index}]: [{name}], this setting may not be configured. Only the following settings \
                 may be configured for that index: [{}]",
                ALLOWED.join(", ")
            ));
        } else if name == TIERS {
            faults.extend(check_tiers(value));
        }
    }
    if count == 0 {
        faults.push("No settings given to update".to_owned());
    }
    if !faults.is_empty() {
        return Err(Failure::request_validation(&faults));
    }
    for (name, value) in changes.iter().flat_map(|(_, settings)| settings) {
        check_value(name, value).map_err(Failure::illegal_argument)?;
    }
    Ok(())
}

fn check_tiers(value: &Value) -> Option<String> {
    let foreign: Vec<&str> = value
        .as_str()?
        .split(',')
        .filter(|tier| !tier.is_empty() && !TIER_NAMES.contains(tier))
        .collect();
    (!foreign.is_empty()).then(|| {
        format!(
            "disallowed data tiers [{}] found, allowed tiers are [{}",
            foreign.join(","),
            TIER_NAMES.join(",")
        )
    })
}

/// What the index itself would say about a value.
fn check_value(name: &str, value: &Value) -> Result<(), String> {
    let Some(text) = text(value) else {
        return Ok(());
    };
    if text.len() > LONGEST {
        return Err(format!(
            "a value of setting [{name}] may not be longer than [{LONGEST}] characters"
        ));
    }
    let failed = || {
        Err(format!(
            "Failed to parse value [{text}] for setting [{name}]"
        ))
    };
    match name {
        REPLICAS => match text.parse::<i64>() {
            Ok(number) if number < 0 => Err(format!(
                "Failed to parse value [{text}] for setting [{name}] must be >= 0"
            )),
            Ok(number) if i32::try_from(number).is_ok() => Ok(()),
            Ok(_) | Err(_) => failed(),
        },
        EXPAND if text == "false" => Ok(()),
        EXPAND => match text.split_once('-') {
            Some((low, high)) => {
                let low: Option<u32> = low.parse().ok();
                let high = if high == "all" {
                    Some(u32::MAX)
                } else {
                    high.parse().ok()
                };
                match (low, high) {
                    (Some(low), Some(high)) if low <= high => Ok(()),
                    (Some(low), Some(high)) => Err(format!(
                        "[{name}] minReplicas must be =< maxReplicas but wasn't {low} > {high}"
                    )),
                    _ => failed(),
                }
            }
            None => Err(format!(
                "failed to parse [{name}] from value: [{text}] at index -1"
            )),
        },
        _ => Ok(()),
    }
}

/// A setting's value in the text it is kept in; `None`: reset.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
