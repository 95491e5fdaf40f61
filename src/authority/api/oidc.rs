//! OpenID Connect single sign-on (`/_security/oidc/*`), as Elasticsearch answers it.
//!
//! Always true: the caller, who has `manage_oidc`, vouches for the browser by keeping state and nonce apart from it; whoever
//! can't be let in gets one sentence, and the log the reason.

use http::StatusCode;
use serde_json::json;

use super::fields::{Fields, Kind};
use super::{sso_token, token_invalidation, tokens};
use crate::authority::authenticate::{self, Purpose};
use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::realm::chain::OIDC_PRINCIPAL;
use crate::authority::realm::grants::random_text;
use crate::authority::realm::oidc::request::Attempt;
use crate::authority::realm::oidc::{Callback, OidcRealm};
use crate::authority::state::State;
use crate::model::secret::Secret;
use crate::wire::sso::OidcPrepareResponse;

/// What a realm is looked for by.
enum By<'a> {
    Name(&'a str),
    Issuer(&'a str),
}

impl By<'_> {
    fn fits(&self, realm: &OidcRealm) -> bool {
        match *self {
            Self::Name(name) => realm.name() == name,
            Self::Issuer(issuer) => realm.issuer() == issuer,
        }
    }

    /// As failures name it.
    fn sought(&self) -> String {
        match self {
            Self::Name(name) => format!("name [{name}]"),
            Self::Issuer(issuer) => format!("issuer [{issuer}]"),
        }
    }
}

fn realm<'a>(state: &'a State, by: &By<'_>) -> Result<&'a OidcRealm, Failure> {
    let mut fitting = state.realms.oidc().iter().filter(|realm| by.fits(realm));
    let number = match (fitting.next(), fitting.next()) {
        (Some(realm), None) => return Ok(realm),
        (None, _) => "Cannot find",
        (Some(_), Some(_)) => "Found multiple",
    };
    Err(Failure::security(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("{number} OpenID Connect realm with {}", by.sought()),
    ))
}

/// `POST /_security/oidc/prepare`
pub async fn prepare(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [
        ("realm", Kind::Text),
        ("iss", Kind::Text),
        ("login_hint", Kind::Text),
        ("state", Kind::Text),
        ("nonce", Kind::Text),
    ];
    let fields = Fields::read(&call, "oidc_prepare_authentication", &known)?;
    let by = match (fields.filled("realm"), fields.filled("iss")) {
        (Some(name), None) => By::Name(name),
        (None, Some(issuer)) => By::Issuer(issuer),
        (None, None) => {
            return Err(Failure::request_validation(&[
                "one of [realm, issuer] must be provided",
            ]));
        }
        (Some(_), Some(_)) => {
            return Err(Failure::request_validation(&[
                "only one of [realm, issuer] can be provided in the same request",
            ]));
        }
    };
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let realm = realm(state, &by)?;
    let given = |name| fields.filled(name).map_or_else(fresh, str::to_owned);
    let (own_state, nonce) = (given("state"), given("nonce"));
    let attempt = Attempt {
        state: &own_state,
        nonce: &nonce,
    };
    let name = realm.name();
    let prepared = realm.prepare(attempt, fields.filled("login_hint"), call.now);
    let redirect = prepared.await.map_err(|error| {
        let text = format!("OpenID Connect realm [{name}] does not know its provider: {error}");
        Failure::security(StatusCode::SERVICE_UNAVAILABLE, text)
    })?;
    granted.reply(&OidcPrepareResponse {
        redirect,
        realm: name.to_owned(),
        state: own_state,
        nonce,
    })
}

/// A state or nonce of our own.
fn fresh() -> String {
    let text = random_text::<32>();
    text.expose_str().unwrap_or_default().to_owned()
}

/// `POST /_security/oidc/authenticate`
pub async fn authenticate(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [
        ("redirect_uri", Kind::Text),
        ("state", Kind::Text),
        ("nonce", Kind::Text),
        ("realm", Kind::OptionalText),
    ];
    let fields = Fields::read(&call, "oidc_authn", &known)?;
    let faults: Vec<String> = ["state", "nonce", "redirect_uri"]
        .into_iter()
        .filter(|name| fields.text(name).unwrap_or_default().is_empty())
        .map(|name| format!("{name} parameter is missing"))
        .collect();
    if !faults.is_empty() {
        return Err(Failure::request_validation(&faults));
    }
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let callback = Callback {
        uri: fields.text("redirect_uri").unwrap_or_default(),
        attempt: Attempt {
            state: fields.text("state").unwrap_or_default(),
            nonce: fields.text("nonce").unwrap_or_default(),
        },
    };
    let realm = fields.filled("realm");
    let purpose = Purpose::Action(call.action);
    let (subject, kept) = authenticate::oidc(state, realm, callback, purpose, call.now)
        .await
        .inspect_err(|_| call.trail.not_admitted(call.action, Some(OIDC_PRINCIPAL)))?;
    call.trail.admitted(call.action, &subject);
    let pair = tokens::issue_session(&granted, state, &call, subject, kept).await?;
    granted.reply(&pair)
}

/// `POST /_security/oidc/logout`
pub async fn logout(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [("token", Kind::Text), ("refresh_token", Kind::Text)];
    let fields = Fields::read(&call, "oidc_logout", &known)?;
    if fields.text("token").unwrap_or_default().is_empty() {
        return Err(Failure::request_validation(&["token is missing"]));
    }
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let session = sso_token::session(state, fields.printed("token"), call.now)?;
    let name = &session.principal.realm.name;
    let mut realms = state.realms.oidc().iter();
    let realm = realms
        .find(|realm| realm.name() == *name && session.principal.realm.kind == "oidc")
        .ok_or_else(|| {
            Failure::illegal_argument("Access token is not valid for an OpenID Connect realm")
        })?;
    let access = Secret::from(fields.printed("token"));
    let refresh = fields.filled("refresh_token").map(Secret::from);
    token_invalidation::end_session(&granted, state, &access, refresh.as_ref()).await?;
    let redirect = realm.logout_url(&session.kept, &fresh(), call.now).await;
    granted.reply(&json!({"redirect": redirect}))
}
