//! The files that pages load: built in, or the operator's.
//!
//! Each is served under two names. `style.1f3a….css`, which pages use, changes with the content and is kept for a year;
//! `style.css`, for frontends that embed `session.js` and for pictures named in a stylesheet, is asked for again after five minutes.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::config::theme::is_plain;
use crate::net::http::{Body, Response};
use crate::net::page;

/// File endings that are served, with their type; text files in UTF-8.
pub const KINDS: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("gif", "image/gif"),
    ("ico", "image/x-icon"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
];

/// Kept for good: another content has another name.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Kept for a while, then asked for again by its tag.
const FOR_A_WHILE: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// An SVG opened as a page of its own runs nothing.
const INERT: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// Every file by its plain name.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    by_name: BTreeMap<String, Asset>,
}

#[derive(Clone, Debug)]
struct Asset {
    content: Bytes,
    kind: &'static str,
    /// The name that holds the hash of the content.
    lasting: String,
    tag: HeaderValue,
}

impl Assets {
    /// The built-in ones. `texts` is the JSON that `session.js` speaks from, by language.
    pub fn built_in(texts: &str) -> Self {
        let mut assets = Self::default();
        let style = format!("{}{}", page::STYLE, include_str!("assets/style.css"));
        assets.add("style.css", style);
        assets.add("page.js", include_str!("assets/page.js"));
        let session = include_str!("assets/session.js").replace("{/*texts*/}", texts);
        assets.add("session.js", session);
        assets.add("icon.svg", include_str!("assets/icon.svg"));
        assets
    }

    /// Adds a file, or replaces the one of that name. Without effect where the name is not plain or its ending not in [`KINDS`].
    pub fn add(&mut self, name: &str, content: impl Into<Bytes>) {
        let content = content.into();
        if !is_plain(name) {
            return;
        }
        let Some((stem, ending)) = name.rsplit_once('.') else {
            return;
        };
        let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == ending) else {
            return;
        };
        let hash = digest::digest(&digest::SHA256, &content);
        let hash: String = hash.as_ref()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let Ok(tag) = HeaderValue::try_from(format!("\"{hash}\"")) else {
            return;
        };
        let asset = Asset {
            content,
            kind,
            lasting: format!("{stem}.{hash}.{ending}"),
            tag,
        };
        self.by_name.insert(name.to_owned(), asset);
    }

    /// The name with the content's hash in it.
    pub fn lasting_name(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(|asset| asset.lasting.as_str())
    }

    /// Every plain name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The file under either of its names; 304 without a body when the browser has it already. `None`: there is no such file.
    pub fn serve(&self, name: &str, headers: &HeaderMap) -> Option<Response> {
        let (asset, keep) = match self.by_name.get(name) {
            Some(asset) => (asset, FOR_A_WHILE),
            None => {
                let asset = self.by_name.values().find(|asset| asset.lasting == name)?;
                (asset, FOR_GOOD)
            }
        };
        let known = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .any(|tag| tag.trim().trim_start_matches("W/").as_bytes() == asset.tag.as_bytes());
        let mut response = Response::new(if known {
            Body::Empty
        } else {
            Body::full(asset.content.clone())
        });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
        headers.insert(CACHE_CONTROL, keep);
        headers.insert(ETAG, asset.tag.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        );
        if asset.kind == "image/svg+xml" {
            headers.insert(CONTENT_SECURITY_POLICY, INERT);
        }
        Some(response)
    }
}
