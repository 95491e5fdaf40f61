//! Texts of the config file that mean more than text: durations, sizes, names, paths.
//!
//! A key holds a [`Written`] value: what the operator wrote, with the type it is to become. Deserialising never judges it;
//! `check` parses it and can so report every bad one at once, with its place. Each [`Value`] tells in one sentence what is
//! allowed, and that sentence serves the fault, the JSON Schema and the reference alike.
//!
//! To add a kind of value: implement [`Value`] for its type here, or beside its own syntax (`addresses`, `patterns`, `grants`, `headers`).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// A type that is written as text in the config file.
pub trait Value: Sized {
    /// Its name in the JSON Schema and the reference.
    const NAME: &'static str;
    /// What is allowed, as it follows "allowed: ".
    const ALLOWED: &'static str;
    /// A few texts that are right.
    const EXAMPLES: &'static [&'static str];
    /// True when the text itself must never be shown.
    const SECRET: bool = false;

    /// Parses the text.
    ///
    /// # Errors
    /// A [`ValueError`] that tells what is wrong with it, without repeating [`Value::ALLOWED`].
    fn parse(text: &str) -> Result<Self, ValueError>;

    /// How a fault shows the text.
    fn shown(text: &str) -> String {
        shown(text)
    }
}

/// Why a text is no such value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ValueError {
    /// What is wrong, lower case, without a period and without anything secret.
    pub problem: String,
    /// What to write instead, when that is known.
    pub hint: Option<String>,
}

impl ValueError {
    /// An error without a hint.
    pub fn new(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            hint: None,
        }
    }

    /// Adds what to write instead.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A value as written, not yet parsed. Absent when the file held something that is no text, which is a fault already reported.
pub struct Written<T>(Option<String>, PhantomData<fn() -> T>);

impl<T: Value> Written<T> {
    /// The text as written.
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<T> fmt::Debug for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is written may be a secret, so no text is shown at all.
        f.write_str("[as written]")
    }
}

impl<'de, T> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<String>::deserialize(deserializer).map(|text| Self(text, PhantomData))
    }
}

impl<T: Value> JsonSchema for Written<T> {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed(T::NAME)
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({
            "type": "string",
            "description": T::ALLOWED,
            "examples": T::EXAMPLES,
        });
        if T::SECRET {
            schema.insert("x-secret".to_owned(), true.into());
        }
        schema
    }
}

/// Shows a text in a fault: one line, shortened, control characters escaped.
pub fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

// === impl Duration ===

/// Units of a duration with their length in milliseconds, longest first.
const DURATION_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Value for Duration {
    const NAME: &'static str = "Duration";
    const ALLOWED: &'static str = "a whole number with its unit (`ms`, `s`, `m`, `h` or `d`), or several, longest unit first; at most `3650d`";
    const EXAMPLES: &'static [&'static str] = &["60s", "1h30m", "250ms"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        const LONGEST: u64 = 3_650 * 86_400_000;
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ValueError::new("the unit is missing")
                .with_hint(format!("`{text}s` or `{text}ms`?")));
        }
        let mut rest = text;
        let mut total = 0u64;
        let mut units = DURATION_UNITS.as_slice();
        loop {
            let (count, after) = leading_number(rest)?;
            let end = after
                .find(|letter: char| !letter.is_ascii_alphabetic())
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            let Some(at) = units.iter().position(|(name, _)| *name == unit) else {
                return Err(unit_error(unit, &DURATION_UNITS.map(|(name, _)| name)));
            };
            total = count
                .checked_mul(units[at].1)
                .and_then(|part| total.checked_add(part))
                .filter(|total| *total <= LONGEST)
                .ok_or_else(|| ValueError::new("too long"))?;
            units = &units[at + 1..];
            rest = after;
            if rest.is_empty() {
                return Ok(Self::from_millis(total));
            }
        }
    }
}

impl Value for Option<Duration> {
    const NAME: &'static str = "DurationOrNone";
    const ALLOWED: &'static str = "a duration such as `60s`, or `none` for no limit";
    const EXAMPLES: &'static [&'static str] = &["1h", "none"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "none" {
            return Ok(None);
        }
        Duration::parse(text).map(Some)
    }
}

/// The whole number a text begins with, and what follows it.
fn leading_number(text: &str) -> Result<(u64, &str), ValueError> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err(ValueError::new("a number is missing"));
    }
    let number = digits
        .parse()
        .map_err(|_| ValueError::new("the number is too large"))?;
    Ok((number, rest))
}

fn unit_error(unit: &str, known: &[&str]) -> ValueError {
    if unit.is_empty() {
        return ValueError::new("the unit is missing");
    }
    let error = ValueError::new(format!("{} is no unit here", shown(unit)));
    if known.contains(&unit) {
        return error.with_hint("each unit once, the longest first");
    }
    match known.iter().find(|name| name.eq_ignore_ascii_case(unit)) {
        Some(name) => error.with_hint(format!("did you mean `{name}`?")),
        None => error,
    }
}

