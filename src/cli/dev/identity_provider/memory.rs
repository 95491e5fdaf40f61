//! Codes and access tokens that were given out. Bounded in number and time; a code is taken once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::people::{LIFE, Person};
use crate::model::clock::Now;

/// Codes, and access tokens, at once.
const MOST: usize = 1_000;
/// How long a code counts.
const CODE_LIFE: Duration = Duration::from_secs(60);

/// What a code stands for.
pub(super) struct Code {
    pub(super) person: &'static Person,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
}

/// Things under unguessable texts, until a moment of monotonic time.
struct Kept<T>(BTreeMap<String, (Duration, T)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Kept<T> {
    fn keep(&mut self, key: &str, thing: T, life: Duration, now: Now) {
        self.0.retain(|_, (until, _)| now.mono < *until);
        if self.0.len() >= MOST {
            self.0.pop_first();
        }
        self.0.insert(key.to_owned(), (now.mono + life, thing));
    }

    fn take(&mut self, key: &str, now: Now) -> Option<T> {
        let (until, thing) = self.0.remove(key)?;
        (now.mono < until).then_some(thing)
    }

    fn find(&self, key: &str, now: Now) -> Option<&T> {
        let (until, thing) = self.0.get(key)?;
        (now.mono < *until).then_some(thing)
    }
}

/// What the provider remembers.
#[derive(Default)]
pub(super) struct Memory {
    codes: Kept<Code>,
    access: Kept<&'static Person>,
}

impl Memory {
    pub(super) fn keep_code(&mut self, text: &str, code: Code, now: Now) {
        self.codes.keep(text, code, CODE_LIFE, now);
    }

    /// The code, which is gone with this.
    pub(super) fn take_code(&mut self, text: &str, now: Now) -> Option<Code> {
        self.codes.take(text, now)
    }

    pub(super) fn keep_access(&mut self, token: &str, person: &'static Person, now: Now) {
        self.access
            .keep(token, person, Duration::from_secs(LIFE), now);
    }

    /// Whom an access token is for.
    pub(super) fn person(&self, token: &str, now: Now) -> Option<&'static Person> {
        self.access.find(token, now).copied()
    }
}
