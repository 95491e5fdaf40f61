//! Finding profiles by what somebody types (`_suggest`).
//!
//! As Elasticsearch's `bool_prefix` query over user name, full name and e-mail: a profile matches when one typed word is one
//! of its words, give or take a typo, or when the last typed word begins one. Hints only move profiles up. The better match
//! comes first, then the one synchronised last. Never shows a disabled profile.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use super::words::{email_words, shingles, words};
use crate::authority::record::Profile;

/// Words of a question that count.
const MAX_WORDS: usize = 32;
/// Words longer than this have no typos.
const MAX_FUZZY: usize = 64;

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// What somebody typed; empty: everybody.
    pub name: String,
    /// Profiles to move up.
    pub uids: Vec<String>,
    /// A label, dots for depth, and values of which one moves up.
    pub label: Option<(String, Vec<String>)>,
}

/// Profiles by uid.
pub type Rows = Vec<(String, Arc<Profile>)>;

/// The enabled profiles that match, best first.
pub fn rank(rows: Rows, question: &Question) -> Rows {
    let typed = Typed::of(&question.name);
    let mut found: Vec<(f64, (String, Arc<Profile>))> = rows
        .into_iter()
        .filter(|(_, profile)| profile.enabled)
        .filter_map(|(uid, profile)| {
            let by_name = typed
                .as_ref()
                .map_or(Some(0.0), |typed| typed.score(&profile))?;
            let score = by_name + hints(question, &uid, &profile);
            Some((score, (uid, profile)))
        })
        .collect();
    found.sort_by(order);
    found.into_iter().map(|(_, row)| row).collect()
}

fn order(one: &(f64, (String, Arc<Profile>)), other: &(f64, (String, Arc<Profile>))) -> Ordering {
    let (one_score, (one_uid, one)) = one;
    let (other_score, (other_uid, other)) = other;
    other_score
        .total_cmp(one_score)
        .then(other.last_synchronized.cmp(&one.last_synchronized))
        .then(one_uid.cmp(other_uid))
}

fn hints(question: &Question, uid: &str, profile: &Profile) -> f64 {
    let by_uid = question.uids.iter().any(|wanted| wanted == uid);
    let by_label = question.label.as_ref().is_some_and(|(key, values)| {
        profile
            .labels
            .iter()
            .any(|(name, value)| has_label(name, value, key, values))
    });
    f64::from(u8::from(by_uid)) + f64::from(u8::from(by_label))
}

/// Whether the value called `name` holds one of `values` under `key`. Values are compared as text.
fn has_label(name: &str, value: &Value, key: &str, values: &[String]) -> bool {
    let is = |text: &str| values.iter().any(|wanted| wanted == text);
    match value {
        Value::Object(map) => {
            let Some(rest) = key
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('.'))
            else {
                return false;
            };
            map.iter()
                .any(|(name, value)| has_label(name, value, rest, values))
        }
        Value::Array(items) => items.iter().any(|item| has_label(name, item, key, values)),
        _ if name != key => false,
        Value::String(text) => is(text),
        Value::Bool(_) | Value::Number(_) => is(&value.to_string()),
        Value::Null => false,
    }
}

/// What was typed, cut into words once.
struct Typed {
    words: Vec<String>,
    /// As an e-mail address would be searched for.
    parts: Vec<String>,
}

impl Typed {
    /// `None` when nothing was typed.
    fn of(name: &str) -> Option<Self> {
        let mut words = words(name);
        let mut parts: Vec<String> = name
            .to_lowercase()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        if parts.is_empty() {
            return None;
        }
        words.truncate(MAX_WORDS);
        parts.truncate(MAX_WORDS);
        Some(Self { words, parts })
    }

    /// `None`: no match.
    fn score(&self, profile: &Profile) -> Option<f64> {
        let user = &profile.user;
        let full_name = user.full_name.as_deref().unwrap_or_default();
        let email: Vec<String> = email_words(user.email.as_deref().unwrap_or_default())
            .into_iter()
            .collect();
        let score =
            self.in_name(&user.username) + self.in_name(full_name) + in_words(&self.parts, &email);
        (score > 0.0).then_some(score)
    }

    /// Runs of two and three words count on top of the words in them.
    fn in_name(&self, name: &str) -> f64 {
        let known = words(name);
        let mut score = in_words(&self.words, &known);
        for length in [2, 3] {
            if self.words.len() >= length {
                score += in_words(&shingles(&self.words, length), &shingles(&known, length));
            }
        }
        score
    }
}

