//! A JWT realm: what belongs together, and that there is a key for what is allowed.

use std::collections::BTreeMap;

use crate::config::check::realms::{cache, texts};
use crate::config::check::report::{Pem, Report, Zero};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_realms as file;
use crate::config::realm_values::{CapturePattern, JwksPath, SubjectPattern, Text};
use crate::config::realms::{
    JwtAlgorithm, JwtClaim, JwtClaims, JwtRealm, JwtTokenType, PublicKeys, SecretKeys,
};
use crate::config::values::Written;
use crate::model::secret::Secret;

/// Claims that have settings of their own or must never be loosened.
const REGISTERED: [&str; 6] = ["iss", "sub", "aud", "exp", "nbf", "iat"];

/// Checks one JWT realm.
pub(super) fn jwt_realm(
    report: &mut Report<'_>,
    file: &file::JwtRealm,
    at: &At<'_>,
) -> Option<JwtRealm> {
    let token_type = match file.token_type {
        None | Some(file::JwtTokenType::IdToken) => JwtTokenType::IdToken,
        Some(file::JwtTokenType::AccessToken) => JwtTokenType::AccessToken,
    };
    let issuer = report.value(file.allowed_issuer.as_ref(), &at.key("allowed_issuer"));
    let audiences = file.allowed_audiences.as_deref();
    let audiences = texts(report, audiences, &at.key("allowed_audiences"));
    let subjects = file.allowed_subjects.as_deref();
    let subjects = texts(report, subjects, &at.key("allowed_subjects"));
    let patterns = file.allowed_subject_patterns.as_deref().unwrap_or_default();
    let patterns = report.list(patterns, &at.key("allowed_subject_patterns"));
    let algorithms = algorithms(file);
    let clock_skew = report.duration(
        file.allowed_clock_skew.as_ref(),
        default::JWT_CLOCK_SKEW,
        Zero::Allowed,
        &at.key("allowed_clock_skew"),
    );
    let public_keys = public_keys(report, file, at);
    let secret_keys = secret_keys(report, file, &algorithms, at);
    refuse_keyless(report, file, &algorithms, at);
    let claims = claims(
        report,
        file.claims.as_ref(),
        file.claim_patterns.as_ref(),
        at,
    );
    let fallback = fallback_claims(report, file, token_type, at);
    let required_claims = required_claims(report, file, &at.key("required_claims"));
    let client_secret = client_secret(report, file, &at.key("client_authentication"));
    let links = file.authorization_realms.as_deref();
    let links = texts(report, links, &at.key("authorization_realms"));
    let cache = jwt_cache(report, file, at);
    let (subjects, patterns) = (subjects?, patterns?);
    if token_type == JwtTokenType::AccessToken && subjects.is_empty() && patterns.is_empty() {
        report
            .fault(at, "an access token says little about whom it was made for")
            .hint("`allowed_subjects` or `allowed_subject_patterns` must name them");
        return None;
    }
    let (fallback_sub, fallback_aud) = fallback?;
    Some(JwtRealm {
        token_type,
        issuer: issuer?.0,
        audiences: audiences?,
        subjects,
        subject_patterns: patterns
            .into_iter()
            .map(|SubjectPattern(text)| text)
            .collect(),
        algorithms,
        clock_skew: clock_skew?,
        public_keys: public_keys?,
        secret_keys: secret_keys?,
        claims: claims?,
        fallback_sub,
        fallback_aud,
        required_claims: required_claims?,
        client_secret: client_secret?,
        populate_user_metadata: file
            .populate_user_metadata
            .unwrap_or(default::JWT_POPULATE_USER_METADATA),
        authorization_realms: links?,
        cache: cache?,
    })
}

/// An algorithm as meant.
pub(super) const fn algorithm(written: file::JwtAlgorithm) -> JwtAlgorithm {
    use file::JwtAlgorithm as Written;
    match written {
        Written::HS256 => JwtAlgorithm::HS256,
        Written::HS384 => JwtAlgorithm::HS384,
        Written::HS512 => JwtAlgorithm::HS512,
        Written::RS256 => JwtAlgorithm::RS256,
        Written::RS384 => JwtAlgorithm::RS384,
        Written::RS512 => JwtAlgorithm::RS512,
        Written::PS256 => JwtAlgorithm::PS256,
        Written::PS384 => JwtAlgorithm::PS384,
        Written::PS512 => JwtAlgorithm::PS512,
        Written::ES256 => JwtAlgorithm::ES256,
        Written::ES384 => JwtAlgorithm::ES384,
        Written::ES512 => JwtAlgorithm::ES512,
    }
}

