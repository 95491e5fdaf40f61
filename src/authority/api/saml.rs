//! SAML single sign-on (`/_security/saml/*`): the web application in front brings what the browser brought, and gets tokens or
//! the way the browser is to go.
//!
//! Always true: what a message says counts only after [`SamlRealm`] believed it; whoever brings one that is not believed learns
//! that nobody was authenticated, and the log why. The one thing more it learns, as from Elasticsearch, is that a response names
//! a request that is not under way.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use super::fields::{Fields, Kind};
use super::sso_token::{self, Session};
use super::token_invalidation::{end_session, take_where};
use super::tokens;
use super::write::write;
use crate::authority::authenticate::{self, Purpose};
use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::realm::saml::login::Login;
use crate::authority::realm::saml::refusal::Refusal;
use crate::authority::realm::saml::{Accepted, LogoutAnswer, Redirect, SamlRealm};
use crate::authority::state::State;
use crate::model::secret::Secret;

/// How refusals name whoever brings a response.
const NOBODY: &str = "<unauthenticated-saml-user>";
/// What an error tells beside its sentence when a response names a request that is not under way.
const UNSOLICITED: &str = "security.saml.unsolicited_in_response_to";

/// 500, which Elasticsearch answers whatever is wrong with SAML.
fn failed(reason: impl Into<String>) -> Failure {
    Failure::security(StatusCode::INTERNAL_SERVER_ERROR, reason)
}

/// The answer to a message that is not believed; the log has the reason as well.
fn refused(realm: &SamlRealm, what: &str, refusal: &Refusal) -> Failure {
    tracing::info!(realm = %realm.name(), reason = %refusal, "SAML {what} refused");
    let failure = failed(refusal.to_string());
    match refusal {
        Refusal::Unsolicited { in_response_to } => {
            failure.with_metadata(UNSOLICITED, json!(in_response_to))
        }
        _ => failure,
    }
}

/// The one realm that goes by this name and this assertion consumer service URL. `printed` is the request as Java prints it.
fn realm<'s>(
    state: &'s State,
    name: Option<&str>,
    acs: Option<&str>,
    printed: &str,
) -> Result<&'s SamlRealm, Failure> {
    let fits = |wanted: Option<&str>, is: &dyn Fn(&str) -> bool| {
        wanted
            .filter(|wanted| !wanted.trim().is_empty())
            .is_none_or(is)
    };
    let found: Vec<&SamlRealm> = state
        .realms
        .saml()
        .iter()
        .map(Arc::as_ref)
        .filter(|realm| fits(name, &|name| realm.name() == name))
        .filter(|realm| fits(acs, &|acs| realm.is_at(acs)))
        .collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(failed(format!(
            "Cannot find any matching realm for [{printed}]"
        ))),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|realm| format!("saml/{}", realm.name()))
                .collect();
            Err(failed(format!(
                "Found multiple matching realms [[{}]] for [{printed}]",
                names.join(", ")
            )))
        }
    }
}

/// `POST /_security/saml/prepare`
pub async fn prepare(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [
        ("acs", Kind::Text),
        ("realm", Kind::Text),
        ("relay_state", Kind::Text),
    ];
    let fields = Fields::read(&call, "saml_prepare_authn", &known)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let printed = format!(
        "SamlPrepareAuthenticationRequest{{realmName={}, assertionConsumerServiceURL={}, relayState={}}}",
        fields.printed("realm"),
        fields.printed("acs"),
        fields.printed("relay_state")
    );
    let realm = realm(state, fields.text("realm"), fields.text("acs"), &printed)?;
    let redirect = realm
        .prepare(fields.text("relay_state"), call.now)
        .map_err(|refusal| refused(realm, "login", &refusal))?;
    granted.reply(&json!({
        "realm": realm.name(),
        "id": redirect.id,
        "redirect": redirect.url,
    }))
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
        .decode(&content)
        .map_err(|error| Failure::illegal_argument(error.to_string()))?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let (realm, accepted) = accept(state, &call, &fields, &content).await?;
    let purpose = Purpose::Action(call.action);
    let subject = authenticate::saml(state, realm, accepted.proven, purpose, call.now)
        .inspect_err(|_| call.trail.not_admitted(call.action, Some(NOBODY)))?;
    call.trail.admitted(call.action, &subject);
    let username = subject.effective.username.clone();
    let kept = accepted.login.kept();
    let mut pair = tokens::issue_session(&granted, state, &call, subject, kept).await?;
    let mut answer = json!({
        "username": username,
        "realm": realm.name(),
        "access_token": pair["access_token"].take(),
        "refresh_token": pair["refresh_token"].take(),
        "expires_in": pair["expires_in"].take(),
        "authentication": pair["authentication"].take(),
    });
    if let Some(request) = accepted.in_response_to {
        answer["in_response_to"] = json!(request);
    }
    granted.reply(&answer)
}

