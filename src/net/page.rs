//! What all pages that Sidegate itself makes have in common: one stylesheet, and headers that let nothing foreign in.
//!
//! The refusal page stands alone and carries the stylesheet inside, allowed by its hash; the pages of single sign-on serve it as
//! the first part of their own. Always true: no page loads anything from another origin, runs no inline script, is never framed
//! and never stored.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

/// Colours, type and the card in the middle; light and dark.
pub const STYLE: &str = include_str!("page.css");

/// Nothing but the stylesheet inside the page (CSP 3 §2.3.1, hash source).
static ALONE: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ))
    .unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// A page with assets of its own origin, whose forms stay there.
const WITH_ASSETS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// Where a page's style and script come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// From nowhere: [`STYLE`] stands in the page, between `<style>` and `</style>`.
    Alone,
    /// From files of the page's own origin.
    OwnOrigin,
}

/// Sets what every page carries. The referrer stays inside the origin rather than away altogether, because browsers send
/// `Origin: null` with a form on a page that has `no-referrer` (Fetch §3.2).
pub fn guard(headers: &mut HeaderMap, sources: Sources) {
    let policy = match sources {
        Sources::Alone => ALONE.clone(),
        Sources::OwnOrigin => WITH_ASSETS,
    };
    let fixed: [(HeaderName, &'static str); 6] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Makes a text one that stands between tags or within quotes without ending either.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
