//! Logins under way: one sealed, short-lived cookie for each, so that tabs do not disturb each other.
//!
//! Always true: an attempt is bound to its provider and, by its cookie, to one browser; it is found by the name that the identity
//! provider gives back (`state`, `RelayState`), never by being the only one; it is used once, and whoever comes with it again
//! goes where the first one went. A browser holds at most [`MAX_PENDING`]; the oldest go first.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::cookies::Line;
use crate::config::sso::{PublicUrl, Sso};
use crate::model::clock::{self, Now};
use crate::model::secret::Secret;
use crate::session::cookie::{CookieJar, Found, SameSite, cookies, tag};
use crate::session::keyring::Keyring;
use crate::session::return_to::ReturnTo;

/// How long a login may take.
pub const LIFE: Duration = Duration::from_secs(3_600);
/// Attempts that a browser holds at most.
pub const MAX_PENDING: usize = 8;
/// Bytes of all their cookies at most, so that no proxy in between refuses the header.
const MAX_BYTES: usize = 12 * 1024;
/// Letters of an id: 96 random bits.
const ID: usize = 16;
/// What attempts are sealed for.
const PURPOSE: &str = "attempt";
/// What a `RelayState` of ours begins with.
const RELAY_MARK: &str = "sg.";

/// What an attempt is waiting for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub enum Flow {
    /// A SAML response.
    Saml {
        /// `ID` of the request.
        #[serde(rename = "r")]
        request: String,
    },
    /// An OpenID Connect response.
    Oidc {
        /// The random part of `state`.
        #[serde(rename = "s")]
        state: String,
        /// `nonce`
        #[serde(rename = "n")]
        nonce: String,
    },
    /// The answer to a SAML logout request.
    SamlLogout {
        /// `ID` of the request, where the authority told it.
        #[serde(rename = "r")]
        request: Option<String>,
    },
}

/// One login under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its random name.
    pub id: String,
    /// The provider.
    pub provider: String,
    /// What it is waiting for.
    pub flow: Flow,
    /// Where the person wants to go.
    pub next: ReturnTo,
    /// When it began. Time since the Unix epoch.
    pub began: Duration,
    /// Whether the browser had a session then.
    pub had_session: bool,
}

/// Short names: every byte travels with every request.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(rename = "p")]
    provider: String,
    #[serde(rename = "f")]
    flow: Flow,
    #[serde(rename = "n")]
    next: String,
    #[serde(rename = "t")]
    began: u64,
    #[serde(rename = "h", default)]
    had_session: bool,
}

/// Seals, finds and counts attempts.
#[derive(Debug)]
pub struct Attempts {
    /// What the names of all their cookies begin with.
    base: String,
    public_url: PublicUrl,
    keyring: Arc<Keyring>,
}

/// What a browser says it began.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup {
    /// This one.
    Found(Box<Attempt>),
    /// One that took too long.
    Expired(Box<Attempt>),
    /// None of that name.
    Missing,
}

// === impl Attempt ===

impl Attempt {
    /// A new one.
    pub fn new(
        provider: &str,
        flow: Flow,
        next: ReturnTo,
        had_session: bool,
        id: String,
        now: Now,
    ) -> Self {
        Self {
            id,
            provider: provider.to_owned(),
            flow,
            next,
            began: Duration::from_secs(now.unix.as_secs()),
            had_session,
        }
    }

    /// A new random name.
    pub fn new_id() -> String {
        URL_SAFE_NO_PAD.encode(clock::random_bytes::<12>())
    }

    /// `state` for an attempt of this name: the name, and 256 bits that only its cookie holds.
    pub fn new_state(id: &str) -> (Secret, String) {
        let random = URL_SAFE_NO_PAD.encode(clock::random_bytes::<32>());
        (Secret::from(format!("{id}.{random}")), random)
    }

    /// The name in a `state`.
    pub fn id_of_state(state: &str) -> Option<&str> {
        let (id, _) = state.split_once('.')?;
        is_id(id).then_some(id)
    }