/// Shows a response to the realm it is for, or to all in their order.
async fn accept<'s>(
    state: &'s State,
    call: &Call,
    fields: &Fields,
    content: &str,
) -> Result<(&'s Arc<SamlRealm>, Accepted), Failure> {
    let named = fields.filled("realm");
    let mut failure = Failure::unauthenticated(format!(
        "unable to authenticate user [{NOBODY}] for action [{}]",
        call.action
    ));
    for realm in state.realms.saml() {
        if named.is_some_and(|named| named != realm.name()) {
            continue;
        }
        match realm
            .authenticate(content, fields.list("ids"), call.now)
            .await
        {
            Ok(accepted) => return Ok((realm, accepted)),
            Err(refusal) => {
                tracing::info!(realm = %realm.name(), principal = NOBODY, reason = %refusal, "realm refused");
                if let Refusal::Unsolicited { in_response_to } = refusal {
                    failure = failure.with_metadata(UNSOLICITED, json!(in_response_to));
                }
            }
        }
    }
    call.trail.not_admitted(call.action, Some(NOBODY));
    Err(failure)
}

/// `POST /_security/saml/logout`
pub async fn logout(state: &State, call: Call) -> Result<Reply, Failure> {
    let known = [("token", Kind::Text), ("refresh_token", Kind::Text)];
    let fields = Fields::read(&call, "saml_logout", &known)?;
    if fields.text("token").unwrap_or_default().is_empty() {
        return Err(Failure::request_validation(&["token is missing"]));
    }
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let session = sso_token::session(state, fields.printed("token"), call.now)?;
    let way = way_out(state, &session, &call)?;
    let access = Secret::from(fields.printed("token"));
    let refresh = fields.filled("refresh_token").map(Secret::from);
    end_session(&granted, state, &access, refresh.as_ref()).await?;
    granted.reply(&match way {
        Some(Redirect { id, url }) => json!({"id": id, "redirect": url}),
        None => json!({"id": null, "redirect": null}),
    })
}

/// The way on which the owner of a token is logged out at their identity provider.
fn way_out(state: &State, session: &Session, call: &Call) -> Result<Option<Redirect>, Failure> {
    let name = &session.principal.realm.name;
    let mut realms = state.realms.saml().iter();
    let realm = realms.find(|realm| realm.name() == name);
    let (Some(realm), Some(login)) = (realm, Login::of(&session.kept)) else {
        return Err(failed(format!(
            "Authenticating realm {name} is not a SAML realm"
        )));
    };
    realm
        .logout(&login, call.now)
        .map_err(|refusal| refused(realm, "logout", &refusal))
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
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let printed = format!(
        "SamlInvalidateSessionRequest{{realmName='{}', assertionConsumerServiceURL='{}', url-query={} chars}}",
        fields.printed("realm"),
        fields.printed("acs"),
        query.chars().count()
    );
    let realm = realm(state, fields.text("realm"), fields.text("acs"), &printed)?;
    let (request, relay_state) = realm
        .logout_request(query, call.now)
        .await
        .map_err(|refusal| refused(realm, "logout request", &refusal))?;
    let now = call.now;
    let meant = realm.meant_by(&request);
    let taken = write(&granted, state, move |drafts| {
        Ok(take_where(drafts, now, |bearer| {
            Login::of(&bearer.session).is_some_and(|login| meant(&login))
        }))
    })
    .await?;
    tracing::info!(realm = %realm.name(), tokens = taken.invalidated_tokens, "the identity provider logged somebody out");
    let answer = realm
        .logout_answer(&request, relay_state.as_deref(), now)
        .map_err(|refusal| refused(realm, "logout request", &refusal))?;
    granted.reply(&json!({
        "realm": realm.name(),
        "invalidated": taken.invalidated_tokens,
        "redirect": answer.map_or(Value::Null, |answer| json!(answer.url)),
    }))
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
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let realm = realm(state, fields.text("realm"), None, fields.printed("realm"))?;
    let answer = match (query, fields.filled("content")) {
        (Some(query), _) => LogoutAnswer::Query(query),
        (None, content) => LogoutAnswer::Form(content.unwrap_or_default()),
    };
    realm
        .complete_logout(answer, fields.list("ids"), call.now)
        .await
        .map_err(|refusal| refused(realm, "logout response", &refusal))?;
    granted.reply(&json!({}))
}

/// `GET /_security/saml/metadata/{realm_name}`
pub async fn metadata(state: &State, call: Call) -> Result<Reply, Failure> {
    let name = call.path("realm_name").unwrap_or_default();
    if name.trim().is_empty() {
        return Err(Failure::request_validation(&[
            "Realm name may not be empty",
        ]));
    }
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let realm = realm(state, Some(name), None, name)?;
    granted.reply(&json!({"metadata": realm.metadata()}))
}
