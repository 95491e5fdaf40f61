//! What `check --online` learns about single sign-on: whether each realm can begin a login, and whether its identity provider will
//! send people back to the right place.
//!
//! Identity providers compare such URIs letter by letter, so a port or a slash too many is a login that never ends.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::read::DeflateDecoder;

use super::probe::Finding;
use crate::config::sso::{Provider, ProviderKind, Sso};
use crate::elastic::client::Client;
use crate::elastic::sso::{OidcRealm, SsoError};
use crate::model::clock;
use crate::model::secret::Secret;
use crate::sso::paths;

/// Bytes of a request's XML that are read.
const MAX_REQUEST: u64 = 256 * 1024;

/// Begins a login at every realm, one finding each.
pub(super) async fn probe(sso: &Sso, client: &Client) -> Vec<Finding> {
    let mut findings = Vec::new();
    for provider in &sso.providers {
        let (realm, begun) = match &provider.kind {
            ProviderKind::Saml { realm, .. } => (realm, saml(sso, provider, realm, client).await),
            ProviderKind::Oidc { realm, .. } => (realm, oidc(sso, provider, realm, client).await),
            ProviderKind::Password
            | ProviderKind::Kerberos
            | ProviderKind::Pki
            | ProviderKind::Anonymous(_) => continue,
        };
        findings.push(Finding {
            subject: format!("sso provider {} (realm {realm})", provider.name),
            outcome: begun,
        });
    }
    findings
}

async fn saml(
    sso: &Sso,
    provider: &Provider,
    realm: &str,
    client: &Client,
) -> Result<String, String> {
    let request = client
        .saml_prepare(realm, None)
        .await
        .map_err(|error| diagnosis(&error, realm, "saml"))?;
    let ours = uri(sso, provider);
    match parameter(&request.redirect, "SAMLRequest").and_then(|text| consumer(&text)) {
        Some(theirs) if theirs != ours => Err(mismatch("sp.acs", &theirs, &ours)),
        Some(_) => Ok(format!("begins a login; responses come to {ours}")),
        None => Ok(format!(
            "begins a login; see that its sp.acs is {ours}, which its request does not tell"
        )),
    }
}

async fn oidc(
    sso: &Sso,
    provider: &Provider,
    realm: &str,
    client: &Client,
) -> Result<String, String> {
    let random = || Secret::from(URL_SAFE_NO_PAD.encode(clock::random_bytes::<32>()));
    let request = client
        .oidc_prepare(OidcRealm::Named(realm), &random(), &random())
        .await
        .map_err(|error| diagnosis(&error, realm, "oidc"))?;
    let ours = uri(sso, provider);
    match parameter(&request.redirect, "redirect_uri") {
        Some(theirs) if theirs != ours => Err(mismatch("rp.redirect_uri", &theirs, &ours)),
        Some(_) | None => Ok(format!("begins a login; responses come to {ours}")),
    }
}

/// Where responses come to: the first of the URIs that are printed.
fn uri(sso: &Sso, provider: &Provider) -> String {
    let uris = paths::uris(sso, provider);
    uris.into_iter()
        .next()
        .map_or_else(String::new, |(_, uri)| uri)
}

fn mismatch(setting: &str, theirs: &str, ours: &str) -> String {
    format!(
        "the realm has `{setting}: {theirs}`, but responses must come to {ours}; write that there and at the identity provider, or mend sso.public_url"
    )
}

/// What an operator should do.
fn diagnosis(error: &SsoError, realm: &str, kind: &str) -> String {
    let said = match error {
        SsoError::Ask(error) => return error.in_full(),
        SsoError::Refused { reason, .. } | SsoError::Denied { reason, .. } => reason,
    };
    let lower = said.to_ascii_lowercase();
    let hint = if lower.contains("license") {
        "the cluster's licence does not cover single sign-on"
    } else if lower.contains("unauthorized") || lower.contains("not authorized") {
        "give Sidegate's own credential the cluster privilege manage_saml or manage_oidc"
    } else if lower.contains("cannot find") {
        return format!(
            "there is no enabled {kind} realm named `{realm}`: {said}; see xpack.security.authc.realms.{kind}.{realm} (or authority.embedded.realms.{kind}.{realm})"
        );
    } else {
        "see the authority's log; metadata or keys of the identity provider may be out of reach"
    };
    format!("{said}; {hint}")
}

/// A parameter of a URL's query.
fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next()?;
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Where a SAML request of the redirect binding wants its response (SAML core §3.4.1).
fn consumer(encoded: &str) -> Option<String> {
    let deflated = STANDARD.decode(encoded).ok()?;
    let mut xml = String::new();
    DeflateDecoder::new(&deflated[..])
        .take(MAX_REQUEST)
        .read_to_string(&mut xml)
        .ok()?;
    let (_, rest) = xml.split_once("AssertionConsumerServiceURL=")?;
    let quote = rest
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\''))?;
    let value = rest.get(1..)?.split(quote).next()?;
    Some(value.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    #[test]
    fn a_request_tells_where_its_response_goes() {
        let xml = "<samlp:AuthnRequest AssertionConsumerServiceURL=\"https://app:443/_sidegate/saml/a/acs\" ID=\"_1\"/>";
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(xml.as_bytes()).unwrap();
        let encoded = STANDARD.encode(encoder.finish().unwrap());
        let query: String = form_urlencoded::byte_serialize(encoded.as_bytes()).collect();
        let url = format!("https://idp/sso?SAMLRequest={query}&RelayState=x");
        let found = parameter(&url, "SAMLRequest").and_then(|text| consumer(&text));
        assert_eq!(
            found.as_deref(),
            Some("https://app:443/_sidegate/saml/a/acs")
        );
        assert_eq!(
            parameter(
                "https://op/authorize?redirect_uri=https%3A%2F%2Fapp%2Fx",
                "redirect_uri"
            )
            .as_deref(),
            Some("https://app/x")
        );
        assert_eq!(consumer("%%%"), None);
        assert_eq!(parameter("https://op", "x"), None);
    }
}
