//! Several ways at once: headers, an assertion, and a credential that is the client's, made for them, or Sidegate's own.
//!
//! Always true: nothing of the head is touched before everything the upstream gets is at hand; the client's own credential stays
//! behind unless the route says so. What is at hand is only copied: no lock, no ask, no signature.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::exchange::{Exchanger, Order, RENEWAL_PAUSE, Wanted, header_value};
use super::failure::AttachError;
use super::metrics::{Kind, Outcome};
use super::signer::{SKEW, Signer};
use crate::config::forwards::{Assertion, Combined, Conveyed};
use crate::elastic::authorization::CLIENT_AUTHENTICATION;
use crate::gate::authorize::Permit;
use crate::gate::cache::Entry;
use crate::gate::exchanged::Grant;
use crate::gate::refusal::Refusal;
use crate::model::clock::Now;
use crate::model::credential::{Credential, Scheme};
use crate::model::secret::Secret;

/// Whom Elasticsearch lets Sidegate act as.
const RUN_AS: HeaderName = HeaderName::from_static("es-security-runas-user");
/// On whose behalf Sidegate's own credential asks Elasticsearch.
const SECONDARY: HeaderName = HeaderName::from_static("es-secondary-authorization");
/// What goes with a JWT there.
const SECONDARY_CLIENT_AUTHENTICATION: HeaderName =
    HeaderName::from_static("es-secondary-x-client-authentication");
/// The scheme of tokens.
const BEARER: &[u8] = b"Bearer ";
/// The realm of service accounts, whose tokens don't expire and are nobody else's business.
const SERVICE_REALM: &str = "_service_account";
/// How often at most it is asked whether a credential that an upstream refused is still good.
const DOUBT_PAUSE: Duration = Duration::from_secs(10);

/// What goes into the head.
pub(super) struct Conveying {
    credential: Option<HeaderValue>,
    assertion: Option<HeaderValue>,
    run_as: Option<HeaderValue>,
    own: Option<HeaderValue>,
    /// What Elasticsearch's JWT realm wants beside a token.
    client_authentication: Option<HeaderValue>,
}

/// Who makes what is not in a request; nobody where no route needs that.
#[derive(Clone, Debug, Default)]
pub(super) struct Makers {
    /// Credentials.
    pub(super) exchanger: Option<Exchanger>,
    /// Assertions.
    pub(super) signer: Option<Arc<Signer>>,
}

/// One permitted request of a combination.
pub(super) struct Making<'a> {
    pub(super) permit: &'a Permit,
    pub(super) combined: &'a Combined,
    pub(super) entry: &'a Entry,
    pub(super) now: Now,
}

impl Makers {
    /// Everything the upstream gets, identity headers apart. `made`: a credential made for this very request.
    pub(super) fn conveying(
        &self,
        making: &Making<'_>,
        headers: &HeaderMap,
        made: Option<&Grant>,
    ) -> Result<Conveying, AttachError> {
        let combined = making.combined;
        let credential = self.credential(making, headers, made)?;
        if combined.secondary && credential.is_none() {
            // Alone, Sidegate's own credential would do for the client whatever Sidegate may.
            return Err(AttachError::Refused(unfit(making.permit)));
        }
        Ok(Conveying {
            client_authentication: self.client_authentication(combined, credential.as_ref()),
            credential,
            assertion: match &combined.assertion {
                Some(assertion) => Some(self.assertion(making, assertion)?),
                None => None,
            },
            run_as: match combined.credential {
                // Its owner may do more than a key does.
                Conveyed::RunAs if making.entry.identity.api_key.is_some() => {
                    return Err(AttachError::Refused(unfit(making.permit)));
                }
                Conveyed::RunAs => Some(username_value(making.entry)?),
                _ => None,
            },
            own: match combined.secondary || combined.credential == Conveyed::RunAs {
                true => Some(self.own()?),
                false => None,
            },
        })
    }

