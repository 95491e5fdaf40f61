//! `forward:` as the header names and fields that it means; what is more than that is `conveyed`'s.

use crate::config::check::conveyed::{Around, combined};
use crate::config::check::report::Report;
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_forwards::{self, ForwardWord};
use crate::config::file_routes;
use crate::config::headers::HeaderChoice;
use crate::config::settings::{Forward, IdentityField};
use crate::config::values::{Written, shown};

/// How the identity travels.
pub(super) fn forward(
    report: &mut Report<'_>,
    file: Option<&file_forwards::Forward>,
    around: &Around<'_>,
    at: &At<'_>,
) -> Option<Forward> {
    match file {
        None if report.is_faulty(at) => None,
        None | Some(file_forwards::Forward::Word(ForwardWord::None)) => Some(Forward::None),
        Some(file_forwards::Forward::Word(ForwardWord::Passthrough)) => Some(Forward::Passthrough),
        Some(file_forwards::Forward::Ways(ways)) => {
            let headers = ways
                .identity_headers
                .as_ref()
                .map(|headers| identity_headers(report, headers, &at.key("identity_headers")));
            let alone = ways.passthrough.is_none()
                && ways.token.is_none()
                && ways.api_key.is_none()
                && ways.assertion.is_none()
                && ways.elasticsearch.is_none();
            match headers {
                Some(headers) if alone => headers.map(Forward::IdentityHeaders),
                Some(headers) => combined(report, ways, headers, around, at),
                None => combined(report, ways, Some(Vec::new()), around, at),
            }
        }
    }
}

/// The fields with the key, what was written, and the default header of each.
fn fields(
    file: &file_routes::IdentityHeaders,
) -> [(
    &'static str,
    IdentityField,
    Option<&Written<HeaderChoice>>,
    &'static str,
); 8] {
    [
        (
            "username",
            IdentityField::Username,
            file.username.as_ref(),
            default::USERNAME_HEADER,
        ),
        (
            "roles",
            IdentityField::Roles,
            file.roles.as_ref(),
            default::ROLES_HEADER,
        ),
        (
            "full_name",
            IdentityField::FullName,
            file.full_name.as_ref(),
            default::FULL_NAME_HEADER,
        ),
        (
            "email",
            IdentityField::Email,
            file.email.as_ref(),
            default::EMAIL_HEADER,
        ),
        (
            "realm",
            IdentityField::Realm,
            file.realm.as_ref(),
            default::REALM_HEADER,
        ),
        (
            "authentication_type",
            IdentityField::AuthenticationType,
            file.authentication_type.as_ref(),
            default::AUTHENTICATION_TYPE_HEADER,
        ),
        (
            "api_key_id",
            IdentityField::ApiKeyId,
            file.api_key_id.as_ref(),
            default::API_KEY_ID_HEADER,
        ),
        (
            "api_key_name",
            IdentityField::ApiKeyName,
            file.api_key_name.as_ref(),
            default::API_KEY_NAME_HEADER,
        ),
    ]
}

fn identity_headers(
    report: &mut Report<'_>,
    file: &file_routes::IdentityHeaders,
    at: &At<'_>,
) -> Option<Vec<(String, IdentityField)>> {
    let mut headers = Vec::new();
    let mut complete = true;
    for (key, field, written, default) in fields(file) {
        let here = at.key(key);
        match report.value_or(written, default, &here) {
            Some(HeaderChoice(Some(header))) => add(report, &mut headers, header.0, field, &here),
            Some(HeaderChoice(None)) => {}
            None => complete = false,
        }
    }
    let metadata_at = at.key("metadata");
    for (name, written) in file.metadata.iter().flatten() {
        let here = metadata_at.key(name);
        match report.value(Some(written), &here) {
            Some(header) => add(
                report,
                &mut headers,
                header.0,
                IdentityField::Metadata(name.clone()),
                &here,
            ),
            None => complete = false,
        }
    }
    if complete && headers.is_empty() {
        report
            .fault(at, "every header is left out")
            .hint("`forward: none`");
        return None;
    }
    complete.then_some(headers)
}

/// Adds a header unless another field has the same one. Names that differ in case alone are the same.
fn add(
    report: &mut Report<'_>,
    headers: &mut Vec<(String, IdentityField)>,
    name: String,
    field: IdentityField,
    at: &At<'_>,
) {
    match headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(&name))
    {
        Some((other, _)) => {
            let problem = format!("another field travels in {} already", shown(other));
            report.fault(at, problem).hint("`none` leaves a field out");
        }
        None => headers.push((name, field)),
    }
}
