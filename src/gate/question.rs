//! A route's requirement, put to an identity.
//!
//! Always true: what is unknown is asked for once, and is a refusal when it stays unknown; a former no is not served past its ttl
//!

use std::cell::RefCell;
use std::sync::Arc;

use http::Method;

use super::authenticate::{Authenticator, Known, Unresolved};
use super::cache::CacheResult;
use super::calls;
use super::extract::presented::Presented;
use super::refusal::Refusal;
use super::requirement::{Answer, Facts, Need};
use super::target::Target;
use super::trace::Steps;
use crate::model::clock::Now;
use crate::model::privilege::Atom;

/// Whether a yes rests on answers past their ttl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Live,
    Stale,
}

/// One requirement put to one identity.
pub(super) struct Question<'a> {
    need: &'a Need,
    authenticator: &'a Arc<Authenticator>,
    known: &'a Known,
    segments: Vec<String>,
    call: Vec<Vec<Atom>>,
    now: Now,
}

/// What an evaluation leaves to do.
struct Evaluated {
    answer: Answer,
    /// Atoms that have to be asked about.
    missing: Vec<Atom>,
    /// Atoms that are known but should be asked about again.
    due: Vec<Atom>,
}

impl<'a> Question<'a> {
    /// What `need` asks of this request.
    pub(super) fn new(
        need: &'a Need,
        authenticator: &'a Arc<Authenticator>,
        (method, target): (&Method, &Target),
        known: &'a Known,
        now: Now,
    ) -> Self {
        Self {
            need,
            authenticator,
            known,
            segments: segments_for(need, target),
            call: calls_for(need, method, target),
            now,
        }
    }

    /// `Ok` means yes.
    pub(super) async fn ask(
        &self,
        presented: &Presented<'_>,
        steps: &mut Steps,
    ) -> Result<Freshness, Refusal> {
        let stale = self.known.how == CacheResult::Stale;
        let first = self.evaluate(stale, &[], &[]);
        if !first.due.is_empty() {
            self.authenticator
                .refresh_resolved(self.known, presented, &first.due, self.now);
        }
        let freshness = if stale {
            Freshness::Stale
        } else {
            Freshness::Live
        };
        if first.answer != Answer::Unknown {
            self.note(&[], &[], steps);
            return self.conclude(first.answer, freshness, &[], &[]);
        }
        let asked = first.missing;
        // Boxed like every ask: what is known at once must not pay for it.
        let resolve = self
            .authenticator
            .resolve(self.known, presented, asked.clone(), self.now);
        let resolved = Box::pin(resolve).await;
        match resolved {
            Ok((granted, how)) => {
                self.authenticator.metrics.resolved(how);
                self.note(&asked, &granted, steps);
                let answer = self.evaluate(stale, &asked, &granted).answer;
                self.conclude(answer, freshness, &asked, &granted)
            }
            Err(Unresolved::Refusal(refusal)) => Err(refusal),
            Err(Unresolved::Trouble { stale, refusal }) => {
                if stale && self.evaluate(true, &[], &[]).answer == Answer::Yes {
                    self.authenticator.metrics.resolved(CacheResult::Stale);
                    return Ok(Freshness::Stale);
                }
                Err(refusal)
            }
        }
    }

    /// Evaluates with what the cache knows and with `granted`, the answers about `asked`.
    fn evaluate(&self, stale: bool, asked: &[Atom], granted: &[bool]) -> Evaluated {
        let due = RefCell::new(Vec::new());
        let known = |atom: &Atom| {
            if let Some(granted) = answered(atom, asked, granted) {
                return Some(granted);
            }
            let key = (self.known.fingerprint, atom.clone());
            let known = self.authenticator.cache.resolved(&key, stale, self.now)?;
            self.authenticator.metrics.resolved(CacheResult::Hit);
            if known.due {
                due.borrow_mut().push(key.1);
            }
            Some(known.granted)
        };
        let mut missing = Vec::new();
        let answer = self.need.evaluate(self.facts(), &known, &mut missing);
        Evaluated {
            answer,
            missing,
            due: due.into_inner(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            identity: &self.known.entry.identity,
            granted: &self.known.entry.granted,
            segments: &self.segments,
            call: &self.call,
        }
    }

    fn conclude(
        &self,
        answer: Answer,
        freshness: Freshness,
        asked: &[Atom],
        granted: &[bool],
    ) -> Result<Freshness, Refusal> {
        match (answer, freshness) {
            (Answer::Yes, freshness) => Ok(freshness),
            // A former no is not served past its ttl: whoever was granted the privilege since would be told a falsehood.
            (_, Freshness::Stale) => Err(Refusal::AuthorityUnavailable {
                cause: "connect",
                retry_after: super::authenticate::RETRY_AFTER,
            }),
            (Answer::No, Freshness::Live) => Err(Refusal::Forbidden {
                username: self.known.entry.identity.username.clone(),
                missing: self.unmet(asked, granted),
            }),
            (Answer::Unknown, Freshness::Live) => {
                Err(Refusal::Internal("a privilege stayed unknown after asking"))
            }
        }
    }

    fn unmet(&self, asked: &[Atom], granted: &[bool]) -> Vec<String> {
        let known = |atom: &Atom| {
            answered(atom, asked, granted).or_else(|| {
                let key = (self.known.fingerprint, atom.clone());
                let known = self.authenticator.cache.resolved(&key, false, self.now);
                known.map(|known| known.granted)
            })
        };
        let mut words = Vec::new();
        self.need
            .unmet(self.facts(), &self.authenticator.atoms, &known, &mut words);
        words
    }

    fn note(&self, asked: &[Atom], granted: &[bool], steps: &mut Steps) {
        steps.add("atoms", || {
            let words: Vec<String> = asked.iter().map(ToString::to_string).collect();
            serde_json::json!({"asked": words, "missing": self.unmet(asked, granted)})
        });
    }
}

fn answered(atom: &Atom, asked: &[Atom], granted: &[bool]) -> Option<bool> {
    let at = asked.iter().position(|known| known == atom)?;
    granted.get(at).copied()
}

/// What the request needs as a call of Elasticsearch's API, only where that is asked.
fn calls_for(need: &Need, method: &Method, target: &Target) -> Vec<Vec<Atom>> {
    if need.is_of_call() {
        calls::needed(method, target)
    } else {
        Vec::new()
    }
}

/// Decoded segments, only where a template may want them.
fn segments_for(need: &Need, target: &Target) -> Vec<String> {
    if need.is_static() {
        return Vec::new();
    }
    target
        .segments()
        .map(std::borrow::Cow::into_owned)
        .collect()
}