// === impl Size ===

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

/// Units of a size with their bytes.
const SIZE_UNITS: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl Value for Size {
    const NAME: &'static str = "Size";
    const ALLOWED: &'static str =
        "a whole number with its unit: `B`, `KiB`, `MiB` or `GiB`; at most `1024GiB`";
    const EXAMPLES: &'static [&'static str] = &["64KiB", "16MiB"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let (count, unit) = leading_number(text)?;
        let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(match unit {
                "k" | "K" | "kb" | "KB" | "kB" => {
                    unit_error(unit, &[]).with_hint("did you mean `KiB`?")
                }
                "M" | "MB" | "m" | "mb" => unit_error(unit, &[]).with_hint("did you mean `MiB`?"),
                "G" | "GB" | "g" | "gb" => unit_error(unit, &[]).with_hint("did you mean `GiB`?"),
                _ => unit_error(unit, &SIZE_UNITS.map(|(name, _)| name)),
            });
        };
        count
            .checked_mul(*bytes)
            .filter(|total| *total <= 1 << 40)
            .and_then(|total| usize::try_from(total).ok())
            .map(Self)
            .ok_or_else(|| ValueError::new("too large"))
    }
}

// === impl Name ===

/// The name of a listener, upstream or route: a label in logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub String);

impl Value for Name {
    const NAME: &'static str = "Name";
    const ALLOWED: &'static str = "1 to 64 letters, digits, `.`, `_`, `-` or `:`";
    const EXAMPLES: &'static [&'static str] = &["shop", "orders-read"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::new("it is empty"));
        }
        if text.len() > 64 {
            return Err(ValueError::new("it is too long"));
        }
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-:".contains(letter);
        match text.chars().find(|letter| !fits(*letter)) {
            Some(letter) => Err(ValueError::new(format!("it holds {letter:?}"))),
            None => Ok(Self(text.to_owned())),
        }
    }
}

// === impl PathBuf ===

impl Value for PathBuf {
    const NAME: &'static str = "FilePath";
    const ALLOWED: &'static str =
        "a path in the file system; a relative one starts at the working directory";
    const EXAMPLES: &'static [&'static str] = &["/etc/sidegate/tls.crt"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::new("it is empty"));
        }
        if text.contains('\0') {
            return Err(ValueError::new("it holds a NUL"));
        }
        match text.strip_prefix("file:") {
            Some(path) => Err(ValueError::new("a path is written without `file:` here")
                .with_hint(format!("write {}", shown(path)))),
            None => Ok(Self::from(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Result<u128, String> {
        Duration::parse(text)
            .map(|duration| duration.as_millis())
            .map_err(|error| error.problem)
    }

    #[test]
    fn durations_add_up_their_parts() {
        assert_eq!(millis("60s"), Ok(60_000));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("250ms"), Ok(250));
        assert_eq!(millis("1d2h3m4s5ms"), Ok(93_784_005));
        assert_eq!(millis("0s"), Ok(0));
        assert_eq!(millis("3650d"), Ok(315_360_000_000));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_its_reason() {
        for (text, problem) in [
            ("", "a number is missing"),
            ("60", "the unit is missing"),
            ("s", "a number is missing"),
            ("-1s", "a number is missing"),
            ("1.5s", "the unit is missing"),
            ("1 s", "the unit is missing"),
            ("1s1h", "`h` is no unit here"),
            ("1s1s", "`s` is no unit here"),
            ("1S", "`S` is no unit here"),
            ("1w", "`w` is no unit here"),
            ("0s0", "the unit is missing"),
            ("3651d", "too long"),
            ("99999999999999999999s", "the number is too large"),
            ("18446744073709551615d", "too long"),
        ] {
            assert_eq!(millis(text), Err(problem.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_number_without_unit_is_given_two_guesses() {
        let error = Duration::parse("60").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("`60s` or `60ms`?"));
    }

    #[test]
    fn sizes_are_binary_and_name_their_unit() {
        assert_eq!(Size::parse("16MiB"), Ok(Size(16 << 20)));
        assert_eq!(Size::parse("0B"), Ok(Size(0)));
        let error = Size::parse("16MB").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `MiB`?"));
        for text in ["", "16", "MiB", "1.5MiB", "1KiB1B", "99999999999GiB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_value_never_prints_its_text() {
        let written: Written<Name> = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(format!("{written:?}"), "[as written]");
        assert_eq!(written.text(), Some("hunter2"));
    }

    #[test]
    fn shown_text_is_one_short_line() {
        assert_eq!(shown("a\nb\u{1b}[0m"), "`a\\nb\\u{1b}[0m`");
        assert!(shown(&"x".repeat(10_000)).chars().count() < 90);
    }
}
