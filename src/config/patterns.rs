//! The syntax of path patterns and of templates with holes.
//!
//! Only syntax: the gate compiles its own tries from the pattern, and fills and escapes the holes. What always holds of a
//! pattern that came through here: its literals are canonical, so a request's canonical path can be compared byte by byte.

use super::settings::{IdentityField, Template, TemplatePart};
use super::values::{Value, ValueError, shown};

/// A path pattern, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// The pattern as written.
    pub text: String,
    /// Its segments, in order; empty for `/`.
    pub segments: Vec<Segment>,
}

/// One segment of a [`PathPattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this, decoded.
    Literal(String),
    /// `{name}`: one segment, kept under the name.
    Capture(String),
    /// `*`: one segment.
    Any,
    /// `**`: any rest, also none. Always last.
    Rest,
}

impl PathPattern {
    /// The names it captures, in order.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Capture(name) => Some(name.as_str()),
            Segment::Literal(_) | Segment::Any | Segment::Rest => None,
        })
    }

    /// True when every path that `other` matches is matched by this one as well.
    pub fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.segments.iter();
        for ours in &self.segments {
            let fits = match (ours, theirs.next()) {
                (Segment::Rest, _) => return true,
                (Segment::Literal(ours), Some(Segment::Literal(theirs))) => ours == theirs,
                (Segment::Capture(_) | Segment::Any, Some(theirs)) => *theirs != Segment::Rest,
                (Segment::Literal(_), Some(_)) | (_, None) => false,
            };
            if !fits {
                return false;
            }
        }
        theirs.next().is_none()
    }
}

impl Value for PathPattern {
    const NAME: &'static str = "PathPattern";
    const ALLOWED: &'static str = "segments after `/`, each a literal, `{name}` or `*` (one segment), and `**` at the end (any rest, also none); literals are written decoded";
    const EXAMPLES: &'static [&'static str] = &["/", "/static/**", "/spaces/{space}/orders/**"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(ValueError::new("it does not begin with `/`"));
        };
        let mut segments = Vec::new();
        if !rest.is_empty() {
            for part in rest.split('/') {
                if segments.last() == Some(&Segment::Rest) {
                    return Err(ValueError::new("`**` stands before the end")
                        .with_hint("`*` stands for a single segment anywhere"));
                }
                let segment = parse_segment(part, rest)?;
                if segments.contains(&segment) && matches!(segment, Segment::Capture(_)) {
                    return Err(ValueError::new(format!(
                        "{} is captured twice",
                        shown(part)
                    )));
                }
                segments.push(segment);
            }
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }
}

fn parse_segment(part: &str, rest: &str) -> Result<Segment, ValueError> {
    match part {
        "" => {
            let error = ValueError::new("a segment is empty");
            return Err(if rest.ends_with('/') && !rest.contains("//") {
                error.with_hint("without the `/` at the end, or with `/**` for everything below")
            } else {
                error
            });
        }
        "*" => return Ok(Segment::Any),
        "**" => return Ok(Segment::Rest),
        "." | ".." => {
            return Err(ValueError::new(
                "dot segments never reach a route: paths are canonical",
            ));
        }
        _ => {}
    }
    if let Some(name) = part
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        return capture_name(name).map(|name| Segment::Capture(name.to_owned()));
    }
    for letter in part.chars() {
        let problem = match letter {
            '*' => "`*` stands for a whole segment, not a part of one",
            '{' | '}' => "`{name}` stands for a whole segment, not a part of one",
            '%' => "it is percent-encoded: write the character itself",
            '?' | '#' => "query and fragment take no part in matching",
            '\\' | ';' => "no request with `\\` or `;` in its path gets as far as a route",
            _ if letter.is_control() => "it holds a control character",
            _ => continue,
        };
        return Err(ValueError::new(problem));
    }
    Ok(Segment::Literal(part.to_owned()))
}

fn capture_name(name: &str) -> Result<&str, ValueError> {
    let first = name
        .bytes()
        .next()
        .is_some_and(|byte| byte == b'_' || byte.is_ascii_lowercase());
    let rest = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name == "identity" {
        return Err(ValueError::new(
            "`identity` is not free as a capture's name",
        ));
    }
    if !first || !name.bytes().all(rest) || name.len() > 64 {
        return Err(
            ValueError::new(format!("{} is no capture name", shown(name)))
                .with_hint("lower-case letters, digits and `_`, at most 64"),
        );
    }
    Ok(name)
}

/// Names after `identity.` that a template may hold.
pub const IDENTITY_FIELDS: [&str; 8] = [
    "username",
    "full_name",
    "email",
    "realm",
    "authentication_type",
    "api_key_id",
    "api_key_name",
    "metadata",
];

impl Value for Template {
    const NAME: &'static str = "Template";
    const ALLOWED: &'static str = "text with holes: `{capture}` from the route's path, `{identity.username}`, `{identity.realm}`, `{identity.metadata.NAME}` and so on; `{{` and `}}` stand for the braces themselves";
    const EXAMPLES: &'static [&'static str] = &["space:{space}", "logs-{identity.metadata.team}-*"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        parse_template(text)
    }
}

/// Parses text with holes; adjacent literals come out as one part.
///
/// # Errors
/// On an empty text, a brace that is not closed or doubled, a bad capture name or an unknown identity field. Whether the path
/// has such a capture is the caller's question.
pub fn parse_template(text: &str) -> Result<Template, ValueError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err(ValueError::new("a `}` closes nothing")
                .with_hint("`}}` stands for the brace itself"));
        }
        let Some((hole, after)) = rest.split_once('}') else {
            return Err(ValueError::new("a `{` is never closed")
                .with_hint("`{{` stands for the brace itself"));
        };
        if !literal.is_empty() {
            parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
        }
        parts.push(parse_hole(hole)?);
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(TemplatePart::Literal(literal));
    }
    if parts.is_empty() {
        return Err(ValueError::new("it is empty"));
    }
    Ok(Template(parts))
}

