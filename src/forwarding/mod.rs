//! How the identity travels to the upstream, and how a client's pretended one doesn't.
//!
//! Always true: identity headers of a client are removed first, on every route and in every spelling, whether or not Sidegate
//! sets them; the client's own credential stays behind unless the route says `passthrough`.
//! What upstreams get in place of a credential ([`exchange`], [`signer`]) is kept with the cache entry, so that a request whose
//! identity is known only copies header values. To add a way of forwarding: a variant of [`Forward`], or of
//! [`crate::config::forwards::Conveyed`] for a credential; an arm in [`Forwarding::attach`] or in `combined`.

mod combined;
pub mod exchange;
pub mod failure;
pub mod ledger;
pub mod metrics;
pub mod names;
pub mod signer;
pub mod sweep;
pub mod value;

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::combined::{Makers, Making};
use self::exchange::Exchanger;
use self::failure::AttachError;
use self::names::Names;
use self::signer::Signer;
use crate::config::forwards::Combined;
use crate::config::settings::{Forward, IdentityField, Route};
use crate::gate::authorize::Permit;
use crate::gate::cache::{Entry, PrebuiltHeaders};
use crate::gate::exchanged::Grant;
use crate::model::clock::Now;
use crate::net::http::Head;

/// Names that tell applications (or Elasticsearch) who somebody is, by themselves or by common convention.
const IDENTITY_NAMES: [&str; 34] = [
    "x-forwarded-user",
    "x-forwarded-username",
    "x-forwarded-preferred-username",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-roles",
    "x-forwarded-access-token",
    "x-forwarded-id-token",
    "x-forwarded-client-cert",
    "x-remote-user",
    "x-remote-group",
    "x-remote-groups",
    "x-remote-uid",
    "x-remote-email",
    "x-remote-name",
    "remote-user",
    "remote-group",
    "remote-groups",
    "remote-email",
    "remote-name",
    "x-webauth-user",
    "x-authenticated-user",
    "x-auth-user",
    "x-user",
    "x-username",
    "x-proxy-user",
    "x-proxy-roles",
    "es-security-runas-user",
    "es-secondary-authorization",
    "es-client-authentication",
    "es-secondary-x-client-authentication",
    "x-client-cert",
    "client-cert",
    "client-cert-chain",
];

/// Families of such names.
const IDENTITY_PREFIXES: [&str; 7] = [
    "x-auth-request-",
    "x-remote-extra-",
    "x-ssl-client-",
    "ssl-client-",
    "x-elastic-",
    "_xpack_",
    "x-sidegate-",
];

/// Names an identity header may not have: they steer the message or the chain of proxies.
const RESERVED_NAMES: [&str; 19] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-real-ip",
    "x-request-id",
    "date",
];

/// Attaches identities to requests. One per configuration.
#[derive(Clone, Debug)]
pub struct Forwarding {
    identity: Names,
    /// Who makes what is not in a request.
    makers: Makers,
}

/// Why a set of routes can't be forwarded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardingError {
    /// Not a header name at all.
    #[error("route {route}: {name:?} is not a header name")]
    Name {
        /// Route.
        route: String,
        /// The name as configured.
        name: String,
    },
    /// A name with a meaning of its own.
    #[error("route {route}: {name} can't carry an identity")]
    Reserved {
        /// Route.
        route: String,
        /// The name as configured.
        name: String,
    },
}

impl Forwarding {
    /// Collects every identity header any route sets, so that all routes strip all of them.
    ///
    /// # Errors
    /// [`ForwardingError`] for the first name that can't be used.
    pub fn new(routes: &[Route]) -> Result<Self, ForwardingError> {
        let reserved = Names::new(RESERVED_NAMES, ["x-forwarded-for", "x-forwarded-proto"]);
        let mut configured = Vec::new();
        for route in routes {
            let headers = match &route.forward {
                Forward::IdentityHeaders(headers) => headers,
                Forward::Combined(combined) => {
                    let assertion = combined.assertion.as_ref();
                    configured.extend(
                        assertion
                            .map(|assertion| assertion.header.as_str())
                            .filter(|name| !name.eq_ignore_ascii_case("authorization")),
                    );
                    &combined.headers
                }
                Forward::None | Forward::Passthrough => continue,
            };
            for (name, _) in headers {
                let (route, named) = (route.name.clone(), name.clone());
                if HeaderName::from_bytes(name.as_bytes()).is_err() {
                    return Err(ForwardingError::Name { route, name: named });
                }
                if reserved.contains(name) {
                    return Err(ForwardingError::Reserved { route, name: named });
                }
                configured.push(name.as_str());
            }
        }
        let identity = Names::new(
            configured.into_iter().chain(IDENTITY_NAMES),
            IDENTITY_PREFIXES,
        );
        Ok(Self {
            identity,
            makers: Makers::default(),
        })
    }

