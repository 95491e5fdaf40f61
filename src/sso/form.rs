//! What a browser sends in a query or a form: pairs, bounded, and unambiguous where it matters.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::pages::reason::Reason;
use super::refusal::Refusal;
use crate::net::http::{Body, CollectError};

/// Fields at most.
const MAX_FIELDS: usize = 64;
/// Time for a form to arrive whole.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pairs in order.
#[derive(Clone, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded` text; fields beyond the bound are not looked at.
    pub fn parse(text: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(text)
                .take(MAX_FIELDS)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// Reads a posted form of `limit` bytes at most.
    ///
    /// # Errors
    /// [`Refusal`] when it is no form, too long, or does not arrive.
    pub async fn posted(headers: &HeaderMap, body: Body, limit: usize) -> Result<Self, Refusal> {
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind
            .and_then(|kind| kind.split(';').next())
            .unwrap_or_default();
        if !kind
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            return Err(Refusal::new(Reason::RequestMalformed).because("not a form"));
        }
        match tokio::time::timeout(PATIENCE, body.collect_up_to(limit)).await {
            Ok(Ok(bytes)) => Ok(Self::parse(&bytes)),
            Ok(Err(CollectError::TooLarge { limit })) => Err(Refusal::new(Reason::RequestTooLarge)
                .because(format!("a form of more than {limit} bytes"))),
            Ok(Err(CollectError::Broken(_))) => {
                Err(Refusal::new(Reason::RequestMalformed).because("the form broke off"))
            }
            Err(_elapsed) => {
                Err(Refusal::new(Reason::RequestMalformed).because("the form did not arrive"))
            }
        }
    }

    /// The first value of a field that need not be trusted.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a field that may stand once. An empty one counts as absent.
    ///
    /// # Errors
    /// `malformed` when it stands twice: whoever reads the other one would read another message.
    pub fn once(&self, name: &str, malformed: Reason) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(field, _)| field == name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Refusal::new(malformed).because(format!("`{name}` stands twice"))),
            (Some((_, value)), None) if !value.is_empty() => Ok(Some(value)),
            (Some(_) | None, None) => Ok(None),
        }
    }

    /// Whether a field is there, whatever its value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be passwords or tokens.
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static(kind))])
    }

    #[tokio::test]
    async fn a_form_is_read_up_to_its_bound() {
        let kind = headers("application/x-www-form-urlencoded; charset=UTF-8");
        let form = Form::posted(&kind, Body::full("a=1&b=%2Fx+y"), 100)
            .await
            .unwrap();
        assert_eq!(
            (form.first("a"), form.first("b")),
            (Some("1"), Some("/x y"))
        );
        let long = Form::posted(&kind, Body::full("a".repeat(101)), 100).await;
        assert_eq!(long.unwrap_err().reason, Reason::RequestTooLarge);
        let json = Form::posted(&headers("text/plain"), Body::full("a=1"), 100).await;
        assert_eq!(json.unwrap_err().reason, Reason::RequestMalformed);
    }

    #[test]
    fn a_field_that_counts_stands_once() {
        let form = Form::parse(b"code=1&code=2&state=&x=1");
        assert!(form.once("code", Reason::OidcResponseMalformed).is_err());
        assert_eq!(
            form.once("state", Reason::OidcResponseMalformed).unwrap(),
            None
        );
        assert_eq!(
            form.once("x", Reason::OidcResponseMalformed).unwrap(),
            Some("1")
        );
    }

    #[test]
    fn no_value_is_printed() {
        assert!(!format!("{:?}", Form::parse(b"password=hunter2")).contains("hunter2"));
    }
}
