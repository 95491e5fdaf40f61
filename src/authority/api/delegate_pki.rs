//! A token for somebody whose client certificate a proxy verified (`POST /_security/delegate_pki`).
//!
//! Always true: the chain is validated against the CAs of a PKI realm that permits delegation; that the certificate's owner was
//! there, only the caller can know, which is why the privilege `delegate_pki` is one of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use serde_json::json;

use super::tokens;
use crate::authority::authenticate::{self, Purpose};
use crate::authority::authorize;
use crate::authority::body::{Field, Grammar};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::realm::contract::Token;
use crate::authority::realm::pki::certificate::{Chain, Delegator, MAX_CHAIN};
use crate::authority::state::State;

const PARSER: &str = "delegate_pki_request";

/// `POST /_security/delegate_pki`
pub async fn delegate(state: &State, call: Call) -> Result<Reply, Failure> {
    let certificates = parse(&call)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let delegator = Delegator {
        username: call.subject.effective.username.clone(),
        realm: call.subject.authenticated().realm.name.clone(),
    };
    let chain = Chain::parse(certificates, Some(delegator)).ok_or_else(unreadable)?;
    if !chain.is_ordered() {
        return Err(Failure::request_validation(&[
            "certificates chain must be an ordered chain",
        ]));
    }
    let token = Token::Certificate {
        principal: chain.dn.clone(),
        chain: Box::new(chain),
    };
    let purpose = Purpose::Action(call.action);
    let subject = authenticate::by_realms(state, &token, purpose, call.now).await?;
    let (access_token, subject) = tokens::issue_access(&granted, state, &call, subject).await?;
    granted.reply(&json!({
        "access_token": access_token,
        "type": "Bearer",
        "expires_in": state.token_timeout.as_secs(),
        "authentication": subject.describe(),
    }))
}

fn parse(call: &Call) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let object = call.object(Grammar::Strict(PARSER))?;
    let mut certificates = Vec::new();
    for field in object.fields() {
        match field.name {
            "x509_certificate_chain" => certificates = parse_chain(&field)?,
            _ => return Err(field.unknown()),
        }
    }
    if certificates.is_empty() {
        return Err(Failure::request_validation(&[
            "certificates chain must not be empty",
        ]));
    }
    if certificates.len() > MAX_CHAIN {
        return Err(Failure::request_validation(&[format!(
            "certificates chain must not be longer than [{MAX_CHAIN}]"
        )]));
    }
    Ok(certificates)
}

fn parse_chain(field: &Field<'_>) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let decode = |text: String| match STANDARD.decode(text) {
        Ok(bytes) => Ok(CertificateDer::from(bytes)),
        Err(_) => Err(broken().caused_by(
            "illegal_argument_exception",
            "Input byte array is not in valid base64",
        )),
    };
    field.strings()?.into_iter().map(decode).collect()
}

fn broken() -> Failure {
    Failure::x_content(format!(
        "[{PARSER}] failed to parse field [x509_certificate_chain]"
    ))
}

fn unreadable() -> Failure {
    broken().caused_by("certificate_exception", "Could not parse certificate")
}
