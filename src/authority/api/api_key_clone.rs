//! A second key with the power of a first (`POST /_security/api_key/clone`). Whoever shows the first one's secret has its power
//! already; the copy belongs to the same owner and has the same roles and snapshot. But it may live longer, so a key that acts
//! makes no copy that has any power.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::api_key_body;
use super::api_key_making::{self, Blank, expires_at};
use crate::authority::authorize;
use crate::authority::body::{Grammar, Object};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::realm::grants::{self, GrantError};
use crate::authority::record::{ApiKey, ApiKeyKind};
use crate::authority::state::State;
use crate::model::clock::Now;
use crate::model::secret::Secret;

const GRAMMAR: Grammar = Grammar::Strict("clone_api_key_request");

/// How long the copy lives.
#[derive(Default)]
enum Life {
    /// As long as the first one.
    #[default]
    Same,
    /// For ever.
    Unlimited,
    /// From now on.
    For(std::time::Duration),
}

/// The body.
#[derive(Default)]
struct Copy {
    source: Option<Secret>,
    name: String,
    life: Life,
    metadata: Option<Map<String, Value>>,
}

/// `POST|PUT /_security/api_key/clone`
pub async fn clone(state: &State, call: Call) -> Result<Reply, Failure> {
    call.check_refresh()?;
    let copy = Copy::parse(&call.object(GRAMMAR)?)?;
    let granted = authorize::for_own_keys(state, &call, true).await?;
    let source = find_source(state, &copy, call.now)?;
    // As for a key that is made: one that leaks must not be able to make others that outlive it.
    api_key_making::check_derived(&call.subject, &source.roles)?;
    let expiration = match copy.life {
        Life::Same => source.expiration,
        Life::Unlimited => None,
        Life::For(life) => Some(expires_at(life, call.now)),
    };
    let blank = Blank {
        name: copy.name,
        kind: ApiKeyKind::Rest,
        expiration,
        creator: source.creator.clone(),
        roles: source.roles.clone(),
        limited_by: source.limited_by.clone(),
        metadata: copy.metadata.unwrap_or_default(),
        certificate_identity: None,
    };
    let answer = api_key_making::store(&granted, state, blank, call.now).await?;
    granted.reply(&answer)
}

/// The key the secret belongs to. A 401 would send the caller to log in again, so refusals are 403.
fn find_source(state: &State, copy: &Copy, now: Now) -> Result<Arc<ApiKey>, Failure> {
    let credential = copy.source.as_ref().and_then(grants::parse_api_key);
    let credential = credential
        .ok_or_else(|| Failure::status(StatusCode::BAD_REQUEST, "invalid API key credential"))?;
    grants::verify_api_key(state.tables(), &credential, now).map_err(|error| {
        let reason = match error {
            GrantError::Refused(why) | GrantError::WrongKind(why) => why,
            GrantError::Expired => "api key is expired".to_owned(),
        };
        Failure::forbidden("Failed to clone API key").caused_by("security_exception", reason)
    })
}

impl Copy {
    fn parse(object: &Object<'_>) -> Result<Self, Failure> {
        let mut copy = Self::default();
        for field in object.fields() {
            match field.name {
                "api_key" => copy.source = Some(Secret::from(field.string()?)),
                "name" => copy.name = field.string()?,
                "expiration" => {
                    let life = api_key_body::parse_expiration(&field)?;
                    copy.life = life.map_or(Life::Unlimited, Life::For);
                }
                "metadata" => copy.metadata = Some(field.map()?),
                _ => return Err(field.unknown()),
            }
        }
        let mut faults = Vec::new();
        if copy
            .source
            .as_ref()
            .is_none_or(|key| key.expose().is_empty())
        {
            faults.push("api key credential is required".to_owned());
        }
        faults.extend(api_key_body::name_faults(&copy.name));
        faults.extend(
            copy.metadata
                .as_ref()
                .and_then(api_key_body::metadata_fault),
        );
        api_key_body::refuse(&faults)?;
        Ok(copy)
    }
}
