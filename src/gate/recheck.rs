//! Looking again at what was permitted, for as long as it lasts.
//!
//! Always true: the question is the one that the request was judged by, put to the routes, the cache and the authority of now,
//! with the same credential or session; asking again is no activity of a session's user, and no decision that is counted as
//! one; what can't be told right now is never taken for a no. To be able to ask, a permit keeps what it rests on, which costs
//! a count of what the request holds anyway, and only on routes that are looked at again.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use tokio::sync::watch;

use super::authenticate::Authenticator;
use super::authorize::Permit;
use super::browser::Browser;
use super::cache::{Cache, Entry};
use super::extract::presented::Presented;
use super::extract::ways::Ways;
use super::refusal::Refusal;
use super::routes::{Route, RouteTable};
use super::target::Target;
use super::trace::Steps;
use crate::elastic::authorization::RUN_AS;
use crate::model::clock::Now;
use crate::model::credential::Scheme;
use crate::net::http::{Head, Peer, PeerCertificate};
use crate::session::Held;
use crate::session::ended::EndReason;

/// What of a request its permit rests on.
#[derive(Clone, Debug, Default)]
pub(super) enum Grounds {
    /// Nothing that stands in its head: a certificate, or nobody.
    #[default]
    Bare,
    /// The line of `Authorization`.
    Line(HeaderValue),
    /// The line of the route's own header for API keys.
    Key(HeaderValue),
    /// A browser's session, and whom it acts as.
    Session(Held, Option<Box<HeaderMap>>),
    /// Several lines, or one that is rarely seen.
    Lines(Box<HeaderMap>),
}

impl Grounds {
    /// Those of a credential that was found in a head. A session's are given by whoever held it.
    pub(super) fn of(presented: &Presented<'_>, head: &Head, ways: &Ways) -> Self {
        let handle = presented.scheme() == Scheme::Kerberos;
        if presented.run_as().is_none() && !handle {
            if let Some(line) = presented.line() {
                return Self::Line(secret(line));
            }
            // One that stands in the query is kept with the target.
            let name = ways.api_key_header.as_ref();
            return match name.and_then(|name| head.headers.get(name)) {
                Some(line) if presented.scheme() == Scheme::ApiKey => Self::Key(secret(line)),
                _ => Self::Bare,
            };
        }
        let mut kept = HeaderMap::new();
        let mut keep = |name: &HeaderName| {
            for line in head.headers.get_all(name) {
                kept.append(name.clone(), secret(line));
            }
        };
        keep(&AUTHORIZATION);
        keep(&RUN_AS);
        if handle {
            keep(&COOKIE);
        }
        ways.api_key_header.iter().for_each(keep);
        Self::Lines(Box::new(kept))
    }

    /// The same with the session that stood for a credential.
    pub(super) fn held(self, held: Held) -> Self {
        match self {
            Self::Lines(lines) => Self::Session(held, Some(lines)),
            _ => Self::Session(held, None),
        }
    }

    /// Puts them back into a head.
    fn stand_in(&self, head: &mut Head, ways: &Ways) {
        match self {
            Self::Bare | Self::Session(_, None) => {}
            Self::Line(line) => drop(head.headers.insert(AUTHORIZATION, line.clone())),
            Self::Key(line) => {
                if let Some(name) = &ways.api_key_header {
                    head.headers.insert(name.clone(), line.clone());
                }
            }
            Self::Lines(lines) | Self::Session(_, Some(lines)) => {
                head.headers.extend(HeaderMap::clone(lines));
            }
        }
    }
}

/// A line that isn't shown in any debug output.
fn secret(line: &HeaderValue) -> HeaderValue {
    let mut line = line.clone();
    line.set_sensitive(true);
    line
}

/// What of a request is known to whoever answers it, beside its permit.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its method, as it was judged.
    pub method: &'a Method,
    /// Its target as it came.
    pub uri: &'a Uri,
    /// Its `Host`.
    pub host: Option<&'a HeaderValue>,
    /// Who sent it.
    pub peer: &'a Arc<Peer>,
    /// Whether it is a WebSocket by now.
    pub websocket: bool,
}

/// Something that was permitted and goes on.
pub struct Standing {
    head: Head,
    peer: Arc<Peer>,
    held: Option<Held>,
    entry: Arc<Entry>,
    scheme: Scheme,
    websocket: bool,
}

