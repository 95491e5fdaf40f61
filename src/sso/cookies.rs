//! The small cookies of the door: what a form is bound to, the last choice, and how often somebody came round.
//!
//! Each has the instance's tag in its name, so that instances on one host leave each other alone. None of them is a credential.

use http::{HeaderMap, HeaderName, HeaderValue};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::sso::Sso;
use crate::model::clock::{self, Now};
use crate::session::cookie::{CookieJar, Found, SameSite, tag};
use crate::session::keyring::Keyring;

/// A line of a response.
pub type Line = (HeaderName, HeaderValue);

/// What form tokens are sealed for.
const FORM_PURPOSE: &str = "form";
/// How long a form may stay open, in seconds.
const FORM_LIFE: u64 = 12 * 3_600;
/// How long a choice is remembered, in seconds.
const LAST_LIFE: u64 = 400 * 86_400;
/// Window in which rounds are counted, in seconds.
const ROUNDS_WINDOW: u64 = 60;
/// Rounds in the window that are one too many.
pub const MAX_ROUNDS: u32 = 6;

/// The jars.
#[derive(Clone, Debug)]
pub struct Cookies {
    form: CookieJar,
    last: CookieJar,
    rounds: CookieJar,
}

/// What binds a form to this browser: the token for the form, and the line for the browser where it has no cookie yet.
#[derive(Debug)]
pub struct FormToken {
    /// For the hidden field.
    pub token: String,
    /// For the response.
    pub line: Vec<Line>,
}

/// Why a form is not believed to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormFault {
    /// The browser sent no cookie at all: it keeps none.
    NoCookie,
    /// Another token, or too old a one.
    Token,
}

impl Cookies {
    /// The jars of one configuration.
    pub fn new(sso: &Sso) -> Self {
        let tag = tag(&sso.public_url, &sso.prefix);
        let jar = |what: &str| {
            CookieJar::new(
                &format!("sidegate-{what}-{tag}"),
                &sso.public_url,
                SameSite::Lax,
            )
        };
        Self {
            form: jar("form"),
            last: jar("last"),
            rounds: jar("rounds"),
        }
    }

    /// A token for a form that this browser is about to get.
    pub fn form_token(&self, keyring: &Keyring, headers: &HeaderMap, now: Now) -> FormToken {
        let (binding, line) = match value(&self.form, headers) {
            Some(binding) => (binding, Vec::new()),
            None => {
                let binding = URL_SAFE_NO_PAD.encode(clock::random_bytes::<18>());
                let line = self.form.set(&binding, None, None).unwrap_or_default();
                (binding, line)
            }
        };
        let made = now.unix.as_secs().to_be_bytes();
        // Without a token the form can be shown, and is refused when it comes back.
        let token = keyring
            .seal_text(FORM_PURPOSE, &made, binding.as_bytes())
            .unwrap_or_default();
        FormToken { token, line }
    }

    /// Whether a form that came back is one that this browser got.
    ///
    /// # Errors
    /// [`FormFault`]
    pub fn check_form(
        &self,
        keyring: &Keyring,
        headers: &HeaderMap,
        token: &str,
        now: Now,
    ) -> Result<(), FormFault> {
        let binding = value(&self.form, headers).ok_or(FormFault::NoCookie)?;
        let made = keyring
            .open_text(FORM_PURPOSE, token.as_bytes(), binding.as_bytes())
            .and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok())
            .map(u64::from_be_bytes)
            .ok_or(FormFault::Token)?;
        if now.unix.as_secs().saturating_sub(made) > FORM_LIFE {
            return Err(FormFault::Token);
        }
        Ok(())
    }

    /// The provider that this browser logged in with last.
    pub fn last(&self, headers: &HeaderMap) -> Option<String> {
        value(&self.last, headers)
    }

    /// Remembers it.
    pub fn remember(&self, provider: &str) -> Vec<Line> {
        self.last
            .set(provider, Some(LAST_LIFE), None)
            .unwrap_or_default()
    }

    /// How often this browser logged in within the last minute.
    pub fn rounds(&self, headers: &HeaderMap, now: Now) -> u32 {
        self.counted(headers, now).map_or(0, |(count, _)| count)
    }

    fn counted(&self, headers: &HeaderMap, now: Now) -> Option<(u32, u64)> {
        let text = value(&self.rounds, headers)?;
        let (count, since) = text.split_once('.')?;
        let (count, since) = (count.parse().ok()?, since.parse::<u64>().ok()?);
        let age = now.unix.as_secs().checked_sub(since)?;
        (age <= ROUNDS_WINDOW).then_some((count, since))
    }

    /// Counts one more.
    pub fn count_round(&self, headers: &HeaderMap, now: Now) -> Vec<Line> {
        let (count, since) = self
            .counted(headers, now)
            .unwrap_or((0, now.unix.as_secs()));
        let text = format!("{}.{since}", count.saturating_add(1));
        self.rounds
            .set(&text, Some(ROUNDS_WINDOW), None)
            .unwrap_or_default()
    }

    /// Begins to count anew.
    pub fn forget_rounds(&self, headers: &HeaderMap) -> Vec<Line> {
        match value(&self.rounds, headers) {
            Some(_) => self.rounds.clear(headers),
            None => Vec::new(),
        }
    }

    /// Whether a cookie of this name is the door's; such cookies never travel on.
    pub fn owns(&self, name: &[u8]) -> bool {
        self.form.owns(name) || self.last.owns(name) || self.rounds.owns(name)
    }
}

