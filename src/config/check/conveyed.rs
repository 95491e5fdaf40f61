//! The ways of `forward:` that need more than the request: exchanges, assertions, Elasticsearch as the upstream.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::check::report::{Report, Zero};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file::{self, File};
use crate::config::file_forwards::{self, Ways};
use crate::config::forwards::{ApiKeyGrant, Assertion, Claim, Combined, Conveyed};
use crate::config::headers::AssertionHeader;
use crate::config::nearest::did_you_mean;
use crate::config::realm_values::Text;
use crate::config::settings::{Forward, IdentityField, Template, TemplatePart};
use crate::config::values::shown;

/// Keys of a role descriptor that Elasticsearch knows.
const DESCRIPTOR_KEYS: [&str; 12] = [
    "cluster",
    "indices",
    "index",
    "applications",
    "application",
    "run_as",
    "metadata",
    "global",
    "remote_indices",
    "remote_cluster",
    "restriction",
    "transient_metadata",
];
/// Claims that Sidegate sets itself.
const OWN_CLAIMS: [&str; 10] = [
    "iss", "sub", "aud", "iat", "nbf", "exp", "jti", "roles", "realm", "route",
];
/// A key that lives shorter would be renewed all the time.
const SHORTEST_KEY: Duration = Duration::from_secs(120);
/// An assertion is made anew half a minute before its end, and must be of some use until then.
const SHORTEST_ASSERTION: Duration = Duration::from_secs(60);
/// A longer life would make a stolen assertion a password.
const LONGEST_ASSERTION: Duration = Duration::from_secs(24 * 3_600);

/// What a forwarding depends on beside its own keys.
pub(super) struct Around<'f> {
    /// The route's name.
    route: &'f str,
    /// The upstream's name.
    upstream: &'f str,
    /// Whether Sidegate has a credential of its own.
    own_credential: bool,
    /// Whether that opens the authority in this process, and nothing else.
    embedded: bool,
    /// Whether somebody signs assertions.
    signing: bool,
}

impl<'f> Around<'f> {
    /// From the rest of the file; names that are at fault are told elsewhere.
    pub(super) fn of(file: &'f File, route: Option<&'f str>, upstream: Option<&'f str>) -> Self {
        Self {
            route: route.unwrap_or_default(),
            upstream: upstream.unwrap_or_default(),
            own_credential: match &file.authority {
                Some(file::Authority::Elasticsearch(nodes)) => nodes.credential.is_some(),
                // The embedded one knows the process it lives in.
                Some(file::Authority::Embedded(_)) | None => true,
            },
            embedded: matches!(file.authority, Some(file::Authority::Embedded(_))),
            signing: file.assertion.is_some(),
        }
    }
}

/// Several ways at once. `headers`: `None` when they are at fault.
pub(super) fn combined(
    report: &mut Report<'_>,
    ways: &Ways,
    headers: Option<Vec<(String, IdentityField)>>,
    around: &Around<'_>,
    at: &At<'_>,
) -> Option<Forward> {
    let elasticsearch = ways.elasticsearch.as_ref();
    let secondary = elasticsearch
        .and_then(|file| file.secondary_authorization)
        .unwrap_or(default::SECONDARY_AUTHORIZATION);
    let credential = conveyed(report, ways, around, at);
    let needs_own = secondary
        || matches!(
            credential,
            Some(Conveyed::Token | Conveyed::ApiKey(_) | Conveyed::RunAs)
        );
    if needs_own && !around.own_credential {
        report
            .fault(at, "Sidegate needs a credential of its own for this")
            .hint("`authority.elasticsearch.credential`");
    }
    if around.embedded && (secondary || credential == Some(Conveyed::RunAs)) {
        report.fault(
            &at.key("elasticsearch"),
            "with the embedded authority Sidegate has no credential that an upstream could be shown",
        )
        .hint("`authority.elasticsearch` with the cluster behind, or `elasticsearch: {}`");
    }
    if secondary && matches!(credential, Some(Conveyed::RunAs | Conveyed::Nothing)) {
        report.fault(
            &at.key("elasticsearch").key("secondary_authorization"),
            "there is no credential of the client's to put there",
        );
    }
    let assertion = match &ways.assertion {
        Some(file) => {
            let here = at.key("assertion");
            let assertion = assertion(report, file, around, &here);
            if let (Some(assertion), Some(credential)) = (&assertion, &credential) {
                refuse_twins(report, assertion, headers.as_deref(), credential, &here);
            }
            assertion.map(Some)
        }
        None => Some(None),
    };
    let combined = Combined {
        headers: headers?,
        credential: credential?,
        secondary,
        assertion: assertion?,
        elasticsearch: elasticsearch.is_some(),
    };
    Some(match combined {
        // `passthrough: false` and nothing else.
        Combined {
            ref headers,
            credential: Conveyed::Nothing,
            assertion: None,
            elasticsearch: false,
            ..
        } if headers.is_empty() => Forward::None,
        combined => Forward::Combined(Arc::new(combined)),
    })
}

