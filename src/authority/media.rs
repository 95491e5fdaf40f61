//! Media types: what a body may be, what an answer is called (Elasticsearch's vendored, versioned types).
//!
//! Bodies are JSON, answers JSON or YAML. CBOR, Smile and YAML bodies, which Elasticsearch reads as well, are refused with 406.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::failure::Failure;

/// The answer's `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`
    Json,
    /// `application/vnd.elasticsearch+json;compatible-with=N`
    Vendored(Version),
    /// `application/yaml`
    Yaml,
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
            Self::Yaml => "application/yaml",
        })
    }

    /// By the parameter `format`; `None` for a name that isn't known, which Elasticsearch ignores.
    pub fn of_format(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "yaml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// By `Accept`; JSON when that says nothing or nothing known.
    pub fn wanted(headers: &HeaderMap) -> Self {
        let Ok(Some(accept)) = parsed(headers, &header::ACCEPT) else {
            return Self::Json;
        };
        match (accept.kind, accept.version.as_deref()) {
            (Kind::Yaml, _) => Self::Yaml,
            (Kind::VendoredJson, Some("8")) => Self::Vendored(Version::Eight),
            (Kind::VendoredJson, Some("9")) => Self::Vendored(Version::Nine),
            _ => Self::Json,
        }
    }
}

/// What a media type names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    VendoredJson,
    Yaml,
    Other,
}

/// One media type.
struct Parsed {
    raw: String,
    kind: Kind,
    /// `compatible-with`, digits.
    version: Option<String>,
}

/// Checks `Accept` and `Content-Type`.
///
/// # Errors
/// 400 `media_type_header_exception` for headers that are malformed, versions that aren't spoken or disagree; 406 for a body
/// that isn't JSON.
pub fn check(headers: &HeaderMap, has_body: bool) -> Result<(), Failure> {
    let malformed = |name: &'static str| {
        move |why: String| Failure::media_type(name, "illegal_argument_exception", why)
    };
    let accept = parsed(headers, &header::ACCEPT).map_err(malformed("Accept"))?;
    let content = parsed(headers, &header::CONTENT_TYPE).map_err(malformed("Content-Type"))?;
    check_versions(
        accept.as_ref(),
        content.as_ref().filter(|_| has_body),
        has_body,
    )
    .map_err(|why| Failure::media_type("Content-Type, Accept", "status_exception", why))?;
    let why = match content {
        _ if !has_body => return Ok(()),
        Some(content) => match content.kind {
            Kind::Json | Kind::VendoredJson => return Ok(()),
            Kind::Yaml | Kind::Other => {
                format!("Content-Type header [{}] is not supported", content.raw)
            }
        },
        None => "Content-Type header is missing".to_owned(),
    };
    Err(Failure::dispatch(StatusCode::NOT_ACCEPTABLE, why))
}

fn check_versions(
    accept: Option<&Parsed>,
    content: Option<&Parsed>,
    has_body: bool,
) -> Result<(), String> {
    let version = |parsed: Option<&Parsed>| parsed.and_then(|parsed| parsed.version.clone());
    let raw = |parsed: Option<&Parsed>| parsed.map_or("null", |parsed| &parsed.raw).to_owned();
    let (accepts, sends) = (version(accept), version(content));
    for (name, found, header) in [
        ("Accept", &accepts, accept),
        ("Content-Type", &sends, content),
    ] {
        if let Some(found) = found.as_deref().filter(|found| !["8", "9"].contains(found)) {
            return Err(format!(
                "{name} version must be either version 9 or 8, but found {found}. {name}={}",
                raw(header)
            ));
        }
    }
    if !has_body {
        return Ok(());
    }
    let shown = format!("Accept={}, Content-Type={}", raw(accept), raw(content));
    let wanted = "A compatible version is required on both Content-Type and Accept headers if either one has requested a compatible version";
    // A header without a version asks for the newest.
    if accepts.as_deref().unwrap_or("9") != sends.as_deref().unwrap_or("9") {
        return Err(format!(
            "{wanted} and the compatible versions must match. {shown}"
        ));
    }
    if accepts.is_some() != sends.is_some() {
        return Err(format!("{wanted}. {shown}"));
    }
    Ok(())
}

/// The one value of a header. `*/*` and lists ask for nothing in particular, so they are as good as absent.
fn parsed(headers: &HeaderMap, name: &header::HeaderName) -> Result<Option<Parsed>, String> {
    let shown = if name == header::ACCEPT {
        "Accept"
    } else {
        "Content-Type"
    };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(format!(
            "Incorrect header [{shown}]. Only one value should be provided"
        ));
    }
    let raw = String::from_utf8_lossy(value.as_bytes()).into_owned();
    if raw.trim().is_empty() {
        return Err(format!("Header [{shown}] cannot be empty."));
    }
    if raw.contains(',') || raw.trim() == "*/*" {
        return Ok(None);
    }
    parse_media(raw).map(Some)
}

