//! What a token must say to be let in, and the user that is made of it.
//!
//! The reasons are for the log; the client learns none of them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::token::Jwt;
use crate::authority::access::automaton::Automaton;
use crate::authority::realm::contract::Proven;
use crate::authority::realm::pattern::PatternError;
use crate::authority::realm::user_claims::{self, UserClaims};
use crate::config::realms::{JwtAlgorithm, JwtRealm as Settings, JwtTokenType};
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

/// The rules of one realm, compiled.
pub struct Rules {
    settings: Settings,
    subject_patterns: Option<Automaton>,
    user: UserClaims,
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
        Ok(Self {
            subject_patterns,
            user: UserClaims::new(&settings.claims)?,
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
        let principal = self.user.principal(&jwt.claims)?;
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
        let access = self.settings.token_type == JwtTokenType::AccessToken;
        check_header(jwt, access)?;
        if !self.is_issuer(jwt) {
            return Err("claim [iss] is not the allowed issuer".to_owned());
        }
        self.check_subject(jwt)?;
        let audience = self.claim("aud", jwt);
        one_of(jwt, audience, &self.settings.audiences)?;
        let algorithm = JwtAlgorithm::named(&jwt.header.alg)
            .filter(|algorithm| self.settings.algorithms.contains(algorithm))
            .ok_or("header [alg] is not allowed")?;
        let begins: &[&str] = if access { &[] } else { &["auth_time"] };
        check_times(jwt, begins, self.settings.clock_skew, now)?;
        for (name, values) in &self.settings.required_claims {
            one_of(jwt, name, values)?;
        }
        Ok(algorithm)
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

    /// The user that a verified token makes.
    ///
    /// # Errors
    /// The reason, for the log.
    pub fn user(&self, jwt: &Jwt) -> Result<Proven, String> {
        let mut metadata = Map::new();
        let token_type = self.settings.token_type.label();
        metadata.insert("jwt_token_type".to_owned(), json!(token_type));
        if self.settings.populate_user_metadata {
            let named = |name: &str| format!("jwt_claim_{name}");
            metadata.extend(user_claims::metadata(&jwt.claims, named));
        }
        self.user.user(&jwt.claims, metadata)
    }
}

/// Whether this side understands all that the header asks for. `access`: it may be an access token.
///
/// # Errors
/// The reason, for the log.
pub fn check_header(jwt: &Jwt, access: bool) -> Result<(), String> {
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

/// Whether the token counts now: `exp` and `iat` are there, and `nbf` and these `begins` are past where they are.
///
/// # Errors
/// The reason, for the log.
pub fn check_times(jwt: &Jwt, begins: &[&str], skew: Duration, now: Now) -> Result<(), String> {
    let skew = skew.as_secs_f64();
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
    time("iat")?.ok_or_else(|| missing("iat"))?;
    for name in ["iat", "nbf"].iter().chain(begins) {
        if time(name)?.is_some_and(|at| at > now + skew) {
            return Err(format!("claim [{name}] is in the future"));
        }
    }
    Ok(())
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