/// The last of `typed` may be the beginning of a word, the others must be words, give or take a typo.
fn in_words(typed: &[String], known: &[String]) -> f64 {
    let Some((last, before)) = typed.split_last() else {
        return 0.0;
    };
    let begins = known.iter().any(|word| word.starts_with(last.as_str()));
    let whole: f64 = before
        .iter()
        .map(|typed| {
            let best = known.iter().map(|word| likeness(typed, word));
            best.fold(0.0, f64::max)
        })
        .sum();
    whole + f64::from(u8::from(begins))
}

/// 2 for the same word, less for one with typos, 0 for another word: no typo up to two letters, one up to five, else two.
fn likeness(typed: &str, word: &str) -> f64 {
    if typed == word {
        return 2.0;
    }
    let (length, other) = (typed.chars().count(), word.chars().count());
    let typos = match length {
        0..=2 => return 0.0,
        3..=5 => 1,
        6..=MAX_FUZZY => 2,
        _ => return 0.0,
    };
    if length.abs_diff(other) > typos {
        return 0.0;
    }
    let distance = strsim::osa_distance(typed, word);
    if distance > typos {
        return 0.0;
    }
    // Both are small numbers.
    2.0 * (1.0 - distance as f64 / length.min(other) as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::authority::record::ProfileUser;
    use crate::wire::principals::RealmRef;

    fn row(username: &str, full_name: &str, email: &str, at: u64) -> (String, Arc<Profile>) {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let labels =
            json!({"kibana": {"spaces": ["demo", "test"], "level": 3}, "direction": username});
        let profile = Profile {
            enabled: !username.starts_with("gone"),
            last_synchronized: at,
            user: ProfileUser {
                username: username.to_owned(),
                roles: Vec::new(),
                realm: RealmRef {
                    name: "default_native".to_owned(),
                    kind: "native".to_owned(),
                    domain: None,
                },
                email: text(email),
                full_name: text(full_name),
            },
            labels: labels.as_object().cloned().unwrap_or_default(),
            data: Map::new(),
            seq_no: 0,
        };
        (username.to_owned(), Arc::new(profile))
    }

    fn people() -> Rows {
        vec![
            row("ann", "Ann O'Neill", "ann@example.org", 1),
            row("gone", "Ann Gone", "", 2),
            row("jpl", "Juan Pérez López", "juan.perez@bazooka.gum", 3),
            row("juan", "Juan Smith", "js@example.org", 4),
        ]
    }

    fn found(question: &Question) -> Vec<String> {
        rank(people(), question)
            .into_iter()
            .map(|(uid, _)| uid)
            .collect()
    }

    fn named(name: &str) -> Vec<String> {
        found(&Question {
            name: name.to_owned(),
            ..Question::default()
        })
    }

    #[test]
    fn the_last_word_is_a_beginning_and_the_others_are_words_with_typos() {
        assert_eq!(named("ju"), ["juan", "jpl"], "more fields first");
        assert_eq!(named("juan per"), ["jpl", "juan"], "two words first");
        assert_eq!(named("jaun per"), ["jpl", "juan"], "a typo");
        assert_eq!(named("xuanito zz"), Vec::<String>::new());
        assert_eq!(named("uan"), Vec::<String>::new(), "not in the middle");
        assert_eq!(named("bazooka"), ["jpl"]);
        assert_eq!(named("juan.perez@bazooka.gum"), ["jpl"]);
        assert_eq!(named("O'Ne"), ["ann"]);
    }

    #[test]
    fn nothing_typed_is_everybody_enabled_the_latest_first() {
        assert_eq!(named(" "), ["juan", "jpl", "ann"]);
        assert_eq!(named("--"), Vec::<String>::new(), "typed, but no word");
    }

    #[test]
    fn hints_move_up_and_never_exclude() {
        let by_uid = Question {
            uids: vec!["ann".to_owned(), "gone".to_owned()],
            ..Question::default()
        };
        assert_eq!(found(&by_uid), ["ann", "juan", "jpl"]);
        let by_label = |key: &str, value: &str| Question {
            label: Some((key.to_owned(), vec!["nothing".to_owned(), value.to_owned()])),
            ..Question::default()
        };
        assert_eq!(found(&by_label("direction", "ann")), ["ann", "juan", "jpl"]);
        for (key, value) in [("kibana.spaces", "test"), ("kibana.level", "3")] {
            let question = by_label(key, value);
            assert!(
                people()
                    .iter()
                    .all(|(uid, row)| hints(&question, uid, row) > 0.0),
                "{key}"
            );
        }
        let question = by_label("kibana", "test");
        assert!(
            people()
                .iter()
                .all(|(uid, row)| hints(&question, uid, row) == 0.0)
        );
    }
}