fn parse_media(raw: String) -> Result<Parsed, String> {
    let mut parts = raw.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_type = name
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    if !is_type {
        return Err(format!("invalid media-type [{raw}]"));
    }
    let mut version = None;
    let mut foreign = false;
    for part in parts.filter(|part| !part.is_empty()) {
        let Some((key, value)) = part
            .split_once('=')
            .filter(|(key, value)| is_token(key) && is_token(value))
        else {
            return Err(format!("invalid parameters for header [{raw}]"));
        };
        let digits = value.bytes().all(|byte| byte.is_ascii_digit()) && value.len() < 4;
        match key.to_ascii_lowercase().as_str() {
            "compatible-with" if digits => version = Some(value.to_owned()),
            "charset" if value.eq_ignore_ascii_case("utf-8") => {}
            _ => foreign = true,
        }
    }
    let kind = match name.as_str() {
        _ if foreign => Kind::Other,
        "application/json" | "application/x-ndjson" | "application/*" if version.is_none() => {
            Kind::Json
        }
        "application/vnd.elasticsearch+json" | "application/vnd.elasticsearch+x-ndjson" => {
            Kind::VendoredJson
        }
        "application/yaml" | "application/vnd.elasticsearch+yaml" => Kind::Yaml,
        _ => Kind::Other,
    };
    Ok(Parsed { raw, kind, version })
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
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
    const JSON: &str = "application/json";

    fn cause(accept: Option<&'static str>, content: Option<&'static str>, body: bool) -> String {
        let failure = check(&headers(accept, content), body).unwrap_err();
        assert_eq!(failure.cause().0, "media_type_header_exception");
        let body = failure.body();
        let reason = body["error"]["caused_by"]["reason"].as_str();
        reason.unwrap().to_owned()
    }

    #[test]
    fn the_accepted_type_is_echoed() {
        for (accept, media) in [
            (Some(V8), Media::Vendored(Version::Eight)),
            (Some(V9), Media::Vendored(Version::Nine)),
            (Some("application/yaml"), Media::Yaml),
            (Some("text/html,*/*"), Media::Json),
            (Some("text/html"), Media::Json),
            (None, Media::Json),
        ] {
            assert_eq!(
                Media::wanted(&headers(accept, Some(V9))),
                media,
                "{accept:?}"
            );
        }
    }

    #[test]
    fn what_is_not_json_is_not_acceptable() {
        for content in [
            None,
            Some("text/plain"),
            Some("application/yaml"),
            Some("application/json; charset=latin1"),
            Some("application/json; x=y"),
        ] {
            let failure = check(&headers(None, content), true).unwrap_err();
            assert_eq!(failure.status, StatusCode::NOT_ACCEPTABLE, "{content:?}");
        }
        for content in [
            "application/json; charset=UTF-8",
            "application/x-ndjson",
            JSON,
        ] {
            assert!(check(&headers(None, Some(content)), true).is_ok());
        }
    }

    #[test]
    fn versions_must_be_spoken() {
        const V7: &str = "application/vnd.elasticsearch+json;compatible-with=7";
        assert_eq!(
            cause(Some(V7), None, false),
            format!("Accept version must be either version 9 or 8, but found 7. Accept={V7}")
        );
        assert!(cause(Some(V9), Some(V7), true).starts_with("Content-Type version must be"));
        // Without a body, what it would be is nobody's business.
        assert!(check(&headers(Some(V9), Some(V7)), false).is_ok());
    }

    #[test]
    fn with_a_body_both_headers_have_the_same_version_or_none() {
        for version in [V8, V9] {
            assert!(check(&headers(Some(version), Some(version)), true).is_ok());
        }
        assert!(check(&headers(Some("*/*"), Some(JSON)), true).is_ok());
        let mismatch = cause(Some(V8), Some(V9), true);
        assert!(mismatch.ends_with(&format!(
            "and the compatible versions must match. Accept={V8}, Content-Type={V9}"
        )));
        let one_sided = cause(Some(V9), Some(JSON), true);
        assert!(one_sided.contains("requested a compatible version. Accept="));
        assert!(cause(None, Some(V9), true).contains("Accept=null"));
    }

    #[test]
    fn malformed_headers_are_named() {
        assert_eq!(
            cause(Some("json"), None, false),
            "invalid media-type [json]"
        );
        assert_eq!(
            cause(None, Some("application/json;a=b=c"), false),
            "invalid parameters for header [application/json;a=b=c]"
        );
        assert_eq!(
            cause(Some(" "), None, false),
            "Header [Accept] cannot be empty."
        );
        let mut twice = headers(None, Some(JSON));
        twice.append(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        assert!(check(&twice, true).is_err());
    }
}
