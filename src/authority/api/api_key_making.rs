//! How an API key comes to be, whoever asks for it: secret, id, owner, snapshot of the owner's roles, row.
//!
//! Always true: the secret leaves in the answer and is kept as a hash only; a key carries its owner's roles as they were, so it
//! never exceeds them. One more way to make keys is a file beside this one that ends in [`store`].

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::api_key_body::{self, NewKey};
use super::role_check;
use super::write::write;
use crate::authority::authorize::Granted;
use crate::authority::failure::Failure;
use crate::authority::permissions;
use crate::authority::realm::grants::{digest_text, random_text};
use crate::authority::record::{ApiKey, ApiKeyKind, Principal, RoleSet};
use crate::authority::state::State;
use crate::authority::subject::Subject;
use crate::model::clock::{self, Now};
use crate::wire::grants::CreateApiKeyResponse;

/// A key that is all there but for its id and secret.
pub struct Blank {
    /// Its name.
    pub name: String,
    /// Kind of key.
    pub kind: ApiKeyKind,
    /// Milliseconds since the Unix epoch; `None`: never.
    pub expiration: Option<u64>,
    /// Its owner.
    pub creator: Principal,
    /// Its own roles; empty: whatever the owner has.
    pub roles: RoleSet,
    /// The owner's roles.
    pub limited_by: RoleSet,
    /// Free metadata.
    pub metadata: Map<String, Value>,
    /// Pattern for the certificate of a remote cluster.
    pub certificate_identity: Option<String>,
}

impl Blank {
    /// An ordinary key of this subject.
    ///
    /// # Errors
    /// A subject that may not own such a key, see [`owner_snapshot`].
    pub fn of_subject(
        state: &State,
        subject: &Subject,
        new: NewKey,
        now: Now,
    ) -> Result<Self, Failure> {
        check_derived(subject, &new.roles)?;
        Ok(Self {
            limited_by: owner_snapshot(state, subject)?,
            creator: owner(subject),
            kind: ApiKeyKind::Rest,
            expiration: new.expiration.map(|life| expires_at(life, now)),
            name: new.name,
            roles: new.roles,
            metadata: new.metadata,
            certificate_identity: None,
        })
    }
}

/// When something that lives `life` from now on ends; whole seconds, as Elasticsearch counts them.
pub fn expires_at(life: Duration, now: Now) -> u64 {
    now.unix_millis()
        .saturating_add(life.as_secs().saturating_mul(1_000))
}

/// Whom a key belongs to that this subject makes. Of a key: its own owner.
pub fn owner(subject: &Subject) -> Principal {
    Principal {
        roles: Vec::new(),
        realm: subject.owner_realm().clone(),
        ..(*subject.effective).clone()
    }
}

/// The roles a key of this subject can never exceed: theirs as they are now, or those of the key they act with.
///
/// # Errors
/// An owner whose roles are bound to a workflow.
pub fn owner_snapshot(state: &State, subject: &Subject) -> Result<RoleSet, Failure> {
    if let Some(parent) = subject.acting_key() {
        return Ok(parent.limited_by.clone());
    }
    let snapshot = permissions::snapshot(state.tables(), &subject.effective);
    if snapshot.values().any(|role| role.restriction.is_some()) {
        return Err(Failure::illegal_argument(
            "owner user role descriptors must not include restriction",
        ));
    }
    Ok(snapshot)
}

/// A key made by a key must have no power: one that leaks must not be able to make others that outlive it.
///
/// # Errors
/// The rule.
pub fn check_derived(subject: &Subject, roles: &RoleSet) -> Result<(), Failure> {
    let is_harmless =
        !roles.is_empty() && roles.values().all(|role| api_key_body::is_powerless(role));
    if subject.acting_key().is_none() || is_harmless {
        return Ok(());
    }
    Err(Failure::illegal_argument(
        "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)",
    ))
}

/// Gives a key its id and secret, and makes it durable. The answer is the only place that ever holds the secret.
///
/// # Errors
/// Roles that can't be evaluated; 503 when the store can't make it durable.
pub async fn store(
    granted: &Granted,
    state: &State,
    blank: Blank,
    now: Now,
) -> Result<CreateApiKeyResponse, Failure> {
    role_check::set(granted, state, &blank.roles).await?;
    let secret = random_text::<16>();
    let key = ApiKey {
        id: new_id(now),
        name: blank.name,
        kind: blank.kind,
        secret: digest_text(secret.expose()),
        creation: now.unix_millis(),
        expiration: blank.expiration,
        invalidation: None,
        creator: blank.creator,
        roles: blank.roles,
        limited_by: blank.limited_by,
        metadata: blank.metadata,
        certificate_identity: blank.certificate_identity,
        version: 0,
    };
    let secret = secret.expose_str().unwrap_or_default();
    let answer = CreateApiKeyResponse {
        id: key.id.clone(),
        name: key.name.clone(),
        expiration: key.expiration,
        api_key: secret.to_owned(),
        encoded: STANDARD.encode(format!("{}:{secret}", key.id)),
    };
    write(granted, state, move |drafts| {
        drafts.api_keys.put(&key.id.clone(), key);
        Ok(())
    })
    .await?;
    Ok(answer)
}

/// Twenty characters: six bytes of time, nine of chance.
fn new_id(now: Now) -> String {
    let mut bytes = [0u8; 15];
    bytes[..6].copy_from_slice(&now.unix_millis().to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&clock::random_bytes::<9>());
    URL_SAFE_NO_PAD.encode(bytes)
}
