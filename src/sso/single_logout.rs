//! SAML single logout, as the identity provider begins or answers it: by redirect and by `POST`; and the metadata.
//!
//! Always true: the authority verifies every message; what it accepts has ended tokens there. The session of this very browser ends
//! here when its own token was among them, and not when somebody else's logout message was sent to it.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};

use super::form::Form;
use super::logout;
use super::metrics::Way;
use super::pages::reason::Reason;
use super::refusal::Refusal;
use super::visit::{Visit, redirect, with_lines};
use crate::config::sso::{Provider, ProviderKind};
use crate::elastic::sso::SamlMessage;
use crate::model::credential::Credential;
use crate::net::http::{Body, Response};
use crate::session::ended::{EndReason, TokenFate};

/// Bytes of a message at most.
const MAX_MESSAGE: usize = 128 * 1024;

/// `GET` and `POST saml/<provider>/logout`
///
/// # Errors
/// [`Refusal`] when the message is not accepted.
pub async fn answer(
    visit: &Visit<'_>,
    provider: &Provider,
    body: Body,
) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET, Method::POST])?;
    let ProviderKind::Saml { realm, .. } = &provider.kind else {
        return Err(Refusal::new(Reason::ProviderUnknown).because("not a SAML provider"));
    };
    let malformed = Reason::SamlLogoutRefused;
    if visit.head.method == Method::POST {
        let form = Form::posted(visit.headers(), body, 2 * MAX_MESSAGE).await?;
        if let Some(content) = form.once("SAMLResponse", malformed)? {
            let message = SamlMessage::Content(content);
            return logout::completed(visit, &provider.name, realm, message).await;
        }
        let Some(content) = form.once("SAMLRequest", malformed)? else {
            return Err(Refusal::new(malformed).because("no message in the form"));
        };
        let relay_state = form.once("RelayState", malformed)?;
        let query = as_query(content, relay_state)
            .ok_or_else(|| Refusal::new(malformed).because("SAMLRequest can't be read"))?;
        return requested(visit, provider, realm, &query).await;
    }
    let query = visit.head.uri.query().unwrap_or_default();
    if query.len() > MAX_MESSAGE {
        return Err(Refusal::new(Reason::RequestTooLarge).because("the query is too long"));
    }
    match (
        visit.query.once("SAMLRequest", malformed)?,
        visit.query.once("SAMLResponse", malformed)?,
    ) {
        (Some(_), None) => requested(visit, provider, realm, query).await,
        (None, Some(_)) => {
            logout::completed(visit, &provider.name, realm, SamlMessage::Query(query)).await
        }
        // Some providers just send the browser back.
        (None, None) => Ok(redirect(&visit.site.paths.to("logged-out"))),
        (Some(_), Some(_)) => Err(Refusal::new(malformed).because("two messages at once")),
    }
}

/// The authority takes logout requests as the redirect binding has them. One that was posted is written that way: its signature
/// is in the XML, and stays there (SAML bindings §3.4.4.1 with no `Signature` of its own).
fn as_query(content: &str, relay_state: Option<&str>) -> Option<String> {
    let joined: String = content.split_ascii_whitespace().collect();
    if joined.len() > MAX_MESSAGE {
        return None;
    }
    let xml = STANDARD.decode(joined).ok()?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&xml).ok()?;
    let deflated = STANDARD.encode(encoder.finish().ok()?);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("SAMLRequest", &deflated);
    if let Some(relay_state) = relay_state {
        query.append_pair("RelayState", relay_state);
    }
    Some(query.finish())
}

/// The identity provider ends sessions.
async fn requested(
    visit: &Visit<'_>,
    provider: &Provider,
    realm: &str,
    query: &str,
) -> Result<Response, Refusal> {
    let invalidated = visit
        .site
        .client
        .saml_invalidate(realm, query)
        .await
        .map_err(|error| Refusal::of_sso(&error, Reason::SamlLogoutRefused))?;
    logout::note_provider_logout(visit, &provider.name, Way::Saml, invalidated.invalidated);
    if invalidated.invalidated > 0 {
        // Whose they were is not told, and this browser may be without its cookie.
        visit.site.sessions.doubt(realm);
    }
    let lines = end_own(visit, provider).await;
    let place = invalidated
        .redirect
        .unwrap_or_else(|| visit.site.paths.to("logged-out"));
    Ok(with_lines(redirect(&place), lines))
}

/// Ends the session of this browser, if its token is not good any more.
async fn end_own(visit: &Visit<'_>, provider: &Provider) -> Vec<super::cookies::Line> {
    let Ok(Some(held)) = visit.session().await else {
        return Vec::new();
    };
    let Some(tokens) = &held.session.tokens else {
        return Vec::new();
    };
    if held.session.provider != provider.name {
        return Vec::new();
    }
    let credential = Credential::Bearer(tokens.access.clone());
    match visit.site.client.is_accepted(&credential).await {
        Ok(false) => {
            let sessions = &visit.site.sessions;
            let ending = sessions.end(
                &held.session,
                EndReason::AtProvider,
                TokenFate::GiveBack,
                visit.now,
            );
            if let Err(trouble) = ending.await {
                tracing::warn!(target: "sidegate::sso", detail = %trouble, request_id = visit.id, "the store was not told");
            }
            sessions.clear_lines(visit.headers())
        }
        Ok(true) | Err(_) => Vec::new(),
    }
}

/// `GET saml/<provider>/metadata`
///
/// # Errors
/// [`Refusal`] when the authority has none.
pub async fn metadata(visit: &Visit<'_>, provider: &Provider) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET])?;
    let ProviderKind::Saml { realm, .. } = &provider.kind else {
        return Err(Refusal::new(Reason::ProviderUnknown).because("not a SAML provider"));
    };
    let xml = visit
        .site
        .client
        .saml_metadata(realm)
        .await
        .map_err(|error| Refusal::of_sso(&error, Reason::RealmNotReady))?;
    let mut response = Response::new(Body::full(xml));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/samlmetadata+xml");
    headers.insert(CONTENT_TYPE, kind);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, nosniff);
    let lasting = HeaderValue::from_static("max-age=300");
    headers.insert(http::header::CACHE_CONTROL, lasting);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_posted_logout_request_is_written_as_the_redirect_binding_has_it() {
        let xml = "<samlp:LogoutRequest ID=\"_1\"/>";
        let query = as_query(&STANDARD.encode(xml), Some("a b")).unwrap();
        let form = Form::parse(query.as_bytes());
        let deflated = STANDARD.decode(form.first("SAMLRequest").unwrap()).unwrap();
        let mut inflated = String::new();
        flate2::read::DeflateDecoder::new(&deflated[..])
            .read_to_string(&mut inflated)
            .unwrap();
        assert_eq!(inflated, xml);
        assert_eq!(form.first("RelayState"), Some("a b"));
        assert!(as_query("%%%", None).is_none());
        assert!(as_query(&"A".repeat(MAX_MESSAGE + 4), None).is_none());
    }
}
