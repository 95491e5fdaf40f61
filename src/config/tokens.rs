//! Texts that name something inside a token or a query.

use super::values::{Value, ValueError};

/// An issuer or an audience: the exact text of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimText(pub String);

/// The name of a query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryParameter(pub String);

impl Value for ClaimText {
    const NAME: &'static str = "ClaimText";
    const ALLOWED: &'static str =
        "the exact text of the claim, 1 to 512 bytes without control characters";
    const EXAMPLES: &'static [&'static str] = &["https://id.example.com/", "orders-api"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::new("it is empty"));
        }
        if text.len() > 512 {
            return Err(ValueError::new("it is too long"));
        }
        if text.contains(char::is_control) {
            return Err(ValueError::new("it holds a control character"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Value for QueryParameter {
    const NAME: &'static str = "QueryParameter";
    const ALLOWED: &'static str = "1 to 64 letters, digits, `.`, `_` or `-`";
    const EXAMPLES: &'static [&'static str] = &["api_key", "token"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.len() > 64 {
            return Err(ValueError::new("it is empty or too long"));
        }
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        match text.chars().find(|letter| !fits(*letter)) {
            Some(letter) => Err(ValueError::new(format!("it holds {letter:?}"))),
            None => Ok(Self(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_need_escaping_are_no_query_parameters() {
        assert!(QueryParameter::parse("api_key").is_ok());
        for wrong in ["", "a b", "a&b", "ä", "a=b", "a%20"] {
            assert!(QueryParameter::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_claim_is_taken_as_it_is() {
        assert_eq!(ClaimText::parse(" x/").unwrap().0, " x/");
        assert!(ClaimText::parse("").is_err() && ClaimText::parse("a\nb").is_err());
    }
}