fn parse_hole(hole: &str) -> Result<TemplatePart, ValueError> {
    match hole.strip_prefix("identity.") {
        Some(field) => identity_field(field).map(TemplatePart::Identity),
        None => capture_name(hole).map(|name| TemplatePart::Capture(name.to_owned())),
    }
}

fn identity_field(name: &str) -> Result<IdentityField, ValueError> {
    Ok(match name {
        "username" => IdentityField::Username,
        "full_name" => IdentityField::FullName,
        "email" => IdentityField::Email,
        "realm" => IdentityField::Realm,
        "authentication_type" => IdentityField::AuthenticationType,
        "api_key_id" => IdentityField::ApiKeyId,
        "api_key_name" => IdentityField::ApiKeyName,
        "roles" => {
            return Err(
                ValueError::new("`identity.roles` is a list and fits into no name")
                    .with_hint("ask for roles with `roles: [..]`"),
            );
        }
        "metadata" | "metadata." => {
            return Err(ValueError::new("`identity.metadata` needs a field")
                .with_hint("`identity.metadata.NAME`"));
        }
        _ => match name.strip_prefix("metadata.") {
            Some(field) => IdentityField::Metadata(field.to_owned()),
            None => {
                return Err(
                    ValueError::new(format!("the identity has no field {}", shown(name)))
                        .with_hint(format!("one of {}", IDENTITY_FIELDS.join(", "))),
                );
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    #[test]
    fn a_path_pattern_is_read_segment_by_segment() {
        assert!(path("/").segments.is_empty());
        assert_eq!(
            path("/spaces/{space}/*/**").segments,
            [
                Segment::Literal("spaces".to_owned()),
                Segment::Capture("space".to_owned()),
                Segment::Any,
                Segment::Rest
            ]
        );
        assert_eq!(
            path("/a/{b}/{c}").captures().collect::<Vec<_>>(),
            ["b", "c"]
        );
        assert_eq!(
            path("/bücher").segments,
            [Segment::Literal("bücher".to_owned())]
        );
    }

    #[test]
    fn a_bad_path_pattern_tells_why() {
        for (text, problem) in [
            ("", "it does not begin with `/`"),
            ("a", "it does not begin with `/`"),
            ("/a/", "a segment is empty"),
            ("//a", "a segment is empty"),
            (
                "/a/../b",
                "dot segments never reach a route: paths are canonical",
            ),
            ("/**/b", "`**` stands before the end"),
            (
                "/*.css",
                "`*` stands for a whole segment, not a part of one",
            ),
            (
                "/v{n}",
                "`{name}` stands for a whole segment, not a part of one",
            ),
            ("/{a}/{a}", "`{a}` is captured twice"),
            ("/{A}", "`A` is no capture name"),
            ("/{}", "`` is no capture name"),
            ("/{identity}", "`identity` is not free as a capture's name"),
            (
                "/a%20b",
                "it is percent-encoded: write the character itself",
            ),
            ("/a?b", "query and fragment take no part in matching"),
            (
                "/a;b",
                "no request with `\\` or `;` in its path gets as far as a route",
            ),
            ("/a\nb", "it holds a control character"),
        ] {
            let error = PathPattern::parse(text).unwrap_err();
            assert_eq!(error.problem, problem, "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_another_only_when_it_takes_all_of_it() {
        for (ours, theirs, covers) in [
            ("/**", "/a/b", true),
            ("/a/**", "/a", true),
            ("/a/**", "/a/{b}/**", true),
            ("/a/*", "/a/b", true),
            ("/a/{x}", "/a/*", true),
            ("/a/b", "/a/b", true),
            ("/a", "/a/**", false),
            ("/a/*", "/a/**", false),
            ("/a/b", "/a/*", false),
            ("/a/*/c", "/a/b", false),
            ("/a/**", "/b", false),
            ("/", "/**", false),
            ("/**", "/", true),
        ] {
            assert_eq!(path(ours).covers(&path(theirs)), covers, "{ours} {theirs}");
        }
    }

    #[test]
    fn templates_have_holes_for_captures_and_identity_fields() {
        assert_eq!(
            parse_template("a-{space}-{identity.metadata.team.name}-{{x}}")
                .map(|template| template.0),
            Ok(vec![
                TemplatePart::Literal("a-".to_owned()),
                TemplatePart::Capture("space".to_owned()),
                TemplatePart::Literal("-".to_owned()),
                TemplatePart::Identity(IdentityField::Metadata("team.name".to_owned())),
                TemplatePart::Literal("-{x}".to_owned()),
            ])
        );
        assert!(parse_template("logs-*").unwrap().is_static());
    }

    #[test]
    fn a_bad_template_tells_why() {
        for (text, problem) in [
            ("", "it is empty"),
            ("{", "a `{` is never closed"),
            ("a}", "a `}` closes nothing"),
            ("{a b}", "`a b` is no capture name"),
            ("{identity.mail}", "the identity has no field `mail`"),
            (
                "{identity.roles}",
                "`identity.roles` is a list and fits into no name",
            ),
            ("{identity.metadata}", "`identity.metadata` needs a field"),
        ] {
            assert_eq!(parse_template(text).unwrap_err().problem, problem, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,60}") {
            let _ = parse_template(&text);
            let _ = PathPattern::parse(&text);
        }

        #[test]
        fn doubled_braces_come_out_as_written(text in "[a-z{}*:]{1,30}") {
            let written = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(parse_template(&written).map(|template| template.0), Ok(vec![TemplatePart::Literal(text)]));
        }
    }
}
