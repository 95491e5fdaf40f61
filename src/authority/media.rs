//! Media types: what a body may be, what an answer is called (Elasticsearch's vendored, versioned types).

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::failure::Failure;

/// The answer's `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`
    Json,
    /// `application/vnd.elasticsearch+json;compatible-with=N`
    Vendored(Version),
}

/// The versions of the API that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 8
    Eight,
    /// 9
    Nine,
}

impl Media {
    /// The header value.
    pub const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Vendored(Version::Eight) => {
                "application/vnd.elasticsearch+json;compatible-with=8"
            }
            Self::Vendored(Version::Nine) => "application/vnd.elasticsearch+json;compatible-with=9",
        })
    }
}

/// One parsed media type.
enum Parsed {
    Json,
    Vendored(Version),
    /// Vendored, with a version that isn't spoken.
    OtherVersion(String),
    /// Anything else.
    Other,
}

/// Reads `Accept` and `Content-Type`.
///
/// # Errors
/// 406 for a body that isn't JSON, 400 for versions that aren't spoken or disagree.
pub fn negotiate(headers: &HeaderMap, has_body: bool) -> Result<Media, Failure> {
    let text = |name| {
        let value: Option<&HeaderValue> = headers.get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let accept = text(header::ACCEPT);
    let content = text(header::CONTENT_TYPE);
    let accepted = accept.as_deref().map(parse_media);
    let sent = content.as_deref().map(parse_media);
    for (name, raw, parsed) in [
        ("Accept", &accept, &accepted),
        ("Content-Type", &content, &sent),
    ] {
        if let (Some(raw), Some(Parsed::OtherVersion(found))) = (raw, parsed) {
            return Err(Failure::media_type(format!(
                "{name} version must be either version 9 or 8, but found {found}. {name}={raw}"
            )));
        }
    }
    if has_body {
        check_content(content.as_deref(), sent.as_ref())?;
    }
    match (accepted, sent) {
        (Some(Parsed::Vendored(accept_version)), Some(Parsed::Vendored(content_version)))
            if accept_version != content_version =>
        {
            Err(Failure::media_type(format!(
                "A compatible version is required on both Content-Type and Accept headers if either one has requested a \
                 compatible version and the compatible versions must match. Accept={}, Content-Type={}",
                accept.unwrap_or_default(),
                content.unwrap_or_default()
            )))
        }
        (Some(Parsed::Vendored(version)), _) | (None, Some(Parsed::Vendored(version))) => {
            Ok(Media::Vendored(version))
        }
        _ => Ok(Media::Json),
    }
}

fn check_content(raw: Option<&str>, parsed: Option<&Parsed>) -> Result<(), Failure> {
    let why = match parsed {
        Some(Parsed::Json | Parsed::Vendored(_)) => return Ok(()),
        None => "Content-Type header is missing".to_owned(),
        Some(Parsed::Other | Parsed::OtherVersion(_)) => format!(
            "Content-Type header [{}] is not supported",
            raw.unwrap_or_default()
        ),
    };
    Err(Failure::dispatch(StatusCode::NOT_ACCEPTABLE, why))
}

fn parse_media(text: &str) -> Parsed {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    match name.as_str() {
        "application/json" => Parsed::Json,
        "application/vnd.elasticsearch+json" => {
            let version = parts.find_map(|part| {
                let (key, value) = part.split_once('=')?;
                key.trim()
                    .eq_ignore_ascii_case("compatible-with")
                    .then(|| value.trim().trim_matches('"').to_owned())
            });
            match version.as_deref() {
                Some("8") => Parsed::Vendored(Version::Eight),
                Some("9") => Parsed::Vendored(Version::Nine),
                Some(other) => Parsed::OtherVersion(other.to_owned()),
                None => Parsed::Json,
            }
        }
        _ => Parsed::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: Option<&'static str>, content: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let pairs = [(header::ACCEPT, accept), (header::CONTENT_TYPE, content)];
        for (name, value) in pairs {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        headers
    }

    const V8: &str = "application/vnd.elasticsearch+json; compatible-with=8";
    const V9: &str = "application/vnd.elasticsearch+json;compatible-with=9";

    #[test]
    fn a_vendored_type_is_echoed() {
        let media = negotiate(&headers(Some(V8), Some(V8)), true).unwrap();
        assert_eq!(media, Media::Vendored(Version::Eight));
        let media = negotiate(&headers(None, Some(V9)), true).unwrap();
        assert_eq!(media, Media::Vendored(Version::Nine));
        let media = negotiate(&headers(Some("text/html,*/*"), None), false).unwrap();
        assert_eq!(media, Media::Json);
    }

    #[test]
    fn what_is_not_json_is_not_acceptable() {
        for content in [None, Some("text/plain"), Some("application/yaml")] {
            let failure = negotiate(&headers(None, content), true).unwrap_err();
            assert_eq!(failure.status, StatusCode::NOT_ACCEPTABLE);
        }
        assert!(
            negotiate(
                &headers(None, Some("application/json; charset=UTF-8")),
                true
            )
            .is_ok()
        );
    }

    #[test]
    fn versions_must_be_spoken_and_agree() {
        let seven = "application/vnd.elasticsearch+json;compatible-with=7";
        assert!(negotiate(&headers(Some(seven), None), false).is_err());
        assert!(negotiate(&headers(Some(V8), Some(V9)), true).is_err());
    }
}
