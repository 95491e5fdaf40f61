//! What a token must say to be let in, and the user that is made of it.
//!
//! The reasons are for the log; the client learns none of them.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::token::Jwt;
use crate::authority::access::automaton::Automaton;
use crate::authority::realm::contract::Proven;
use crate::authority::realm::pattern::{PatternError, compile, first_group};
use crate::config::realms::{JwtAlgorithm, JwtClaim, JwtRealm as Settings, JwtTokenType};
use crate::model::clock::Now;

/// Why a claim's settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A pattern of subjects.
    #[error("allowed_subject_patterns: {0}")]
    Subjects(String),
    /// A regular expression.
    #[error("claim_patterns: {0}")]
    Pattern(#[from] PatternError),
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
    fn values(&self, jwt: &Jwt) -> Vec<String> {
        let taken = |value: &str| match &self.pattern {
            None => Some(value.to_owned()),
            Some(pattern) => first_group(pattern, value).map(str::to_owned),
        };
        let values = jwt.strings(&self.name).into_iter();
        values
            .filter_map(taken)
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// The one value; a claim with several says nothing certain.
    fn value(&self, jwt: &Jwt) -> Option<String> {
        let mut values = self.values(jwt).into_iter();
        values.next().filter(|_| values.next().is_none())
    }
}

/// The rules of one realm, compiled.
pub struct Rules {
    settings: Settings,
    subject_patterns: Option<Automaton>,
    principal: Source,
    groups: Option<Source>,
    name: Option<Source>,
    mail: Option<Source>,
    dn: Option<Source>,
}

impl Rules {
    /// Compiles them.
    ///
    /// # Errors
    /// See [`RulesError`].
    pub fn new(settings: &Settings) -> Result<Self, RulesError> {
        let patterns = settings.subject_patterns.iter().map(String::as_str);
        let subject_patterns = if settings.subject_patterns.is_empty() {
            None
        } else {
            let automaton = Automaton::of_patterns(patterns);
            Some(automaton.map_err(|error| RulesError::Subjects(error.to_string()))?)
        };
        let claims = &settings.claims;
        Ok(Self {
            subject_patterns,
            principal: Source::new(&claims.principal)?,
            groups: Source::optional(claims.groups.as_ref())?,
            name: Source::optional(claims.name.as_ref())?,
            mail: Source::optional(claims.mail.as_ref())?,
            dn: Source::optional(claims.dn.as_ref())?,
            settings: settings.clone(),
        })
    }

    /// Whether the token is from this realm's issuer at all.
    pub fn is_issuer(&self, jwt: &Jwt) -> bool {
        jwt.string("iss") == Some(&self.settings.issuer)
    }

    /// `issuer/audiences/subject/principal`, as refusals name the bearer; `None`: the token lacks one of them.
    pub fn principal_text(&self, jwt: &Jwt) -> Option<String> {
        let issuer = jwt.string("iss")?;
        let subject = jwt
            .string(self.claim("sub", jwt))
            .filter(|text| !text.trim().is_empty())?;
        let mut audiences = jwt.strings(self.claim("aud", jwt));
        audiences.sort_unstable();
        audiences.dedup();
        if audiences.is_empty() {
            return None;
        }
        let principal = self.principal.value(jwt)?;
        Some(format!(
            "{issuer}/{}/{subject}/{principal}",
            audiences.join(",")
        ))
    }

    /// The name under which an access token may have a registered claim.
    fn claim<'a>(&'a self, registered: &'a str, jwt: &Jwt) -> &'a str {
        let fallback = match registered {
            "sub" => self.settings.fallback_sub.as_deref(),
            _ => self.settings.fallback_aud.as_deref(),
        };
        // A registered claim that is there always counts, whatever it holds.
        let absent = jwt.claims.get(registered).is_none_or(Value::is_null);
        fallback.filter(|_| absent).unwrap_or(registered)
    }

    /// Checks everything but the signature.
    ///
    /// # Errors
    /// The reason, for the log.
    pub fn check(&self, jwt: &Jwt, now: Now) -> Result<JwtAlgorithm, String> {
        self.check_header(jwt)?;
        if !self.is_issuer(jwt) {
            return Err("claim [iss] is not the allowed issuer".to_owned());
        }
        self.check_subject(jwt)?;
        let audience = self.claim("aud", jwt);
        one_of(jwt, audience, &self.settings.audiences)?;
        let algorithm = JwtAlgorithm::named(&jwt.header.alg)
            .filter(|algorithm| self.settings.algorithms.contains(algorithm))
            .ok_or("header [alg] is not allowed")?;
        self.check_times(jwt, now)?;
        for (name, values) in &self.settings.required_claims {
            one_of(jwt, name, values)?;
        }
        Ok(algorithm)
    }

    fn check_header(&self, jwt: &Jwt) -> Result<(), String> {
        let access = self.settings.token_type == JwtTokenType::AccessToken;
        let typ = jwt.header.typ.as_deref().map(str::to_ascii_lowercase);
        let fits = match typ.as_deref() {
            None | Some("jwt") => true,
            Some("at+jwt") => access,
            Some(_) => false,
        };
        if !fits {
            return Err("header [typ] is not allowed".to_owned());
        }
        // RFC 7515 §4.1.11: what must be understood and is not, invalidates.
        match jwt.header.crit {
            None => Ok(()),
            Some(_) => Err("header [crit] names extensions that are not understood".to_owned()),
        }
    }

    fn check_subject(&self, jwt: &Jwt) -> Result<(), String> {
        let name = self.claim("sub", jwt);
        let subject = jwt
            .string(name)
            .ok_or_else(|| format!("claim [{name}] is missing"))?;
        let listed = self.settings.subjects.iter().any(|known| known == subject);
        let anybody = self.settings.subjects.is_empty() && self.subject_patterns.is_none();
        let matching = self
            .subject_patterns
            .as_ref()
            .is_some_and(|set| set.matches(subject));
        if listed || anybody || matching {
            return Ok(());
        }
        Err(format!("claim [{name}] is not an allowed subject"))
    }

    fn check_times(&self, jwt: &Jwt, now: Now) -> Result<(), String> {
        let skew = self.settings.clock_skew.as_secs_f64();
        let time = |name: &str| match jwt.claims.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|seconds| seconds.is_finite()) {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(format!("claim [{name}] is no time")),
            },
        };
        let missing = |name: &str| format!("claim [{name}] is missing");
        let now = now.unix.as_secs_f64();
        let expires = time("exp")?.ok_or_else(|| missing("exp"))?;
        if expires + skew <= now {
            return Err("the token has expired".to_owned());
        }
        let mut begins = vec![("iat", Some(time("iat")?.ok_or_else(|| missing("iat"))?))];
        begins.push(("nbf", time("nbf")?));
        if self.settings.token_type == JwtTokenType::IdToken {
            begins.push(("auth_time", time("auth_time")?));
        }
        for (name, at) in begins {
            if at.is_some_and(|at| at > now + skew) {
                return Err(format!("claim [{name}] is in the future"));
            }
        }
        Ok(())
    }

    /// The user that a verified token makes.
    ///
    /// # Errors
    /// The reason, for the log.
    pub fn user(&self, jwt: &Jwt) -> Result<Proven, String> {
        let username = self.principal.value(jwt);
        let username = username.filter(|name| !name.trim().is_empty());
        let one = |source: &Option<Source>| {
            let values = source.as_ref().map(|source| source.values(jwt));
            values.and_then(|values| values.into_iter().next())
        };
        Ok(Proven {
            username: username
                .ok_or_else(|| format!("claim [{}] gives no user name", self.principal.name))?,
            dn: one(&self.dn),
            groups: self
                .groups
                .as_ref()
                .map(|source| source.values(jwt))
                .unwrap_or_default(),
            full_name: one(&self.name),
            email: one(&self.mail),
            metadata: self.metadata(jwt),
        })
    }

    fn metadata(&self, jwt: &Jwt) -> Map<String, Value> {
        let mut metadata = Map::new();
        let token_type = self.settings.token_type.label();
        metadata.insert("jwt_token_type".to_owned(), json!(token_type));
        if !self.settings.populate_user_metadata {
            return metadata;
        }
        for (name, value) in &jwt.claims {
            // Times of the token itself are not the user's.
            if ["exp", "iat", "nbf"].contains(&name.as_str()) {
                continue;
            }
            let value = match (name.as_str(), value) {
                ("aud", Value::String(_)) => json!([value]),
                (_, value) => value.clone(),
            };
            if is_plain(&value) {
                metadata.insert(format!("jwt_claim_{name}"), value);
            }
        }
        metadata
    }
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

fn one_of(jwt: &Jwt, name: &str, allowed: &[String]) -> Result<(), String> {
    let values = jwt.strings(name);
    if values
        .iter()
        .any(|value| allowed.iter().any(|known| known == value))
    {
        return Ok(());
    }
    Err(format!("claim [{name}] has no allowed value"))
}