    /// With what makes credentials and assertions.
    #[must_use]
    pub fn making(self, exchanger: Exchanger, signer: Option<Arc<Signer>>) -> Self {
        let makers = Makers {
            exchanger: Some(exchanger),
            signer,
        };
        Self { makers, ..self }
    }

    /// Who signs assertions.
    pub fn signer(&self) -> Option<&Signer> {
        self.makers.signer.as_deref()
    }

    /// Whether a client may not mention this name in `Connection`: it would have what Sidegate sets removed.
    pub fn is_identity(&self, name: &str) -> bool {
        self.identity.contains(name)
    }

    /// Strips what a client pretends, then sets what the permit proves.
    ///
    /// The headers of an identity are made once per cache entry and forwarding, and cloned from then on.
    ///
    /// # Errors
    /// [`AttachError`] when a field can't be a header; `head` is then stripped but without identity. [`AttachError::Unmade`]
    /// when something has to be asked for first.
    pub fn attach(&self, permit: &Permit, head: &mut Head, now: Now) -> Result<(), AttachError> {
        let route = permit.route();
        if let Forward::Combined(combined) = &route.forward {
            return self.combine(permit, combined, head, now, None);
        }
        self.strip(&route.forward, &mut head.headers);
        match (&route.forward, permit.entry()) {
            (Forward::IdentityHeaders(wanted), Some(entry)) => {
                set(entry, route.forward_slot, wanted, &mut head.headers)
            }
            // A route for everyone has no identity to tell of.
            (Forward::IdentityHeaders(_), None)
            | (Forward::None | Forward::Passthrough | Forward::Combined(_), _) => Ok(()),
        }
    }

    /// Has made what the upstream needs, then attaches it.
    ///
    /// # Errors
    /// As [`Forwarding::attach`]; [`AttachError::Refused`] when it can't be made.
    pub async fn exchange(
        &self,
        permit: &Permit,
        head: &mut Head,
        now: Now,
    ) -> Result<(), AttachError> {
        let grant = self.makers.fulfil(permit).await?;
        match permit.route().forward.combined() {
            Some(combined) => self.combine(permit, combined, head, now, Some(&grant)),
            None => Ok(()),
        }
    }

    /// Looks into an upstream's 401 to a credential that was made for it: true when that had died early, so that another is
    /// made when the request is attached again. Asks at most once in a while for each.
    pub async fn has_died(&self, permit: &Permit, now: Now) -> bool {
        self.makers.has_died(permit, now).await
    }

    /// Nothing of the head is touched before everything the upstream gets is at hand.
    fn combine(
        &self,
        permit: &Permit,
        combined: &Combined,
        head: &mut Head,
        now: Now,
        made: Option<&Grant>,
    ) -> Result<(), AttachError> {
        let Some(entry) = permit.entry() else {
            // A route for everyone has no identity to tell of.
            self.strip(&permit.route().forward, &mut head.headers);
            return Ok(());
        };
        let making = Making {
            permit,
            combined,
            entry,
            now,
        };
        let conveying = self.makers.conveying(&making, &head.headers, made)?;
        self.strip(&permit.route().forward, &mut head.headers);
        conveying.put(combined, &mut head.headers);
        if combined.headers.is_empty() {
            return Ok(());
        }
        let slot = permit.route().forward_slot;
        set(entry, slot, &combined.headers, &mut head.headers)
    }

    fn strip(&self, forward: &Forward, headers: &mut HeaderMap) {
        self.identity.strip(headers);
        match forward {
            Forward::Passthrough => {}
            Forward::None | Forward::IdentityHeaders(_) | Forward::Combined(_) => {
                headers.remove(AUTHORIZATION);
            }
        }
    }
}

fn set(
    entry: &Entry,
    slot: usize,
    wanted: &[(String, IdentityField)],
    headers: &mut HeaderMap,
) -> Result<(), AttachError> {
    let Some(slot) = entry.prebuilt.get(slot) else {
        return append(&build(entry, wanted)?, headers);
    };
    match slot.get() {
        Some(prebuilt) => append(prebuilt, headers),
        None => {
            let prebuilt = build(entry, wanted)?;
            append(slot.get_or_init(|| prebuilt), headers)
        }
    }
}

fn append(prebuilt: &PrebuiltHeaders, headers: &mut HeaderMap) -> Result<(), AttachError> {
    for (name, value) in prebuilt {
        headers.insert(name.clone(), value.clone());
    }
    Ok(())
}

fn build(
    entry: &Entry,
    wanted: &[(String, IdentityField)],
) -> Result<PrebuiltHeaders, AttachError> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(wanted.len());
    for (name, field) in wanted {
        let value = value::header_value(&entry.identity, field).map_err(|value::TooLong| {
            AttachError::TooLong {
                header: name.clone(),
            }
        })?;
        // `Forwarding::new` refused names that aren't header names.
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
            headers.push((name, value));
        }
    }
    Ok(headers.into_boxed_slice())
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