/// A short value in one cookie.
fn value(jar: &CookieJar, headers: &HeaderMap) -> Option<String> {
    match jar.find(headers) {
        Found::Value(pieces) => String::from_utf8(pieces.joined().to_vec()).ok(),
        Found::Nothing | Found::Unusable(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::clock::Clock;
    use crate::sso::fixture;

    fn echoed(lines: &[Line]) -> HeaderMap {
        fixture::cookie_header(lines)
    }

    #[test]
    fn a_form_is_good_in_the_browser_that_got_it_and_not_for_ever() {
        let sso = fixture::sso("{ name: local, login: password }");
        let (cookies, keyring) = (Cookies::new(&sso), fixture::keyring());
        let clock = Clock::manual(Duration::from_secs(1_000_000));
        let ours = cookies.form_token(&keyring, &HeaderMap::new(), clock.now());
        let browser = echoed(&ours.line);
        let check = |browser: &HeaderMap, token: &str| {
            cookies.check_form(&keyring, browser, token, clock.now())
        };
        assert_eq!(check(&browser, &ours.token), Ok(()));
        assert_eq!(
            check(&HeaderMap::new(), &ours.token),
            Err(FormFault::NoCookie)
        );
        let other = cookies.form_token(&keyring, &HeaderMap::new(), clock.now());
        assert_eq!(check(&browser, &other.token), Err(FormFault::Token));
        assert_eq!(check(&browser, ""), Err(FormFault::Token));
        let again = cookies.form_token(&keyring, &browser, clock.now());
        assert!(again.line.is_empty() && check(&browser, &again.token).is_ok());
        clock.advance(Duration::from_secs(FORM_LIFE + 1));
        assert_eq!(
            cookies.check_form(&keyring, &browser, &ours.token, clock.now()),
            Err(FormFault::Token)
        );
    }

    #[test]
    fn rounds_are_counted_within_a_minute() {
        let cookies = Cookies::new(&fixture::sso("{ name: local, login: password }"));
        let clock = Clock::manual(Duration::from_secs(1_000_000));
        let mut browser = HeaderMap::new();
        for round in 1..=3 {
            browser = echoed(&cookies.count_round(&browser, clock.now()));
            assert_eq!(cookies.rounds(&browser, clock.now()), round);
            clock.advance(Duration::from_secs(10));
        }
        clock.advance(Duration::from_secs(ROUNDS_WINDOW));
        assert_eq!(cookies.rounds(&browser, clock.now()), 0);
        for odd in [
            "",
            "x",
            "9",
            "9.x",
            "-1.1",
            "99999999999.1",
            "1.99999999999",
        ] {
            let line = format!("{}={odd}", cookies.rounds.name());
            let browser = HeaderMap::from_iter([(http::header::COOKIE, line.parse().unwrap())]);
            assert_eq!(cookies.rounds(&browser, clock.now()), 0, "{odd}");
        }
    }
}