    /// Whether this attempt's `state` is that one.
    pub fn has_state(&self, state: &str) -> bool {
        let Flow::Oidc { state: random, .. } = &self.flow else {
            return false;
        };
        let ours = format!("{}.{random}", self.id);
        constant_time::verify_slices_are_equal(ours.as_bytes(), state.as_bytes()).is_ok()
    }

    /// `RelayState` for an attempt of this name.
    pub fn relay_state(id: &str) -> String {
        format!("{RELAY_MARK}{id}")
    }

    /// The name in a `RelayState`; `None` when it is none of ours.
    pub fn id_of_relay_state(relay_state: &str) -> Option<&str> {
        relay_state.strip_prefix(RELAY_MARK).filter(|id| is_id(id))
    }
}

fn is_id(text: &str) -> bool {
    text.len() == ID
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

// === impl Attempts ===

impl Attempts {
    /// Those of one configuration.
    pub fn new(sso: &Sso, keyring: &Arc<Keyring>) -> Self {
        Self {
            base: format!("sidegate-login-{}-", tag(&sso.public_url, &sso.prefix)),
            public_url: sso.public_url.clone(),
            keyring: Arc::clone(keyring),
        }
    }

    fn jar(&self, id: &str, flow: &Flow) -> CookieJar {
        let same_site = match flow {
            // What a SAML identity provider sends comes as a form of another site.
            Flow::Saml { .. } | Flow::SamlLogout { .. } => SameSite::Everywhere,
            Flow::Oidc { .. } => SameSite::Lax,
        };
        CookieJar::new(&format!("{}{id}", self.base), &self.public_url, same_site)
    }

    /// What the name of a cookie of ours begins with, as the browser has it.
    fn cookie_base(&self) -> String {
        let host = if self.public_url.secure {
            "__Host-"
        } else {
            ""
        };
        format!("{host}{}", self.base)
    }

    /// Whether a cookie of this name is one of these; such cookies never travel on.
    pub fn owns(&self, name: &[u8]) -> bool {
        name.starts_with(self.cookie_base().as_bytes())
    }

    /// The lines that give an attempt to the browser, and take the oldest others away when there are too many.
    pub fn keep(&self, attempt: &Attempt, headers: &HeaderMap, now: Now) -> Vec<Line> {
        let wire = Wire {
            provider: attempt.provider.clone(),
            flow: attempt.flow.clone(),
            next: attempt.next.as_str().to_owned(),
            began: attempt.began.as_secs(),
            had_session: attempt.had_session,
        };
        let bytes = zeroize::Zeroizing::new(serde_json::to_vec(&wire).unwrap_or_default());
        let sealed = self
            .keyring
            .seal_text(PURPOSE, &bytes, attempt.id.as_bytes())
            .unwrap_or_default();
        let mut lines = self.make_room(headers, sealed.len(), now);
        let jar = self.jar(&attempt.id, &attempt.flow);
        lines.extend(
            jar.set(&sealed, Some(LIFE.as_secs()), None)
                .unwrap_or_default(),
        );
        lines
    }

    /// Takes the oldest attempts away until there is room for one of `size` bytes.
    fn make_room(&self, headers: &HeaderMap, size: usize, now: Now) -> Vec<Line> {
        let mut pending = self.pending(headers, now);
        // Youngest first; what can't be opened is as old as it gets.
        pending.sort_by_key(|(_, began, _)| std::cmp::Reverse(*began));
        let mut bytes = size;
        let mut lines = Vec::new();
        for (index, (id, began, length)) in pending.iter().enumerate() {
            bytes = bytes.saturating_add(*length);
            let fits = index + 1 < MAX_PENDING && bytes <= MAX_BYTES && began.is_some();
            if !fits {
                lines.extend(self.clear_id(id, headers));
            }
        }
        lines
    }

    /// Every attempt whose cookies a request holds: name, beginning if it is still good, and bytes.
    fn pending(&self, headers: &HeaderMap, now: Now) -> Vec<(String, Option<Duration>, usize)> {
        let base = self.cookie_base();
        let mut found: Vec<(String, Option<Duration>, usize)> = Vec::new();
        for (name, value) in cookies(headers) {
            let Some(rest) = name.strip_prefix(base.as_bytes()) else {
                continue;
            };
            let Some(id) = rest.get(..ID).and_then(|id| std::str::from_utf8(id).ok()) else {
                continue;
            };
            if !is_id(id) {
                continue;
            }
            match found.iter_mut().find(|(known, ..)| known == id) {
                Some((_, _, bytes)) => *bytes = bytes.saturating_add(value.len()),
                None => {
                    let began = match self.find(id, headers, now) {
                        Lookup::Found(attempt) => Some(attempt.began),
                        Lookup::Expired(_) | Lookup::Missing => None,
                    };
                    found.push((id.to_owned(), began, value.len()));
                }
            }
        }
        found
    }

    /// The attempt of this name.
    pub fn find(&self, id: &str, headers: &HeaderMap, now: Now) -> Lookup {
        if !is_id(id) {
            return Lookup::Missing;
        }
        // The name alone decides here; what travels when is the browser's business.
        let jar = CookieJar::new(
            &format!("{}{id}", self.base),
            &self.public_url,
            SameSite::Lax,
        );
        let Found::Value(pieces) = jar.find(headers) else {
            return Lookup::Missing;
        };
        let Some(wire) = self
            .keyring
            .open_text(PURPOSE, &pieces.joined(), id.as_bytes())
            .and_then(|bytes| serde_json::from_slice::<Wire>(&bytes).ok())
        else {
            return Lookup::Missing;
        };
        let attempt = Box::new(Attempt {
            id: id.to_owned(),
            provider: wire.provider,
            flow: wire.flow,
            next: ReturnTo::parse_or_root(&wire.next),
            began: Duration::from_secs(wire.began),
            had_session: wire.had_session,
        });
        if now.unix.saturating_sub(attempt.began) > LIFE {
            return Lookup::Expired(attempt);
        }
        Lookup::Found(attempt)
    }

    /// Every attempt at a provider that waits for a SAML response, the youngest first.
    pub fn saml_pending(&self, provider: &str, headers: &HeaderMap, now: Now) -> Vec<Attempt> {
        let mut found: Vec<Attempt> = self
            .pending(headers, now)
            .into_iter()
            .take(2 * MAX_PENDING)
            .filter_map(|(id, ..)| match self.find(&id, headers, now) {
                Lookup::Found(attempt) => Some(*attempt),
                Lookup::Expired(_) | Lookup::Missing => None,
            })
            .filter(|attempt| {
                attempt.provider == provider && matches!(attempt.flow, Flow::Saml { .. })
            })
            .collect();
        found.sort_by_key(|attempt| std::cmp::Reverse(attempt.began));
        found.truncate(MAX_PENDING);
        found
    }

    /// The logout that is waiting for an identity provider's answer, the youngest.
    pub fn logout_pending(&self, provider: &str, headers: &HeaderMap, now: Now) -> Option<Attempt> {
        let pending = self.pending(headers, now);
        let found = pending
            .iter()
            .filter_map(|(id, ..)| match self.find(id, headers, now) {
                Lookup::Found(attempt) => Some(*attempt),
                Lookup::Expired(_) | Lookup::Missing => None,
            });
        found
            .filter(|it| it.provider == provider && matches!(it.flow, Flow::SamlLogout { .. }))
            .max_by_key(|attempt| attempt.began)
    }

    /// The lines that take an attempt away.
    pub fn clear(&self, attempt: &Attempt, headers: &HeaderMap) -> Vec<Line> {
        self.jar(&attempt.id, &attempt.flow).clear(headers)
    }

    fn clear_id(&self, id: &str, headers: &HeaderMap) -> Vec<Line> {
        let jar = CookieJar::new(
            &format!("{}{id}", self.base),
            &self.public_url,
            SameSite::Lax,
        );
        jar.clear(headers)
    }
}

#[cfg(test)]
mod tests;