/// The one credential the upstream gets.
fn conveyed(
    report: &mut Report<'_>,
    ways: &Ways,
    around: &Around<'_>,
    at: &At<'_>,
) -> Option<Conveyed> {
    let run_as = ways
        .elasticsearch
        .as_ref()
        .and_then(|file| file.run_as)
        .unwrap_or(default::RUN_AS);
    let mut chosen: Vec<Option<Conveyed>> = Vec::new();
    if ways.passthrough == Some(true) {
        chosen.push(Some(Conveyed::Client));
    }
    if ways.token.is_some() {
        chosen.push(Some(Conveyed::Token));
    }
    if let Some(file) = &ways.api_key {
        let grant = api_key(report, file, around, &at.key("api_key"));
        chosen.push(grant.map(|grant| Conveyed::ApiKey(Arc::new(grant))));
    }
    if run_as {
        chosen.push(Some(Conveyed::RunAs));
    }
    if chosen.len() > 1 {
        report
            .fault(at, "more than one credential is chosen for the upstream")
            .allowed("at most one of `passthrough`, `token`, `api_key` and `elasticsearch.run_as`");
        return None;
    }
    let otherwise = match &ways.elasticsearch {
        Some(_) if ways.passthrough != Some(false) => Conveyed::Client,
        Some(_) | None => Conveyed::Nothing,
    };
    chosen.pop().unwrap_or(Some(otherwise))
}

fn api_key(
    report: &mut Report<'_>,
    file: &file_forwards::ApiKey,
    around: &Around<'_>,
    at: &At<'_>,
) -> Option<ApiKeyGrant> {
    let descriptors = role_descriptors(
        report,
        file.role_descriptors.as_ref(),
        &at.key("role_descriptors"),
    );
    let metadata = metadata(report, file.metadata.as_ref(), &at.key("metadata"));
    let expiration_at = at.key("expiration");
    let expiration = report.duration(
        file.expiration.as_ref(),
        default::API_KEY_EXPIRATION,
        Zero::Refused,
        &expiration_at,
    );
    if expiration.is_some_and(|life| life < SHORTEST_KEY) {
        report
            .fault(&expiration_at, "the key would be renewed all the time")
            .allowed("at least `2m`");
    }
    let name_at = at.key("name");
    let name: Option<Template> =
        report.value_or(file.name.as_ref(), default::API_KEY_NAME, &name_at);
    if let Some(name) = &name {
        refuse_captures(report, name, &["route"], &name_at);
    }
    Some(ApiKeyGrant {
        route: around.route.to_owned(),
        role_descriptors: descriptors?,
        expiration: expiration?,
        metadata: metadata?,
        name: name?,
    })
}

/// Roles by name. Elasticsearch knows best what may stand in them; slips of the pen in their keys are told here.
fn role_descriptors(
    report: &mut Report<'_>,
    written: Option<&Value>,
    at: &At<'_>,
) -> Option<Map<String, Value>> {
    let Value::Object(roles) = written? else {
        report
            .fault(at, "it is no mapping of role names to roles")
            .allowed("role descriptors as the create API key API takes them");
        return None;
    };
    let mut sound = true;
    for (name, role) in roles {
        let here = at.key(name);
        let Value::Object(role) = role else {
            report
                .fault(&here, "it is no mapping")
                .allowed(DESCRIPTOR_KEYS.join(", "));
            sound = false;
            continue;
        };
        for key in role.keys() {
            if !DESCRIPTOR_KEYS.contains(&key.as_str()) {
                let hint = did_you_mean(key, DESCRIPTOR_KEYS);
                let fault = report
                    .fault(&here, format!("unknown key {}", shown(key)))
                    .allowed(DESCRIPTOR_KEYS.join(", "));
                if let Some(hint) = hint {
                    fault.hint(hint);
                }
                sound = false;
            }
        }
    }
    sound.then(|| roles.clone())
}

