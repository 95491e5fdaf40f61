//! Path patterns: literal segments, `{name}`, `*` and a final `**`.

use percent_encoding::percent_decode_str;

/// A parsed path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// One per segment.
    pub segments: Vec<Segment>,
    /// Whether `**` stands at the end: any rest, also none.
    pub rest: bool,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text, decoded.
    Literal(String),
    /// Any one segment, remembered under a name or not.
    One(Option<String>),
}

/// Why a text is not a path pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It doesn't begin with `/`.
    #[error("path pattern must begin with '/'")]
    NoSlash,
    /// `**` stands before the end.
    #[error("'**' may only stand at the end of a path pattern")]
    RestInside,
    /// A wildcard or brace is mixed with other text in one segment.
    #[error("a segment is either literal, '{{name}}' or '*' as a whole")]
    Mixed,
    /// A capture name is empty, malformed, or used twice.
    #[error("capture names are unique and made of letters, digits and '_'")]
    CaptureName,
    /// It holds what no canonical path holds, so it would never match.
    #[error(
        "no canonical path holds this: empty or dot segments, '\\', ';', '?', '#', control characters"
    )]
    NeverMatches,
}

impl PathPattern {
    /// Parses a pattern. A trailing slash means nothing, as in requests.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let inner = text.strip_prefix('/').ok_or(PatternError::NoSlash)?;
        let (inner, rest) = match inner.strip_suffix("**") {
            Some("") => ("", true),
            Some(before) if before.ends_with('/') => (before, true),
            Some(_) => return Err(PatternError::Mixed),
            None => (inner, false),
        };
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let mut segments = Vec::new();
        if !inner.is_empty() {
            for segment in inner.split('/') {
                segments.push(Segment::parse(segment)?);
            }
        }
        let pattern = Self { segments, rest };
        pattern.check_names()?;
        Ok(pattern)
    }

    /// Where a capture stands among the segments.
    pub fn position_of(&self, name: &str) -> Option<usize> {
        self.segments
            .iter()
            .position(|segment| matches!(segment, Segment::One(Some(known)) if known == name))
    }

    fn check_names(&self) -> Result<(), PatternError> {
        let mut names: Vec<&str> = self
            .segments
            .iter()
            .filter_map(|segment| match segment {
                Segment::One(name) => name.as_deref(),
                Segment::Literal(_) => None,
            })
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() == count {
            Ok(())
        } else {
            Err(PatternError::CaptureName)
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::One(None));
        }
        if text == "**" {
            return Err(PatternError::RestInside);
        }
        if let Some(name) = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
        {
            let sane = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            return if sane {
                Ok(Self::One(Some(name.to_owned())))
            } else {
                Err(PatternError::CaptureName)
            };
        }
        if text.contains(['{', '}', '*']) {
            return Err(PatternError::Mixed);
        }
        let literal = percent_decode_str(text)
            .decode_utf8()
            .map_err(|_| PatternError::NeverMatches)?;
        let never = matches!(&*literal, "" | "." | "..")
            || literal.contains(|c: char| c.is_ascii_control() || "/\\;?#".contains(c));
        if never {
            return Err(PatternError::NeverMatches);
        }
        Ok(Self::Literal(literal.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_segments_and_perhaps_a_rest() {
        let pattern = PathPattern::parse("/spaces/{space}/*/a%20b/**").unwrap();
        assert_eq!(
            pattern.segments,
            [
                Segment::Literal("spaces".into()),
                Segment::One(Some("space".into())),
                Segment::One(None),
                Segment::Literal("a b".into())
            ]
        );
        assert!(pattern.rest);
        assert_eq!(pattern.position_of("space"), Some(1));
        for root in ["/", "/**"] {
            assert!(PathPattern::parse(root).unwrap().segments.is_empty());
        }
        assert_eq!(PathPattern::parse("/a/"), PathPattern::parse("/a"));
    }

    #[test]
    fn what_can_not_match_is_no_pattern() {
        for (text, error) in [
            ("a", PatternError::NoSlash),
            ("", PatternError::NoSlash),
            ("/**/a", PatternError::RestInside),
            ("/a**", PatternError::Mixed),
            ("/a*", PatternError::Mixed),
            ("/x{a}", PatternError::Mixed),
            ("/{}", PatternError::CaptureName),
            ("/{a}/{a}", PatternError::CaptureName),
            ("/a//b", PatternError::NeverMatches),
            ("/a/..", PatternError::NeverMatches),
            ("/a;b", PatternError::NeverMatches),
            ("/a%2fb", PatternError::NeverMatches),
        ] {
            assert_eq!(PathPattern::parse(text), Err(error), "{text}");
        }
    }
}
