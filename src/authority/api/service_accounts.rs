//! Service accounts and their tokens (`/_security/service`).
//!
//! The accounts themselves can't be changed. A token's value leaves once, in the answer that creates it; what is kept is a
//! hash. Names of tokens and accounts are plain ASCII, so they are safe in logs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::caches::nodes;
use super::write::write;
use crate::authority::authorize;
use crate::authority::builtin::accounts;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::names;
use crate::authority::realm::grants::{digest_text, random_text};
use crate::authority::realm::service::ServiceCredential;
use crate::authority::record::{Principal, ServiceToken};
use crate::authority::state::State;
use crate::model::secret::Secret;

/// Elasticsearch's index of tokens, in messages about conflicts.
const INDEX: &str = ".security-7";

/// `GET /_security/service[/{namespace}[/{service}]]`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let is_wanted = |given: Option<&str>, part: &str| given.is_none_or(|given| given == part);
    let found: BTreeMap<&str, Value> = accounts::service_accounts()
        .filter(|(account, _)| {
            let (namespace, service) = account.split_once('/').unwrap_or_default();
            is_wanted(call.path("namespace"), namespace) && is_wanted(call.path("service"), service)
        })
        .map(|(account, role)| (account, json!({"role_descriptor": role})))
        .collect();
    granted.reply(&found)
}

/// The account a path is about, known or not.
fn account(call: &Call) -> String {
    let part = |name| call.path(name).unwrap_or_default();
    format!("{}/{}", part("namespace"), part("service"))
}

/// `PUT|POST /_security/service/{namespace}/{service}/credential/token[/{name}]`
pub async fn create_token(state: &State, call: Call) -> Result<Reply, Failure> {
    let made_up = || format!("token_{}", random_id());
    let name = call.path("name").map_or_else(made_up, str::to_owned);
    call.check_refresh()?;
    names::check_service_token(&name).map_err(|fault| Failure::request_validation(&[fault]))?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let account = account(&call);
    if accounts::service_account(&account).is_none() {
        return Err(Failure::illegal_argument(format!(
            "service account [{account}] does not exist"
        )));
    }
    let token = ServiceCredential {
        account,
        name,
        secret: random_text::<16>(),
    };
    let key = token.key();
    let row = ServiceToken {
        secret: digest_text(token.secret.expose()),
        creation: call.now.unix_millis(),
        creator: Principal {
            realm: call.subject.owner_realm().clone(),
            ..(*call.subject.effective).clone()
        },
    };
    write(&granted, state, move |drafts| {
        if drafts.service_tokens.find(&key).is_some() {
            return Err(Failure::version_conflict(
                &format!("service_account_token-{key}"),
                "document already exists (current version [1])",
                INDEX,
            ));
        }
        drafts.service_tokens.put(&key, row);
        Ok(())
    })
    .await?;
    tracing::info!(token = %token.key(), by = %call.subject.effective.username, "service token created");
    let value = token.bearer();
    let value = value.expose_str().unwrap_or_default();
    granted.reply(&json!({"created": true, "token": {"name": token.name, "value": value}}))
}

/// Twenty characters of base64url: all of them may stand in a token name behind `token_`.
fn random_id() -> String {
    let id: Secret = random_text::<15>();
    id.expose_str().unwrap_or_default().to_owned()
}

/// `DELETE /_security/service/{namespace}/{service}/credential/token/{name}`
pub async fn delete_token(state: &State, call: Call) -> Result<Reply, Failure> {
    let name = call.path("name").unwrap_or_default();
    call.check_refresh()?;
    names::check_service_token(name).map_err(|fault| Failure::request_validation(&[fault]))?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let key = format!("{}/{name}", account(&call));
    let found = write(&granted, state, move |drafts| {
        Ok(drafts.service_tokens.remove(&key))
    })
    .await?;
    granted.reply_found(found)
}

/// `GET /_security/service/{namespace}/{service}/credential`
pub async fn credentials(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let account = account(&call);
    let prefix = format!("{account}/");
    let name = |key: &str| key.strip_prefix(&prefix).map(str::to_owned);
    let tokens: Map<String, Value> = state
        .tables()
        .service_tokens
        .with_prefix(&prefix)
        .iter()
        .filter_map(|(key, _)| Some((name(key)?, json!({}))))
        .collect();
    let here = json!({"nodes": [state.cluster_name]});
    let of_file: Map<String, Value> = state
        .service_tokens
        .of_file(call.now)
        .keys()
        .filter_map(|key| Some((name(key)?, here.clone())))
        .collect();
    granted.reply(&json!({
        "service_account": account,
        "count": tokens.len() + of_file.len(),
        "tokens": tokens,
        "nodes_credentials": {
            "_nodes": {"total": 1, "successful": 1, "failed": 0},
            "file_tokens": of_file,
        },
    }))
}

/// `POST /_security/service/{namespace}/{service}/credential/token/{names}/_clear_cache`
pub async fn clear_cache(state: &State, call: Call) -> Result<Reply, Failure> {
    let given = call.path_list("name");
    if !matches!(given.as_slice(), [all] if all == "*" || all == "_all") {
        for name in &given {
            names::check_service_token(name).map_err(Failure::illegal_argument)?;
        }
    }
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    // Tokens of the store are never cached, and forgetting too many of the file's costs one hash each.
    state.service_tokens.clear();
    granted.reply(&nodes(state))
}