impl std::fmt::Debug for Standing {
    /// Without its head, whose target may hold an API key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standing")
            .field("username", &self.entry.identity.username)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

impl Permit {
    /// What it takes to look at this again; `None` where nothing was asked about anybody.
    pub fn standing(&self, asked: &Asked<'_>) -> Option<Standing> {
        let (entry, scheme) = self.known()?;
        let mut head = http::Request::new(()).into_parts().0;
        head.method = asked.method.clone();
        head.uri = asked.uri.clone();
        head.version = Version::HTTP_11;
        if let Some(host) = asked.host {
            head.headers.insert(HOST, host.clone());
        }
        let grounds = self.grounds();
        grounds.stand_in(&mut head, &self.route().ways);
        if let (Grounds::Lines(lines), Some(token)) = (grounds, self.stood_for()) {
            // A ticket is good once: from then on its owner is asked about with the token that it brought.
            if lines.contains_key(AUTHORIZATION) {
                head.headers.insert(AUTHORIZATION, token);
            }
        }
        Some(Standing {
            head,
            peer: Arc::clone(asked.peer),
            held: match grounds {
                Grounds::Session(held, _) => Some(held.clone()),
                _ => None,
            },
            entry,
            scheme,
            websocket: asked.websocket,
        })
    }
}

impl Standing {
    /// What is known of whoever it was permitted to.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Their credential's scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Who sent it.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// When it ends by itself, as far as that is known, in time since the Unix epoch: its credential's own end, or that of its
    /// session's life.
    pub fn ends(&self) -> Option<Duration> {
        if let Some(held) = &self.held {
            return Some(held.live.session().ends());
        }
        let certificate = match &self.peer.certificate {
            PeerCertificate::Present(chain) if self.scheme == Scheme::Certificate => {
                Some(chain.not_after())
            }
            _ => None,
        };
        self.entry.not_after.into_iter().chain(certificate).min()
    }
}

impl Standing {
    /// Whether something came to pass since it was judged that may have ended it. `cache` is that of the gate that judged it.
    pub(super) fn is_doubtful(&self, cache: &Cache) -> bool {
        let ended = |held: &Held| held.live.ended().is_some();
        self.held.as_ref().is_some_and(ended) || !cache.is_unpurged(&self.entry)
    }
}

/// Tells whoever waits that something was purged, that a session ended, or that another gate took this one's place.
#[derive(Debug)]
pub(super) struct Alarm(watch::Sender<()>);

impl Default for Alarm {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Alarm {
    /// Wakes everybody.
    pub(super) fn ring(&self) {
        self.0.send_replace(());
    }

    /// Hears it from now on.
    pub(super) fn hear(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Who looks again: the parts of a gate.
pub(super) struct Review<'g> {
    pub(super) routes: &'g RouteTable,
    pub(super) authenticator: &'g Arc<Authenticator>,
    pub(super) browser: Option<&'g Arc<Browser>>,
}

impl Review<'_> {
    /// Asks again.
    pub(super) async fn recheck(&self, standing: &mut Standing, now: Now) -> Result<(), Refusal> {
        let target = Target::parse(&standing.head)?;
        let route = self
            .routes
            .find(&standing.peer.listener, &target, &standing.head.method)
            .ok_or(Refusal::NoRoute)?;
        if standing.websocket && !route.websocket {
            return Err(Refusal::UpgradeNotAllowed);
        }
        if super::authorize::permit_everyone(route, &target).is_some() {
            return Ok(());
        }
        let permit = self.judge(standing, (route, target), now).await?;
        if let Some((entry, scheme)) = permit.known() {
            (standing.entry, standing.scheme) = (entry, scheme);
        }
        if let Grounds::Session(held, _) = permit.grounds() {
            standing.held = Some(held.clone());
        }
        Ok(())
    }

    async fn judge(
        &self,
        standing: &Standing,
        (route, target): (&Arc<Route>, Target),
        now: Now,
    ) -> Result<Permit, Refusal> {
        let mut steps = Steps::off();
        let request = (&standing.head, &*standing.peer);
        match (&standing.held, self.browser) {
            (Some(held), Some(browser)) => {
                let place = (route, &target);
                self.authenticator
                    .revisit(browser, held, request, place, now, &mut steps)
                    .await
            }
            // There are no sessions any more.
            (Some(_), None) => Err(Refusal::SessionEnded(EndReason::Provider)),
            (None, _) => {
                let intake = &self.authenticator.intake;
                let shown = intake.shown(&standing.head, &route.ways)?;
                let place = (route, target);
                self.authenticator
                    .pass(request, place, (shown, None), now, &mut steps)
                    .await
            }
        }
    }
}
