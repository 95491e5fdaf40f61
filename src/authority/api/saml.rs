//! SAML single sign-on (`/_security/saml/*`): validation, authorisation, and what Elasticsearch says when no SAML realm fits.
//!
//! No SAML realm can be configured yet. Each handler reads its body into the request a realm will be asked with, and `realm`
//! is the one place where a realm is looked for: with realms it returns one, and the handler goes on where it stops now.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use super::fields::{Fields, Kind};
use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;

/// A configured SAML realm. There is none, and this type says so.
enum Realm {}

/// The realm that goes by this name or this assertion consumer service URL. `printed` is the request as Java prints it.
fn realm(
    _state: &State,
    _name: Option<&str>,
    _acs: Option<&str>,
    printed: &str,
) -> Result<Realm, Failure> {
    Err(Failure::security(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("Cannot find any matching realm for [{printed}]"),
    ))
}

/// `POST /_security/saml/prepare`
pub async fn prepare(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [
        ("acs", Kind::Text),
        ("realm", Kind::Text),
        ("relay_state", Kind::Text),
    ];
    let fields = Fields::read(&call, "saml_prepare_authn", &known)?;
    authorize::by_cluster_privilege(state, &call).await?;
    let printed = format!(
        "SamlPrepareAuthenticationRequest{{realmName={}, assertionConsumerServiceURL={}, relayState={}}}",
        fields.printed("realm"),
        fields.printed("acs"),
        fields.printed("relay_state")
    );
    match realm(state, fields.text("realm"), fields.text("acs"), &printed)? {}
}

/// `POST /_security/saml/authenticate`
pub async fn authenticate(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [
        ("content", Kind::Text),
        ("ids", Kind::Texts),
        ("realm", Kind::OptionalText),
    ];
    let fields = Fields::read(&call, "saml_authenticate", &known)?;
    let content: String = fields
        .text("content")
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    STANDARD
        .decode(content)
        .map_err(|error| Failure::illegal_argument(error.to_string()))?;
    authorize::by_cluster_privilege(state, &call).await?;
    Err(nobody(&call, "<unauthenticated-saml-user>"))
}

/// What a message is answered that no realm takes.
fn nobody(call: &Call, principal: &str) -> Failure {
    Failure::unauthenticated(format!(
        "unable to authenticate user [{principal}] for action [{}]",
        call.action
    ))
}

/// `POST /_security/saml/logout`
pub async fn logout(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [("token", Kind::Text), ("refresh_token", Kind::Text)];
    let fields = Fields::read(&call, "saml_logout", &known)?;
    if fields.text("token").unwrap_or_default().is_empty() {
        return Err(Failure::request_validation(&["token is missing"]));
    }
    authorize::by_cluster_privilege(state, &call).await?;
    let who = super::sso_token::session(state, fields.printed("token"), call.now)?;
    Err(Failure::security(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!(
            "Authenticating realm {} is not a SAML realm",
            who.principal.realm.name
        ),
    ))
}

/// `POST /_security/saml/invalidate`
pub async fn invalidate(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [
        ("query_string", Kind::Text),
        ("queryString", Kind::Text),
        ("acs", Kind::Text),
        ("realm", Kind::Text),
    ];
    let fields = Fields::read(&call, "saml_invalidate_session", &known)?;
    let query = fields.text("query_string").or(fields.text("queryString"));
    let query = query.unwrap_or_default();
    if query.is_empty() {
        return Err(Failure::request_validation(&["query_string is missing"]));
    }
    authorize::by_cluster_privilege(state, &call).await?;
    let printed = format!(
        "SamlInvalidateSessionRequest{{realmName='{}', assertionConsumerServiceURL='{}', url-query={} chars}}",
        fields.printed("realm"),
        fields.printed("acs"),
        query.chars().count()
    );
    match realm(state, fields.text("realm"), fields.text("acs"), &printed)? {}
}

/// `POST /_security/saml/complete_logout`
pub async fn complete_logout(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [
        ("query_string", Kind::OptionalText),
        ("queryString", Kind::OptionalText),
        ("content", Kind::OptionalText),
        ("ids", Kind::Texts),
        ("realm", Kind::Text),
    ];
    let fields = Fields::read(&call, "saml_complete_logout", &known)?;
    let query = fields
        .filled("query_string")
        .or(fields.filled("queryString"));
    let mut faults = Vec::new();
    if fields.filled("realm").is_none() {
        faults.push("realm may not be empty");
    }
    match (query, fields.filled("content")) {
        (None, None) => faults.push("query_string and content may not both be empty"),
        (Some(_), Some(_)) => faults.push("query_string and content may not both present"),
        (Some(_), None) | (None, Some(_)) => {}
    }
    if !faults.is_empty() {
        return Err(Failure::request_validation(&faults));
    }
    authorize::by_cluster_privilege(state, &call).await?;
    let name = fields.text("realm");
    match realm(state, name, None, fields.printed("realm"))? {}
}

/// `GET /_security/saml/metadata/{realm_name}`
pub async fn metadata(state: &State, call: Call) -> Result<Reply, Failure> {
    let name = call.path("realm_name").unwrap_or_default();
    if name.trim().is_empty() {
        return Err(Failure::request_validation(&[
            "Realm name may not be empty",
        ]));
    }
    authorize::by_cluster_privilege(state, &call).await?;
    match realm(state, Some(name), None, name)? {}
}