fn algorithms(file: &file::JwtRealm) -> Vec<JwtAlgorithm> {
    let Some(written) = &file.allowed_signature_algorithms else {
        return vec![JwtAlgorithm::RS256];
    };
    let mut algorithms = Vec::new();
    for algorithm in written.iter().copied().map(algorithm) {
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    algorithms
}

#[expect(
    clippy::option_option,
    reason = "outside: no fault; inside: configured"
)]
fn public_keys(
    report: &mut Report<'_>,
    file: &file::JwtRealm,
    at: &At<'_>,
) -> Option<Option<PublicKeys>> {
    let path = report.optional(file.pkc_jwkset_path.as_ref(), &at.key("pkc_jwkset_path"));
    let reload = file.pkc_jwkset_reload.as_ref();
    let reload_at = at.key("pkc_jwkset_reload");
    let interval = report.duration(
        reload.and_then(|reload| reload.interval.as_ref()),
        default::JWKS_INTERVAL,
        Zero::Refused,
        &reload_at.key("interval"),
    );
    let ssl_at = at.key("ssl");
    let ca_at = ssl_at.key("certificate_authority");
    let ca = match file
        .ssl
        .as_ref()
        .and_then(|ssl| ssl.certificate_authority.as_ref())
    {
        Some(ca) => report.pem(Some(ca), Pem::Certificate, &ca_at).map(Some),
        None => Some(None),
    };
    let none = file::JwtHttp::default();
    let http = file.http.as_ref().unwrap_or(&none);
    let http_at = at.key("http");
    let mut timeout = |written: &Option<Written<_>>, key| {
        let default = default::JWKS_TIMEOUT;
        report.duration(written.as_ref(), default, Zero::Refused, &http_at.key(key))
    };
    let connect_timeout = timeout(&http.connect_timeout, "connect_timeout");
    let read_timeout = timeout(&http.connection_read_timeout, "connection_read_timeout");
    if matches!(path, Some(Some(JwksPath::File(_)))) && file.ssl.is_some() {
        report.warn(&ssl_at, "the keys come from a file, so this is not used");
    }
    let (interval, ca) = (interval?, ca?);
    let (connect_timeout, read_timeout) = (connect_timeout?, read_timeout?);
    Some(path?.map(|path| PublicKeys {
        path,
        interval,
        ca,
        connect_timeout,
        read_timeout,
    }))
}

#[expect(
    clippy::option_option,
    reason = "outside: no fault; inside: configured"
)]
fn secret_keys(
    report: &mut Report<'_>,
    file: &file::JwtRealm,
    algorithms: &[JwtAlgorithm],
    at: &At<'_>,
) -> Option<Option<SecretKeys>> {
    let set_at = at.key("hmac_jwkset");
    let key_at = at.key("hmac_key");
    match (&file.hmac_jwkset, &file.hmac_key) {
        (Some(_), Some(_)) => {
            report.fault(
                &key_at,
                "`hmac_jwkset` is given as well; it is one or the other",
            );
            None
        }
        (Some(set), None) => report
            .secret(Some(set), &set_at)
            .map(SecretKeys::Set)
            .map(Some),
        (None, Some(key)) => {
            let key = report.secret(Some(key), &key_at)?;
            let needed = algorithms
                .iter()
                .filter_map(|algorithm| algorithm.secret_bytes())
                .min();
            if let Some(needed) = needed.filter(|needed| key.expose().len() < *needed) {
                let text =
                    format!("the key is shorter than the {needed} bytes that its algorithm needs");
                report.fault(&key_at, text);
                return None;
            }
            Some(Some(SecretKeys::Key(key)))
        }
        (None, None) => Some(None),
    }
}

/// Every allowed algorithm must have a source of keys, or the realm could never let anybody in.
fn refuse_keyless(
    report: &mut Report<'_>,
    file: &file::JwtRealm,
    algorithms: &[JwtAlgorithm],
    at: &At<'_>,
) {
    let secret = file.hmac_jwkset.is_some() || file.hmac_key.is_some();
    let public = file.pkc_jwkset_path.is_some();
    if !secret && !public {
        report
            .fault(at, "there is no key to check a signature with")
            .allowed("at least one of `pkc_jwkset_path`, `hmac_jwkset`, `hmac_key`");
        return;
    }
    let list_at = at.key("allowed_signature_algorithms");
    let symmetric = |algorithm: &JwtAlgorithm| algorithm.secret_bytes().is_some();
    for (index, algorithm) in algorithms.iter().enumerate() {
        if symmetric(algorithm) != secret && symmetric(algorithm) == public && secret != public {
            let key = if secret {
                "a secret key"
            } else {
                "public keys"
            };
            let text = format!("there is only {key}, which {} can't use", algorithm.label());
            if file.allowed_signature_algorithms.is_some() {
                report.fault(&list_at.index(index), text);
            } else {
                report
                    .fault(&list_at, text)
                    .hint("RS256 is allowed when this is not written");
            }
        }
    }
    if public && algorithms.iter().all(symmetric) && secret {
        report.warn(
            &at.key("pkc_jwkset_path"),
            "no allowed algorithm uses public keys",
        );
    }
    if secret && !algorithms.iter().any(symmetric) && public {
        let key = if file.hmac_key.is_some() {
            "hmac_key"
        } else {
            "hmac_jwkset"
        };
        report.warn(&at.key(key), "no allowed algorithm uses a secret key");
    }
}

