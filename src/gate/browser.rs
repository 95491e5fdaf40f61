//! A browser's session on its way to a decision.
//!
//! Always true: a session counts only where a request shows no credential on purpose; a request that another site may have made
//! changes nothing with it; what changes the browser's cookie goes with the response. A session in use and seen before is
//! decided on without waiting for anybody; its tokens are renewed ([`renew`](super::renew)) before they end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderName, Method};

use super::authenticate::RETRY_AFTER;
use super::extract::presented::Presented;
use super::extract::ways::Nobody;
use super::flight::Flights;
use super::pattern::{PathPattern, Segment};
use super::refusal::Refusal;
use super::renew::Renewed;
use super::target::Target;
use crate::config::sso::{Background, ProviderKind, Sso};
use crate::model::clock::Now;
use crate::net::http::{Head, Peer, PeerCertificate};
use crate::session::cookie::Lines;
use crate::session::ended::{EndReason, TokenFate};
use crate::session::record::{Kind, Session, SessionId, Tokens};
use crate::session::trouble::StoreTrouble;
use crate::session::{Asking, Found, Held, Look, Sessions};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Tokens are renewed this long before their end, or in the last quarter of their life where that is shorter.
const RENEW_AHEAD: Duration = Duration::from_secs(60);
/// They are not used in their last moments: a request takes time to arrive.
const LEEWAY: Duration = Duration::from_secs(5);
/// While tokens are renewed in the background, and for so long after trouble, nobody else begins.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// What the gate needs for sessions.
pub(super) struct Browser {
    pub(super) sessions: Arc<Sessions>,
    pub(super) renewals: Flights<SessionId, Renewed>,
    background: Vec<PathPattern>,
    background_header: Option<HeaderName>,
    origin: String,
    /// Whom anonymous providers stand for, by name.
    nobodies: HashMap<String, Nobody>,
}

/// How a session's tokens stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Good for a while.
    Fresh,
    /// Good, and soon not any more.
    Due,
    /// Not to be used.
    Over,
}

/// What the cookies of a request come to.
#[derive(Debug)]
pub(super) enum Brought {
    /// No session.
    Nothing,
    /// A session.
    Session(Held),
    /// One that is over.
    Ended(EndReason),
    /// The store must be asked.
    Ask(Asking),
}

impl Browser {
    pub(super) fn new(sessions: Arc<Sessions>, sso: &Sso) -> Self {
        let Background { paths, header } = &sso.session.background;
        let nobodies = sso
            .providers
            .iter()
            .filter_map(|provider| match &provider.kind {
                ProviderKind::Anonymous(anonymous) => {
                    Some((provider.name.clone(), Nobody::of(anonymous)))
                }
                _ => None,
            });
        Self {
            renewals: Flights::new(),
            // Patterns that are none are faults of the settings, found before.
            background: paths
                .iter()
                .filter_map(|path| PathPattern::parse(path).ok())
                .collect(),
            background_header: header
                .as_ref()
                .and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok()),
            origin: sso.public_url.origin(),
            nobodies: nobodies.collect(),
            sessions,
        }
    }

    /// Looks at the cookies of a request, without waiting.
    pub(super) fn look(&self, headers: &HeaderMap, now: Now) -> Brought {
        match self.sessions.look(headers, now) {
            Look::Known(found) => Brought::of(found),
            Look::Ask(asking) => Brought::Ask(asking),
        }
    }

    /// Asks the store.
    pub(super) async fn ask(&self, asking: Asking, now: Now) -> Result<Brought, Refusal> {
        match self.sessions.ask(asking, now).await {
            Ok(found) => Ok(Brought::of(found)),
            Err(trouble) => Err(store_trouble(&trouble)),
        }
    }

    /// Judges whether a request may use its session, and notes what its user did with it.
    ///
    /// # Errors
    /// [`Refusal::CrossSite`], [`Refusal::AgreementPending`], and [`Refusal::SessionEnded`] for one that belongs to another
    /// certificate.
    pub(super) fn admit(
        &self,
        held: &Held,
        head: &Head,
        target: &Target,
        peer: &Peer,
        now: Now,
    ) -> Result<(), Refusal> {
        let acts = is_unsafe(&head.method) || head.headers.contains_key(UPGRADE);
        if acts && !self.is_ours(head) {
            return Err(Refusal::CrossSite);
        }
        Self::confirm(held, peer)?;
        if self.is_activity(head, target) {
            self.sessions.notice(held, now);
        }
        Ok(())
    }

    /// Judges whether a session may be used by whoever is at the other end.
    ///
    /// # Errors
    /// [`Refusal::AgreementPending`], and [`Refusal::SessionEnded`] for one that belongs to another certificate.
    pub(super) fn confirm(held: &Held, peer: &Peer) -> Result<(), Refusal> {
        if let Some(hash) = &held.session.certificate
            && !shows(peer, hash)
        {
            return Err(Refusal::SessionEnded(EndReason::Certificate));
        }
        if !held.session.agreed {
            return Err(Refusal::AgreementPending);
        }
        Ok(())
    }

    /// Looks again at a session that was admitted before. No activity is noted by it.
    pub(super) async fn again(&self, held: &Held, now: Now) -> Result<Brought, Refusal> {
        match self.sessions.again(held, now).await {
            Ok(found) => Ok(Brought::of(found)),
            Err(trouble) => Err(store_trouble(&trouble)),
        }
    }

    /// Whether this site's own pages made a request that changes something (OWASP's "fetch metadata" and "origin" checks).
    /// Browsers of the last years say where a request came from in `Sec-Fetch-Site`; older ones in `Origin`. A handshake is
    /// judged by `Origin` alone, which every browser sends with it.
    fn is_ours(&self, head: &Head) -> bool {
        let origin = || {
            let mut lines = head.headers.get_all(ORIGIN).iter();
            let line = lines.next();
            line.is_some_and(|line| line.as_bytes() == self.origin.as_bytes())
                && lines.next().is_none()
        };
        if head.headers.contains_key(UPGRADE) {
            return origin();
        }
        let mut sites = head.headers.get_all(&SEC_FETCH_SITE).iter();
        match (sites.next(), sites.next()) {
            (None, _) => origin(),
            (Some(site), None) => matches!(site.as_bytes(), b"same-origin" | b"none"),
            (Some(_), Some(_)) => false,
        }
    }

    /// Whether a request shows that somebody is there: a navigation, or a change. What polls by itself doesn't.
    fn is_activity(&self, head: &Head, target: &Target) -> bool {
        if let Some(name) = &self.background_header
            && head.headers.contains_key(name)
        {
            return false;
        }
        if self.background.iter().any(|path| is_matched(path, target)) {
            return false;
        }
        is_unsafe(&head.method) || is_navigation(head)
    }

    /// What the session stands for before the authority.
    pub(super) fn presented<'a>(&'a self, session: &'a Session) -> Option<Presented<'a>> {
        match &session.tokens {
            Some(tokens) => Some(Presented::session(tokens.access.expose())),
            None => self
                .nobodies
                .get(&session.provider)
                .map(|nobody| nobody.presented()),
        }
    }

    /// The lines that bring the browser's cookie up to date.
    pub(super) fn lines(&self, held: &Held, now: Now) -> Lines {
        self.sessions.lines(held, now)
    }

    /// True for the one request that has the tokens renewed in the background.
    pub(super) fn claims_renewal(&self, held: &Held, now: Now) -> bool {
        held.live.claim_renewal(now, RENEWAL_PAUSE)
    }

    /// Ends a session that can't go on.
    pub(super) async fn end(&self, session: &Session, reason: EndReason, now: Now) {
        let ending = self.sessions.end(session, reason, TokenFate::GiveBack, now);
        if let Err(trouble) = ending.await {
            tracing::warn!(target: "sidegate::gate", session = ?session.id, %trouble, "session could not be ended in the store");
        }
    }
}

