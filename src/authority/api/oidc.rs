//! OpenID Connect single sign-on (`/_security/oidc/*`): validation, authorisation, and what Elasticsearch says when no such
//! realm fits.
//!
//! No OpenID Connect realm can be configured yet; `realm` is the one place where one is looked for, by name or by issuer.

use http::StatusCode;

use super::fields::{Fields, Kind};
use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;

/// A configured OpenID Connect realm. There is none, and this type says so.
enum Realm {}

/// What a realm is looked for by.
enum By<'a> {
    Name(&'a str),
    Issuer(&'a str),
}

fn realm(_state: &State, by: &By<'_>) -> Result<Realm, Failure> {
    let sought = match by {
        By::Name(name) => format!("name [{name}]"),
        By::Issuer(issuer) => format!("issuer [{issuer}]"),
    };
    Err(Failure::security(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("Cannot find OpenID Connect realm with {sought}"),
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
    authorize::by_cluster_privilege(state, &call).await?;
    match realm(state, &by)? {}
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
    authorize::by_cluster_privilege(state, &call).await?;
    Err(Failure::unauthenticated(format!(
        "unable to authenticate user [<OIDC Token>] for action [{}]",
        call.action
    )))
}

/// `POST /_security/oidc/logout`
pub async fn logout(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [("token", Kind::Text), ("refresh_token", Kind::Text)];
    let fields = Fields::read(&call, "oidc_logout", &known)?;
    if fields.text("token").unwrap_or_default().is_empty() {
        return Err(Failure::request_validation(&["token is missing"]));
    }
    authorize::by_cluster_privilege(state, &call).await?;
    super::sso_token::bearer(state, fields.printed("token"), call.now)?;
    Err(Failure::illegal_argument(
        "Access token is not valid for an OpenID Connect realm",
    ))
}