/// The claims that a user is made of; `at` is the realm's place.
pub(super) fn claims(
    report: &mut Report<'_>,
    names: Option<&file::JwtClaims>,
    patterns: Option<&file::JwtClaimPatterns>,
    at: &At<'_>,
) -> Option<JwtClaims> {
    let names = names?;
    let none = file::JwtClaimPatterns::default();
    let patterns = patterns.unwrap_or(&none);
    let mut one = |key, name: &Option<Written<Text>>, pattern: &Option<Written<CapturePattern>>| {
        let names_at = at.key("claims");
        let patterns_at = at.key("claim_patterns");
        let pattern_at = patterns_at.key(key);
        let name_found = report.optional(name.as_ref(), &names_at.key(key));
        let pattern_found = report.optional(pattern.as_ref(), &pattern_at);
        if name.is_none() && pattern.is_some() {
            report.fault(&pattern_at, format!("`claims.{key}` doesn't name a claim"));
            return None;
        }
        let pattern = pattern_found?.map(|CapturePattern(pattern)| pattern);
        Some(name_found?.map(|Text(name)| JwtClaim { name, pattern }))
    };
    let principal = one("principal", &names.principal, &patterns.principal);
    let groups = one("groups", &names.groups, &patterns.groups);
    let name = one("name", &names.name, &patterns.name);
    let mail = one("mail", &names.mail, &patterns.mail);
    let dn = one("dn", &names.dn, &patterns.dn);
    Some(JwtClaims {
        principal: principal??,
        groups: groups?,
        name: name?,
        mail: mail?,
        dn: dn?,
    })
}

type Fallback = (Option<String>, Option<String>);

fn fallback_claims(
    report: &mut Report<'_>,
    file: &file::JwtRealm,
    token_type: JwtTokenType,
    at: &At<'_>,
) -> Option<Fallback> {
    let Some(written) = &file.fallback_claims else {
        return Some((None, None));
    };
    let at = at.key("fallback_claims");
    if token_type == JwtTokenType::IdToken {
        report
            .fault(&at, "an ID token always has the registered claims")
            .hint("only `token_type: access_token` has fallbacks");
        return None;
    }
    let sub = report.optional(written.sub.as_ref(), &at.key("sub"));
    let aud = report.optional(written.aud.as_ref(), &at.key("aud"));
    Some((sub?.map(|text| text.0), aud?.map(|text| text.0)))
}

fn required_claims(
    report: &mut Report<'_>,
    file: &file::JwtRealm,
    at: &At<'_>,
) -> Option<BTreeMap<String, Vec<String>>> {
    let mut claims = BTreeMap::new();
    let mut complete = true;
    for (name, values) in file.required_claims.iter().flatten() {
        let at = at.key(name);
        if REGISTERED.contains(&name.as_str()) {
            report.fault(&at, format!("`{name}` has rules of its own"));
            complete = false;
        }
        if values.is_empty() {
            report
                .fault(&at, "no value would be enough")
                .allowed("at least one value");
            complete = false;
        }
        match texts(report, Some(values), &at) {
            Some(values) => {
                claims.insert(name.clone(), values);
            }
            None => complete = false,
        }
    }
    complete.then_some(claims)
}

#[expect(clippy::option_option, reason = "outside: no fault; inside: asked for")]
fn client_secret(
    report: &mut Report<'_>,
    file: &file::JwtRealm,
    at: &At<'_>,
) -> Option<Option<Secret>> {
    let none = file::JwtClientAuthentication::default();
    let written = file.client_authentication.as_ref().unwrap_or(&none);
    let secret_at = at.key("shared_secret");
    match (written.kind, &written.shared_secret) {
        (Some(file::JwtClientAuthenticationType::None), Some(_)) => {
            report.fault(&secret_at, "with `type: none` no secret is asked for");
            None
        }
        (Some(file::JwtClientAuthenticationType::None), None) => Some(None),
        (None | Some(file::JwtClientAuthenticationType::SharedSecret), Some(secret)) => {
            report.secret(Some(secret), &secret_at).map(Some)
        }
        (None | Some(file::JwtClientAuthenticationType::SharedSecret), None) => {
            report.fault(at, "the shared secret is missing").hint(
                "`shared_secret: ${VARIABLE}`, or `type: none` to let in whoever has a token",
            );
            None
        }
    }
}

fn jwt_cache(
    report: &mut Report<'_>,
    file: &file::JwtRealm,
    at: &At<'_>,
) -> Option<crate::config::realms::RealmCache> {
    let at = at.key("jwt");
    let at = at.key("cache");
    let written = file.jwt.as_ref().and_then(|jwt| jwt.cache.as_ref());
    let mut found = cache(report, None, &at)?;
    if let Some(written) = written {
        let ttl = written.ttl.as_ref();
        found.ttl =
            report.duration(ttl, default::REALM_CACHE_TTL, Zero::Allowed, &at.key("ttl"))?;
        found.entries = written.size.unwrap_or(found.entries);
    }
    Some(found)
}