impl Brought {
    fn of(found: Found) -> Self {
        match found {
            Found::Nothing => Self::Nothing,
            Found::Session(held) => Self::Session(held),
            Found::Ended(reason) => Self::Ended(reason),
        }
    }
}

fn store_trouble(trouble: &StoreTrouble) -> Refusal {
    Refusal::SessionStore {
        cause: trouble.cause,
        retry_after: RETRY_AFTER,
    }
}

/// How a session's tokens stand; those of anonymous sessions never end.
pub(super) fn freshness(session: &Session, now: Now) -> Freshness {
    let Some(tokens) = &session.tokens else {
        return Freshness::Fresh;
    };
    let Tokens {
        granted, expires, ..
    } = tokens;
    let life = expires.saturating_sub(*granted);
    let left = expires.saturating_sub(now.unix);
    if left <= LEEWAY.min(life / 10) {
        Freshness::Over
    } else if left <= RENEW_AHEAD.min(life / 4) {
        let renewable = tokens.refresh.is_some() || session.kind == Kind::Pki;
        if renewable {
            Freshness::Due
        } else {
            Freshness::Fresh
        }
    } else {
        Freshness::Fresh
    }
}

/// Whether a request changes something (RFC 9110 §9.2.1).
fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a browser goes to a page: it says so, or, where it is too old to say, it wants a page and no script asked for it.
fn is_navigation(head: &Head) -> bool {
    if let Some(mode) = head.headers.get(&SEC_FETCH_MODE) {
        return mode == "navigate";
    }
    head.method == Method::GET
        && !head.headers.contains_key(&X_REQUESTED_WITH)
        && head
            .headers
            .get(ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"))
}

fn is_matched(pattern: &PathPattern, target: &Target) -> bool {
    let mut segments = target.segments();
    for wanted in &pattern.segments {
        match (wanted, segments.next()) {
            (Segment::Literal(text), Some(is)) if *text == is => {}
            (Segment::One(_), Some(_)) => {}
            _ => return false,
        }
    }
    pattern.rest || segments.next().is_none()
}

fn shows(peer: &Peer, hash: &[u8; 32]) -> bool {
    match &peer.certificate {
        PeerCertificate::Present(chain) => chain.sha256() == hash,
        PeerCertificate::Absent | PeerCertificate::Unusable => false,
    }
}
