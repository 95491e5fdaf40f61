//! The user that claims make: what JWT and OpenID Connect realms have in common.
//!
//! Always true: the claims were verified by whoever asks; a value that doesn't match its pattern counts as absent.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::contract::Proven;
use super::pattern::{PatternError, compile, first_group};
use crate::config::realms::{JwtClaim, JwtClaims};

/// Claims by name.
pub type Claims = Map<String, Value>;

/// A claim that is a string with something in it.
pub fn string<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// A claim that is a string or a list of strings; empty when it is absent or anything else.
pub fn strings<'a>(claims: &'a Claims, name: &str) -> Vec<&'a str> {
    match claims.get(name) {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => {
            let strings: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            strings.unwrap_or_default()
        }
        Some(_) | None => Vec::new(),
    }
}

/// A claim and what is taken of it.
struct Source {
    name: String,
    pattern: Option<Regex>,
}

impl Source {
    fn new(claim: &JwtClaim) -> Result<Self, PatternError> {
        let pattern = claim.pattern.as_deref().map(compile).transpose()?;
        let name = claim.name.clone();
        Ok(Self { name, pattern })
    }

    fn optional(claim: Option<&JwtClaim>) -> Result<Option<Self>, PatternError> {
        claim.map(Self::new).transpose()
    }

    /// What the claim gives; values that don't match the pattern are left out.
    fn values(&self, claims: &Claims) -> Vec<String> {
        let taken = |value: &str| match &self.pattern {
            None => Some(value.to_owned()),
            Some(pattern) => first_group(pattern, value).map(str::to_owned),
        };
        let values = strings(claims, &self.name).into_iter();
        values
            .filter_map(taken)
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// The one value; a claim with several says nothing certain.
    fn value(&self, claims: &Claims) -> Option<String> {
        let mut values = self.values(claims).into_iter();
        values.next().filter(|_| values.next().is_none())
    }
}

/// How claims become a user, compiled.
pub struct UserClaims {
    principal: Source,
    groups: Option<Source>,
    name: Option<Source>,
    mail: Option<Source>,
    dn: Option<Source>,
}

impl UserClaims {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(claims: &JwtClaims) -> Result<Self, PatternError> {
        Ok(Self {
            principal: Source::new(&claims.principal)?,
            groups: Source::optional(claims.groups.as_ref())?,
            name: Source::optional(claims.name.as_ref())?,
            mail: Source::optional(claims.mail.as_ref())?,
            dn: Source::optional(claims.dn.as_ref())?,
        })
    }

    /// The user name that the claims give.
    pub fn principal(&self, claims: &Claims) -> Option<String> {
        self.principal.value(claims)
    }

    /// The user that verified claims make.
    ///
    /// # Errors
    /// The reason, for the log.
    pub fn user(&self, claims: &Claims, metadata: Claims) -> Result<Proven, String> {
        let username = self.principal(claims);
        let username = username.filter(|name| !name.trim().is_empty());
        let one = |source: &Option<Source>| {
            let values = source.as_ref().map(|source| source.values(claims));
            values.and_then(|values| values.into_iter().next())
        };
        Ok(Proven {
            username: username
                .ok_or_else(|| format!("claim [{}] gives no user name", self.principal.name))?,
            dn: one(&self.dn),
            groups: self
                .groups
                .as_ref()
                .map(|source| source.values(claims))
                .unwrap_or_default(),
            full_name: one(&self.name),
            email: one(&self.mail),
            metadata,
        })
    }
}

/// The claims that a user's metadata can hold, each under the name that `named` gives it.
pub fn metadata(claims: &Claims, named: impl Fn(&str) -> String) -> Claims {
    let mut metadata = Claims::new();
    for (name, value) in claims {
        // Times of the token itself are not the user's.
        if ["exp", "iat", "nbf"].contains(&name.as_str()) {
            continue;
        }
        let value = match (name.as_str(), value) {
            ("aud", Value::String(_)) => json!([value]),
            (_, value) => value.clone(),
        };
        if is_plain(&value) {
            metadata.insert(named(name), value);
        }
    }
    metadata
}

/// Strings, numbers, booleans, and lists of them.
fn is_plain(value: &Value) -> bool {
    let scalar =
        |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    match value {
        Value::Array(items) => items.iter().all(scalar),
        other => scalar(other),
    }
}
