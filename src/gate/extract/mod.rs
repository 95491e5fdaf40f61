//! Exactly one credential from a request, or a refusal.
//!
//! Always true: what a client shows on purpose goes before what comes along by itself, in this order: `Authorization`, an API
//! key in the route's header or query parameter, a browser's session, the cookie of a Kerberos ticket, a certificate, nothing. Two of the first three
//! in one request are refused, and none is chosen; `docs/credentials.md` has the whole table. A new scheme is an arm in
//! [`presented`], a new place a function in [`elsewhere`] and a line in [`Intake::find`].

pub mod elsewhere;
pub mod presented;
pub mod ways;

use http::HeaderMap;

use self::presented::{Negotiate, Presented};
use self::ways::{Nobody, Ways};
use super::refusal::{Ambiguity, Refusal};
use crate::config::ways::Credentials;
use crate::elastic::authorization::RUN_AS;
use crate::model::credential::Scheme;
use crate::net::http::{Head, Peer, PeerCertificate};

/// Finds credentials.
#[derive(Debug)]
pub struct Intake {
    negotiate: Negotiate,
}

impl Intake {
    /// By the settings for all routes.
    pub fn new(settings: &Credentials) -> Self {
        Self {
            negotiate: match settings.kerberos {
                Some(_) => Negotiate::Understood,
                None => Negotiate::Unknown,
            },
        }
    }

    /// The credential that a request shows on purpose.
    ///
    /// # Errors
    /// [`Refusal::Ambiguous`] for more than one, [`Refusal::MalformedCredential`] for what can't be read.
    pub fn shown<'a>(
        &self,
        head: &'a Head,
        ways: &'a Ways,
    ) -> Result<Option<Presented<'a>>, Refusal> {
        let found = Presented::find(&head.headers, self.negotiate)?;
        if ways.is_plain() && found.is_some() {
            return Ok(found);
        }
        one_of(head, ways, found)
    }

    /// The credential of a request: the one `shown`, else that of its `session`, else what comes along; `None` when there is none
    /// and the route has none of its own. `is_held` tells whether a Kerberos cookie still stands for anything; one that doesn't
    /// counts for nothing.
    ///
    /// # Errors
    /// [`Refusal::MalformedCredential`] for a certificate that can't be read, [`Refusal::Ambiguous`] for more than one user to act as.
    pub fn find<'a>(
        &self,
        head: &'a Head,
        peer: &'a Peer,
        ways: &'a Ways,
        (shown, session): (Option<Presented<'a>>, Option<Presented<'a>>),
        is_held: impl FnOnce(&Presented<'a>) -> bool,
    ) -> Result<Option<Presented<'a>>, Refusal> {
        if ways.is_plain() && shown.is_some() {
            return Ok(shown);
        }
        let found = match shown.or(session) {
            Some(found) => Some(found),
            None => self.unasked(head, peer, is_held)?,
        };
        let run_as = if ways.run_as {
            elsewhere::run_as(&head.headers, &RUN_AS)?
        } else {
            None
        };
        Ok(match (found, run_as) {
            (Some(found), run_as) => Some(found.running_as(run_as)),
            // Nobody acts as somebody: that takes a credential.
            (None, Some(_)) => None,
            (None, None) => ways.anonymous.as_ref().map(Nobody::presented),
        })
    }

    /// What comes along without being shown on purpose: a cookie, then a certificate.
    fn unasked<'a>(
        &self,
        head: &'a Head,
        peer: &'a Peer,
        is_held: impl FnOnce(&Presented<'a>) -> bool,
    ) -> Result<Option<Presented<'a>>, Refusal> {
        if self.negotiate == Negotiate::Understood
            && let Some(handle) = elsewhere::kerberos_cookie(&head.headers)
        {
            let handle = Presented::handle(handle);
            if is_held(&handle) {
                return Ok(Some(handle));
            }
        }
        match &peer.certificate {
            PeerCertificate::Absent => Ok(None),
            PeerCertificate::Present(chain) => Ok(Some(Presented::certificate(chain))),
            PeerCertificate::Unusable => Err(Refusal::MalformedCredential {
                scheme: Some(Scheme::Certificate),
            }),
        }
    }

    /// Whether a cookie of this name is the one that leads a negotiation.
    pub fn owns_cookie(&self, name: &[u8]) -> bool {
        self.negotiate == Negotiate::Understood && elsewhere::is_own_cookie(name)
    }

    /// Takes Sidegate's own cookie from a request that is forwarded.
    pub fn strip(&self, headers: &mut HeaderMap) {
        if self.negotiate == Negotiate::Understood {
            elsewhere::strip_cookie(headers);
        }
    }

    /// Whether `Negotiate` is offered to those who bring nothing.
    pub fn offers_negotiate(&self) -> bool {
        self.negotiate == Negotiate::Understood
    }
}

/// The one credential shown on purpose.
fn one_of<'a>(
    head: &'a Head,
    ways: &Ways,
    authorization: Option<Presented<'a>>,
) -> Result<Option<Presented<'a>>, Refusal> {
    let in_header = match &ways.api_key_header {
        Some(name) => elsewhere::in_header(&head.headers, name)?,
        None => None,
    };
    let in_query = match (&ways.api_key_query, head.uri.query()) {
        (Some(name), Some(query)) => elsewhere::in_query(query, name)?,
        _ => None,
    };
    let mut found = [authorization, in_header, in_query].into_iter().flatten();
    match (found.next(), found.next()) {
        (found, None) => Ok(found),
        (_, Some(_)) => Err(Refusal::Ambiguous(Ambiguity::Credentials)),
    }
}