fn metadata(
    report: &mut Report<'_>,
    written: Option<&Value>,
    at: &At<'_>,
) -> Option<Map<String, Value>> {
    match written {
        None => Some(Map::new()),
        Some(Value::Object(fields)) => {
            for key in fields.keys() {
                if key.starts_with('_') || key.starts_with("sidegate") {
                    report
                        .fault(&at.key(key), "this name is not free")
                        .allowed("names that begin neither with `_` nor with `sidegate`");
                }
            }
            Some(fields.clone())
        }
        Some(_) => {
            report
                .fault(at, "it is no mapping")
                .allowed("names, each with any value");
            None
        }
    }
}

fn assertion(
    report: &mut Report<'_>,
    file: &file_forwards::Assertion,
    around: &Around<'_>,
    at: &At<'_>,
) -> Option<Assertion> {
    if !around.signing {
        report
            .fault(at, "nobody signs it")
            .hint("the top-level `assertion` names the keys");
    }
    let audience: Option<Option<Text>> =
        report.optional(file.audience.as_ref(), &at.key("audience"));
    let expiration_at = at.key("expiration");
    let expiration = report.duration(
        file.expiration.as_ref(),
        default::ASSERTION_EXPIRATION,
        Zero::Refused,
        &expiration_at,
    );
    if expiration.is_some_and(|life| !(SHORTEST_ASSERTION..=LONGEST_ASSERTION).contains(&life)) {
        report
            .fault(
                &expiration_at,
                "an assertion is to be short-lived, but of use",
            )
            .allowed("from `1m` to `24h`");
    }
    let header: Option<AssertionHeader> = report.value_or(
        file.header.as_ref(),
        default::ASSERTION_HEADER,
        &at.key("header"),
    );
    let claims_at = at.key("claims");
    let mut claims: Vec<Option<(String, Claim)>> = Vec::new();
    for (name, written) in file.claims.iter().flatten() {
        let here = claims_at.key(name);
        if OWN_CLAIMS.contains(&name.as_str()) {
            report
                .fault(&here, "Sidegate sets this claim itself")
                .allowed("any other name");
        }
        let template: Option<Template> = report.value(Some(written), &here);
        if let Some(template) = &template {
            refuse_captures(report, template, &[], &here);
        }
        claims.push(template.map(|template| (name.clone(), claim(template))));
    }
    Some(Assertion {
        route: around.route.to_owned(),
        audience: audience?.map_or_else(|| around.upstream.to_owned(), |text| text.0),
        expiration: expiration?,
        header: header?.0,
        claims: claims.into_iter().collect::<Option<_>>()?,
    })
}

/// A single hole keeps its type.
fn claim(template: Template) -> Claim {
    match template.0.as_slice() {
        [TemplatePart::Identity(field)] => Claim::Field(field.clone()),
        _ => Claim::Text(template),
    }
}

/// What is made for an identity serves every request of it: nothing of one request's path can be part of it.
fn refuse_captures(report: &mut Report<'_>, template: &Template, known: &[&str], at: &At<'_>) {
    for part in &template.0 {
        if let TemplatePart::Capture(name) = part
            && !known.contains(&name.as_str())
        {
            let mut allowed: Vec<String> =
                known.iter().map(|name| format!("`{{{name}}}`")).collect();
            allowed.push("fields of the identity, such as `{identity.username}`".to_owned());
            report
                .fault(at, format!("`{{{name}}}` has no meaning here"))
                .allowed(allowed.join(", "));
        }
    }
}

/// No two things in one header.
fn refuse_twins(
    report: &mut Report<'_>,
    assertion: &Assertion,
    headers: Option<&[(String, IdentityField)]>,
    credential: &Conveyed,
    at: &At<'_>,
) {
    let here = at.key("header");
    let is = |name: &str| assertion.header.eq_ignore_ascii_case(name);
    if is("authorization") && *credential != Conveyed::Nothing {
        report.fault(
            &here,
            "the upstream's credential travels in `Authorization` already",
        );
    }
    if headers.into_iter().flatten().any(|(name, _)| is(name)) {
        report.fault(
            &here,
            format!(
                "a field of the identity travels in {} already",
                shown(&assertion.header)
            ),
        );
    }
}