    /// The credential of the client's, or made for them.
    fn credential(
        &self,
        making: &Making<'_>,
        headers: &HeaderMap,
        made: Option<&Grant>,
    ) -> Result<Option<HeaderValue>, AttachError> {
        let Making {
            permit,
            combined,
            entry,
            now,
        } = *making;
        match &combined.credential {
            Conveyed::Nothing | Conveyed::RunAs => Ok(None),
            // A certificate can't travel on, and a ticket is used up: what stands for them here can.
            Conveyed::Client if permit.is_stood_for() => Ok(permit.authorization()),
            Conveyed::Client => Ok(headers.get(AUTHORIZATION).cloned()),
            Conveyed::Token if is_access_token(permit, entry) => Ok(permit.authorization()),
            Conveyed::Token | Conveyed::ApiKey(_) => {
                if let Some(grant) = made {
                    return Ok(Some(grant.value.clone()));
                }
                let slot = permit
                    .route()
                    .credential_slot
                    .and_then(|at| entry.exchanged.as_ref()?.slot(at));
                let live = slot.and_then(|slot| slot.live(now));
                let Some(grant) = live.as_ref().and_then(|grant| grant.as_ref()) else {
                    return Err(AttachError::Unmade);
                };
                if grant.claim_renewal(now, RENEWAL_PAUSE)
                    && let (Some(exchanger), Some(order)) = (&self.exchanger, order(permit))
                {
                    exchanger.renew(order);
                }
                Ok(Some(grant.value.clone()))
            }
        }
    }

    /// The assertion at hand, or a new one: signing asks nobody, so it is done on the spot.
    fn assertion(
        &self,
        making: &Making<'_>,
        assertion: &Assertion,
    ) -> Result<HeaderValue, AttachError> {
        let (permit, entry, now) = (making.permit, making.entry, making.now);
        let kept = permit.route().assertion_slot.zip(entry.exchanged.as_ref());
        let live = kept.and_then(|(at, exchanged)| exchanged.slot(at)?.live(now));
        if let Some(grant) = live.as_ref().and_then(|grant| grant.as_ref()) {
            return Ok(grant.value.clone());
        }
        let unsigned =
            || AttachError::Refused(Refusal::Internal("an assertion could not be signed"));
        let signer = self.signer.as_ref().ok_or_else(unsigned)?;
        let token = signer
            .sign(assertion, &entry.identity, now)
            .map_err(|_| unsigned())?;
        let scheme = match assertion.header.eq_ignore_ascii_case("authorization") {
            true => "Bearer ",
            false => "",
        };
        let value = header_value(scheme, token.as_bytes()).ok_or_else(unsigned)?;
        if value.len() > super::value::MAX_VALUE {
            return Err(AttachError::TooLong {
                header: assertion.header.clone(),
            });
        }
        // Whoever verifies may be ahead of us, and the request takes its time.
        let end = now.mono + assertion.expiration.saturating_sub(SKEW);
        if let Some((at, exchanged)) = kept {
            exchanged.keep(at, Arc::new(Grant::new(value.clone(), end, end)));
        }
        if let Some(exchanger) = &self.exchanger {
            exchanger.metrics().count(Kind::Assertion, Outcome::Made, 1);
        }
        Ok(value)
    }

    /// Elasticsearch's JWT realm believes a token only with the secret that it shares with Sidegate, which clients don't have.
    fn client_authentication(
        &self,
        combined: &Combined,
        credential: Option<&HeaderValue>,
    ) -> Option<HeaderValue> {
        let token = credential?.as_bytes();
        let is_jwt = token.len() > BEARER.len()
            && token[..BEARER.len()].eq_ignore_ascii_case(BEARER)
            && token.contains(&b'.');
        if !combined.elasticsearch || combined.credential != Conveyed::Client || !is_jwt {
            return None;
        }
        let secret = self.exchanger.as_ref()?.client_authentication()?;
        header_value("SharedSecret ", secret.expose())
    }

    fn own(&self) -> Result<HeaderValue, AttachError> {
        self.exchanger
            .as_ref()
            .and_then(|exchanger| exchanger.client().own_authorization())
            .ok_or(AttachError::Refused(Refusal::Internal(
                "Sidegate has no credential of its own",
            )))
    }

    /// Has made what a permitted request needs.
    pub(super) async fn fulfil(&self, permit: &Permit) -> Result<Arc<Grant>, AttachError> {
        match (&self.exchanger, order(permit)) {
            (Some(exchanger), Some(order)) => Ok(exchanger.fulfil(order).await?),
            _ => Err(Refusal::Internal("nothing can be exchanged here").into()),
        }
    }

