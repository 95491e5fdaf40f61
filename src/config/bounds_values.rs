//! Texts that a preflight's answer is made of: origins and names of request headers.

use super::values::{Value, ValueError};

/// An origin in the form that browsers send (RFC 6454 §6.2), or `*` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(pub String);

/// A header's name in lower case, or `*` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader(pub String);

impl Value for Origin {
    const NAME: &'static str = "Origin";
    const ALLOWED: &'static str = "`https://host`, `https://host:port` or the same with `http`, in lower case and without a path; or `*`";
    const EXAMPLES: &'static [&'static str] = &["https://app.example.com", "http://localhost:3000"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| Some((*scheme, text.strip_prefix(scheme)?)));
        let Some((scheme, rest)) = rest else {
            return Err(ValueError::new("the scheme is neither `https` nor `http`"));
        };
        if let Some(host) = rest.strip_suffix('/') {
            return Err(
                ValueError::new("an origin has no path").with_hint(format!("`{scheme}{host}`"))
            );
        }
        let lower = rest.to_ascii_lowercase();
        if lower != rest {
            return Err(ValueError::new("browsers send it in lower case")
                .with_hint(format!("`{scheme}{lower}`")));
        }
        let default = if scheme == "https://" { ":443" } else { ":80" };
        if let Some(host) = rest.strip_suffix(default) {
            return Err(ValueError::new("browsers leave out the default port")
                .with_hint(format!("`{scheme}{host}`")));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let uri = text.parse::<http::Uri>().ok();
        let whole = uri.as_ref().and_then(http::Uri::authority);
        if !rest.bytes().all(is_plain) || whole.is_none_or(|authority| authority.as_str() != rest) {
            return Err(ValueError::new("it is no origin"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Value for RequestHeader {
    const NAME: &'static str = "RequestHeader";
    const ALLOWED: &'static str = "a header name; or `*`";
    const EXAMPLES: &'static [&'static str] = &["Content-Type", "X-Requested-With"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        http::HeaderName::from_bytes(text.as_bytes())
            .ok()
            .filter(|name| name.as_str().len() <= 64)
            .map(|name| Self(name.as_str().to_owned()))
            .ok_or_else(|| ValueError::new("it is no header name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        for right in [
            "*",
            "https://app.example.com",
            "http://localhost:3000",
            "https://[2001:db8::1]:8443",
        ] {
            assert_eq!(Origin::parse(right), Ok(Origin(right.to_owned())));
        }
        let hint = |text| Origin::parse(text).unwrap_err().hint;
        assert_eq!(hint("https://A.b").as_deref(), Some("`https://a.b`"));
        assert_eq!(hint("https://a.b/").as_deref(), Some("`https://a.b`"));
        assert_eq!(hint("https://a.b:443").as_deref(), Some("`https://a.b`"));
        for wrong in [
            "",
            "null",
            "app.example.com",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://a@b",
            "https://*.example.com",
            "https://a b",
        ] {
            assert!(Origin::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn header_names_come_out_in_lower_case() {
        assert_eq!(
            RequestHeader::parse("X-Requested-With"),
            Ok(RequestHeader("x-requested-with".to_owned()))
        );
        assert!(RequestHeader::parse("a b").is_err());
        assert!(RequestHeader::parse("").is_err());
    }
}
