//! XML from outside, read once: what is refused before it is parsed, and how a tree is asked.
//!
//! Always true: no `DOCTYPE`, no processing instruction, bounded in size, depth, elements and attributes, because the parser's
//! check for doubled attributes costs their square. A text is all the text of its element, so that a comment in the middle of
//! a name cuts nothing off.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uppsala::{Document, NodeId, NodeKind, Parser};

use super::refusal::{Refusal, shown};

/// Bytes of a message at most, decoded.
pub const MAX_MESSAGE: usize = 256 * 1024;
/// Bytes of one start tag at most.
const MAX_TAG: usize = 8 * 1024;
/// Attributes of one start tag at most, namespaces included.
const MAX_ATTRIBUTES: usize = 64;
/// Elements of a message at most.
const MAX_ELEMENTS: usize = 8 * 1024;
/// How deep elements may be nested.
const MAX_DEPTH: u32 = 64;

/// Parses a message.
///
/// # Errors
/// [`Refusal::Malformed`]
pub fn parse(text: &str) -> Result<Document<'_>, Refusal> {
    if text.len() > MAX_MESSAGE {
        return Err(Refusal::Malformed("it is too long"));
    }
    scan(text.as_bytes(), MAX_ELEMENTS)?;
    parse_scanned(text)
}

/// Parses a document that the operator chose, which may be longer: `limit` elements.
///
/// # Errors
/// [`Refusal::Malformed`]
pub fn parse_trusted(text: &str, limit: usize) -> Result<Document<'_>, Refusal> {
    scan(text.as_bytes(), limit)?;
    parse_scanned(text)
}

fn parse_scanned(text: &str) -> Result<Document<'_>, Refusal> {
    let parser = Parser::new()
        .with_max_depth(MAX_DEPTH)
        .with_forbid_dtd(true);
    let document = parser.parse(text);
    document.map_err(|_| Refusal::Malformed("it is not well-formed XML"))
}

/// Goes over the text once, without a tree, and refuses what would be dear to parse or has no place in SAML.
fn scan(text: &[u8], limit: usize) -> Result<(), Refusal> {
    let mut rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if rest.starts_with(b"<?xml ") {
        rest = after(rest, b"?>").ok_or(UNFINISHED)?;
    }
    let mut elements = 0_usize;
    while let Some(open) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[open..];
        rest = match rest.get(1) {
            Some(b'!') if rest.starts_with(b"<!--") => after(&rest[4..], b"-->"),
            Some(b'!') if rest.starts_with(b"<![CDATA[") => after(rest, b"]]>"),
            Some(b'!') => return Err(Refusal::Malformed("it has a document type")),
            Some(b'?') => return Err(Refusal::Malformed("it has a processing instruction")),
            _ => {
                elements += 1;
                if elements > limit.saturating_mul(2) {
                    return Err(Refusal::Malformed("it has too many elements"));
                }
                Some(after_tag(rest)?)
            }
        }
        .ok_or(UNFINISHED)?;
    }
    Ok(())
}

const UNFINISHED: Refusal = Refusal::Malformed("it ends too early");

fn after<'t>(text: &'t [u8], mark: &[u8]) -> Option<&'t [u8]> {
    let at = text.windows(mark.len()).position(|part| part == mark)?;
    text.get(at + mark.len()..)
}

/// What follows a tag, which must be of sane size.
fn after_tag(text: &[u8]) -> Result<&[u8], Refusal> {
    let mut quote = None;
    let mut attributes = 0;
    for (at, byte) in text.iter().enumerate().take(MAX_TAG) {
        match (quote, byte) {
            (Some(open), _) if open == *byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => {
                quote = Some(*byte);
                attributes += 1;
                if attributes > MAX_ATTRIBUTES {
                    return Err(Refusal::Malformed("a tag has too many attributes"));
                }
            }
            (None, b'>') => return Ok(&text[at + 1..]),
            (None, _) => {}
        }
    }
    if text.len() > MAX_TAG {
        return Err(Refusal::Malformed("a tag is too long"));
    }
    Err(UNFINISHED)
}

/// Whether a node is this element.
pub fn is(document: &Document<'_>, node: NodeId, namespace: &str, name: &str) -> bool {
    document
        .element(node)
        .is_some_and(|element| element.matches_name_ns(namespace, name))
}

/// The direct children that are this element.
pub fn children(
    document: &Document<'_>,
    parent: NodeId,
    namespace: &str,
    name: &str,
) -> Vec<NodeId> {
    document.child_elements_by_name_ns(parent, namespace, name)
}

/// The direct child that is this element, if there is one.
///
/// # Errors
/// [`Refusal::Shape`] when there are several.
pub fn optional(
    document: &Document<'_>,
    parent: NodeId,
    namespace: &str,
    name: &str,
) -> Result<Option<NodeId>, Refusal> {
    match children(document, parent, namespace, name).as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => Err(Refusal::shape(format!("there are several {name}"))),
    }
}

/// The direct child that is this element.
///
/// # Errors
/// [`Refusal::Shape`] when there is none, or several.
pub fn one(
    document: &Document<'_>,
    parent: NodeId,
    namespace: &str,
    name: &str,
) -> Result<NodeId, Refusal> {
    optional(document, parent, namespace, name)?
        .ok_or_else(|| Refusal::shape(format!("there is no {name}")))
}

/// An attribute without a namespace.
pub fn attribute<'d>(document: &'d Document<'_>, node: NodeId, name: &str) -> Option<&'d str> {
    let attributes = &document.element(node)?.attributes;
    let plain = attributes
        .iter()
        .find(|at| at.name.namespace_uri.is_none() && at.name.local_name == name);
    plain.map(|at| at.value.as_ref())
}

/// An attribute that is there and not blank.
pub fn filled<'d>(document: &'d Document<'_>, node: NodeId, name: &str) -> Option<&'d str> {
    attribute(document, node, name).filter(|text| !text.trim().is_empty())
}

/// The text of an element that holds nothing but text (and comments), blanks at both ends left out.
///
/// # Errors
/// [`Refusal::Shape`] when it holds elements.
pub fn text(document: &Document<'_>, node: NodeId) -> Result<String, Refusal> {
    let mut text = String::new();
    for child in document.children_iter(node) {
        match document.node_kind(child) {
            Some(NodeKind::Text(part) | NodeKind::CData(part)) => text.push_str(part),
            Some(NodeKind::Comment(_)) => {}
            _ => return Err(Refusal::shape("there is an element where a text should be")),
        }
    }
    Ok(text.trim().to_owned())
}

/// A point in time (`xs:dateTime` with a zone), in seconds since the Unix epoch.
///
/// # Errors
/// [`Refusal::Time`]
pub fn instant(text: &str) -> Result<i64, Refusal> {
    OffsetDateTime::parse(text.trim(), &Rfc3339)
        .map(OffsetDateTime::unix_timestamp)
        .map_err(|_| Refusal::Time {
            what: "there is something else where a time should be",
            limit: shown(text),
        })
}

/// Puts a text into XML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(letter))),
            // XML 1.0 §2.2 has no way of writing these.
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
    }
    out
}