    /// Looks into an upstream's 401 to a credential that was made for it: true when that had died early, so that another is
    /// made when the request is attached again. Asks at most once in a while for each.
    pub(super) async fn has_died(&self, permit: &Permit, now: Now) -> bool {
        let Some(exchanger) = &self.exchanger else {
            return false;
        };
        let Some(grant) = made_for(permit, now) else {
            return false;
        };
        if !grant.claim_doubt(now, DOUBT_PAUSE) {
            return false;
        }
        let accepted = match credential_of(&grant) {
            Some(credential) => exchanger.client().is_accepted(&credential).await,
            None => return false,
        };
        if !matches!(accepted, Ok(false)) {
            return false;
        }
        tracing::info!(target: "sidegate::exchange", route = permit.route().name, "a credential made for an upstream died early");
        grant.bury();
        true
    }
}

impl Conveying {
    /// Puts it into a head that was stripped.
    pub(super) fn put(self, combined: &Combined, headers: &mut HeaderMap) {
        if let Some(secret) = self.client_authentication {
            let name = match combined.secondary {
                true => SECONDARY_CLIENT_AUTHENTICATION,
                false => CLIENT_AUTHENTICATION,
            };
            headers.insert(name, secret);
        }
        match (self.own, self.credential) {
            (Some(own), Some(credential)) => {
                headers.insert(AUTHORIZATION, own);
                headers.insert(SECONDARY, credential);
            }
            (Some(value), None) | (None, Some(value)) => {
                headers.insert(AUTHORIZATION, value);
            }
            (None, None) => {}
        }
        if let Some(username) = self.run_as {
            headers.insert(RUN_AS, username);
        }
        let name = combined
            .assertion
            .as_ref()
            .map(|assertion| assertion.header.as_bytes());
        // A check refused names that aren't header names.
        if let (Some(value), Some(Ok(name))) = (self.assertion, name.map(HeaderName::from_bytes)) {
            headers.insert(name, value);
        }
    }
}

/// Whether an access token stands for the client already, which an upstream that wants a token can have: their own, or the one
/// that their certificate, ticket or login was exchanged for.
fn is_access_token(permit: &Permit, entry: &Entry) -> bool {
    let by_token = matches!(
        permit.scheme(),
        Some(Scheme::Bearer | Scheme::Certificate | Scheme::Kerberos | Scheme::Session)
    );
    by_token
        && entry.identity.authentication_type == "token"
        && entry.identity.realm.name != SERVICE_REALM
}

/// What is to be made for a permitted request.
fn order(permit: &Permit) -> Option<Order> {
    let entry = permit.entry()?;
    let wanted = match &permit.route().forward.combined()?.credential {
        Conveyed::Token => Wanted::Token,
        Conveyed::ApiKey(policy) => Wanted::ApiKey(Arc::clone(policy)),
        Conveyed::Nothing | Conveyed::Client | Conveyed::RunAs => return None,
    };
    Some(Order {
        wanted,
        identity: entry.identity.clone(),
        credential: permit.credential()?,
        run_as: permit.run_as().map(str::to_owned),
        exchanged: Arc::clone(entry.exchanged.as_ref()?),
        slot: permit.route().credential_slot?,
    })
}

/// The credential that was made for a permitted request's identity.
fn made_for(permit: &Permit, now: Now) -> Option<Arc<Grant>> {
    let exchanged = permit.entry()?.exchanged.as_ref()?;
    let grant = exchanged.slot(permit.route().credential_slot?)?.current()?;
    grant.is_live(now).then_some(grant)
}

fn credential_of(grant: &Grant) -> Option<Credential> {
    let value = grant.value.as_bytes();
    if let Some(token) = value.strip_prefix(b"Bearer ") {
        return Some(Credential::Bearer(Secret::new(token)));
    }
    value
        .strip_prefix(b"ApiKey ")
        .map(|key| Credential::ApiKey(Secret::new(key)))
}

fn unfit(permit: &Permit) -> Refusal {
    Refusal::NotExchangeable {
        scheme: permit.scheme().unwrap_or(Scheme::Anonymous),
    }
}

/// A user name as Elasticsearch reads it from a header. One that is not plain ASCII would not arrive as it is.
fn username_value(entry: &Entry) -> Result<HeaderValue, AttachError> {
    let name = &entry.identity.username;
    HeaderValue::from_str(name).map_err(|_| {
        AttachError::Refused(Refusal::Internal(
            "the user name does not fit into a header",
        ))
    })
}
