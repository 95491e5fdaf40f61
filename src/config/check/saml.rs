//! A SAML realm: what belongs together, and that its files hold what they should.

use std::path::PathBuf;

use crate::config::check::realms::texts;
use crate::config::check::report::{Pem, Report, Zero};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_realm_saml as file;
use crate::config::grants::RoleName;
use crate::config::realm_saml::{
    SamlAttribute, SamlAttributes, SamlEncryption, SamlIdp, SamlMetadata, SamlRealm, SamlSigning,
    SamlSp,
};
use crate::config::realm_values::{CapturePattern, JwksPath, Text};
use crate::config::saml_values::{BrowserUrl, MetadataPath};
use crate::config::values::Written;

/// Checks one SAML realm.
pub(super) fn saml_realm(
    report: &mut Report<'_>,
    file: &file::SamlRealm,
    at: &At<'_>,
) -> Option<SamlRealm> {
    let idp = idp(report, file, at);
    let sp = sp(report, file, at);
    let attributes = attributes(report, file, at);
    let nameid_format = report.optional(file.nameid_format.as_ref(), &at.key("nameid_format"));
    let nameid_at = at.key("nameid");
    let qualifier = file.nameid.as_ref().and_then(|it| it.sp_qualifier.as_ref());
    let qualifier = report.optional(qualifier, &nameid_at.key("sp_qualifier"));
    let contexts = file.req_authn_context_class_ref.as_deref();
    let contexts = texts(report, contexts, &at.key("req_authn_context_class_ref"));
    let signing = signing(report, file, at);
    let encryption = encryption(report, file, at);
    let clock_skew = report.duration(
        file.allowed_clock_skew.as_ref(),
        default::SAML_CLOCK_SKEW,
        Zero::Allowed,
        &at.key("allowed_clock_skew"),
    );
    let links = file.authorization_realms.as_deref();
    let links = texts(report, links, &at.key("authorization_realms"));
    let excluded_at = at.key("exclude_roles");
    let excluded = file.exclude_roles.as_deref().unwrap_or_default();
    if !excluded.is_empty() && file.authorization_realms.is_some() {
        report.fault(
            &excluded_at,
            "with `authorization_realms` no role mapping is asked, so none can be excluded",
        );
    }
    let excluded = report.list(excluded, &excluded_at);
    Some(SamlRealm {
        idp: idp?,
        sp: sp?,
        attributes: attributes?,
        nameid_format: nameid_format?.map(|Text(text)| text),
        nameid_allow_create: file
            .nameid
            .as_ref()
            .and_then(|it| it.allow_create)
            .unwrap_or(default::SAML_NAMEID_ALLOW_CREATE),
        nameid_sp_qualifier: qualifier?.map(|Text(text)| text),
        force_authn: file.force_authn.unwrap_or(default::SAML_FORCE_AUTHN),
        authn_contexts: contexts?,
        populate_user_metadata: file
            .populate_user_metadata
            .unwrap_or(default::SAML_POPULATE_USER_METADATA),
        signing: signing?,
        encryption: encryption?,
        clock_skew: clock_skew?,
        authorization_realms: links?,
        exclude_roles: excluded?.into_iter().map(|RoleName(name)| name).collect(),
    })
}

fn idp(report: &mut Report<'_>, file: &file::SamlRealm, at: &At<'_>) -> Option<SamlIdp> {
    let written = file.idp.as_ref()?;
    let at_idp = at.key("idp");
    let entity_id = report.value(written.entity_id.as_ref(), &at_idp.key("entity_id"));
    let metadata = metadata(report, file, written, at, &at_idp.key("metadata"));
    Some(SamlIdp {
        entity_id: entity_id.map(|Text(text)| text)?,
        metadata: metadata?,
        use_single_logout: written
            .use_single_logout
            .unwrap_or(default::SAML_USE_SINGLE_LOGOUT),
    })
}

fn metadata(
    report: &mut Report<'_>,
    file: &file::SamlRealm,
    idp: &file::SamlIdp,
    at: &At<'_>,
    at_metadata: &At<'_>,
) -> Option<SamlMetadata> {
    let written = idp.metadata.as_ref()?;
    let path = report.value(written.path.as_ref(), &at_metadata.key("path"));
    let none = file::SamlMetadataHttp::default();
    let http = written.http.as_ref().unwrap_or(&none);
    let http_at = at_metadata.key("http");
    let mut time = |written: &Option<Written<_>>, default, key| {
        report.duration(written.as_ref(), default, Zero::Refused, &http_at.key(key))
    };
    let refresh = time(&http.refresh, default::SAML_METADATA_REFRESH, "refresh");
    let timeout = default::SAML_METADATA_TIMEOUT;
    let connect_timeout = time(&http.connect_timeout, timeout, "connect_timeout");
    let read_timeout = time(&http.read_timeout, timeout, "read_timeout");
    let ssl_at = at.key("ssl");
    let ca = file.ssl.as_ref().and_then(|ssl| {
        let ca = ssl.certificate_authority.as_ref()?;
        Some(report.pem(
            Some(ca),
            Pem::Certificate,
            &ssl_at.key("certificate_authority"),
        ))
    });
    let MetadataPath(path) = path?;
    if matches!(path, JwksPath::File(_)) && file.ssl.is_some() {
        report.warn(
            &ssl_at,
            "the metadata comes from a file, so this is not used",
        );
    }
    let ca = match ca {
        Some(checked) => Some(checked?),
        None => None,
    };
    Some(SamlMetadata {
        path,
        refresh: refresh?,
        ca,
        connect_timeout: connect_timeout?,
        read_timeout: read_timeout?,
    })
}

fn sp(report: &mut Report<'_>, file: &file::SamlRealm, at: &At<'_>) -> Option<SamlSp> {
    let written = file.sp.as_ref()?;
    let at = at.key("sp");
    let entity_id = report.value(written.entity_id.as_ref(), &at.key("entity_id"));
    let acs = report.value(written.acs.as_ref(), &at.key("acs"));
    let logout = report.optional(written.logout.as_ref(), &at.key("logout"));
    let acs = acs.map(|BrowserUrl(url)| url)?;
    if acs.starts_with("http:") {
        report.warn(
            &at.key("acs"),
            "assertions travel in plain text to an address without `https`",
        );
    }
    Some(SamlSp {
        entity_id: entity_id.map(|Text(text)| text)?,
        acs,
        logout: logout?.map(|BrowserUrl(url)| url),
    })
}

fn attributes(
    report: &mut Report<'_>,
    file: &file::SamlRealm,
    at: &At<'_>,
) -> Option<SamlAttributes> {
    let names = file.attributes.as_ref()?;
    let none = file::SamlAttributePatterns::default();
    let patterns = file.attribute_patterns.as_ref().unwrap_or(&none);
    let delimiter = groups_delimiter(report, file, at);
    let mut one = |key, name: &Option<Written<Text>>, pattern: &Option<Written<CapturePattern>>| {
        let names_at = at.key("attributes");
        let patterns_at = at.key("attribute_patterns");
        let pattern_at = patterns_at.key(key);
        let name_found = report.optional(name.as_ref(), &names_at.key(key));
        let pattern_found = report.optional(pattern.as_ref(), &pattern_at);
        if name.is_none() && pattern.is_some() {
            report.fault(
                &pattern_at,
                format!("`attributes.{key}` doesn't name an attribute"),
            );
            return None;
        }
        let pattern = pattern_found?.map(|CapturePattern(pattern)| pattern);
        Some(name_found?.map(|Text(name)| SamlAttribute {
            name,
            pattern,
            delimiter: None,
        }))
    };
    let principal = one("principal", &names.principal, &patterns.principal);
    let groups = one("groups", &names.groups, &patterns.groups);
    let name = one("name", &names.name, &patterns.name);
    let mail = one("mail", &names.mail, &patterns.mail);
    let dn = one("dn", &names.dn, &patterns.dn);
    let delimiter = delimiter?;
    Some(SamlAttributes {
        principal: principal??,
        groups: groups?.map(|groups| SamlAttribute {
            delimiter,
            ..groups
        }),
        name: name?,
        mail: mail?,
        dn: dn?,
    })
}

#[expect(clippy::option_option, reason = "outside: no fault; inside: written")]
fn groups_delimiter(
    report: &mut Report<'_>,
    file: &file::SamlRealm,
    at: &At<'_>,
) -> Option<Option<String>> {
    let Some(written) = &file.attribute_delimiters else {
        return Some(None);
    };
    let at = at.key("attribute_delimiters");
    let at = at.key("groups");
    let delimiter = report.optional(written.groups.as_ref(), &at)?;
    let names = file.attributes.as_ref();
    if names.is_none_or(|names| names.groups.is_none()) {
        report.fault(&at, "`attributes.groups` doesn't name an attribute");
        return None;
    }
    let patterns = file.attribute_patterns.as_ref();
    if patterns.is_some_and(|patterns| patterns.groups.is_some()) {
        report.fault(
            &at,
            "`attribute_patterns.groups` is given as well; it is one or the other",
        );
        return None;
    }
    Some(delimiter.map(|Text(text)| text))
}

#[expect(clippy::option_option, reason = "outside: no fault; inside: written")]
fn signing(
    report: &mut Report<'_>,
    file: &file::SamlRealm,
    at: &At<'_>,
) -> Option<Option<SamlSigning>> {
    let Some(written) = &file.signing else {
        return Some(None);
    };
    let (key, certificate) = pair(
        report,
        written.key.as_ref(),
        written.certificate.as_ref(),
        &at.key("signing"),
    )?;
    let all = [file::SamlMessage::All];
    let messages = written.saml_messages.as_deref().unwrap_or(&all);
    let signs = |message| messages.contains(&message) || messages.contains(&file::SamlMessage::All);
    Some(Some(SamlSigning {
        key,
        certificate,
        authn_requests: signs(file::SamlMessage::AuthnRequest),
        logout_requests: signs(file::SamlMessage::LogoutRequest),
        logout_responses: signs(file::SamlMessage::LogoutResponse),
    }))
}

#[expect(clippy::option_option, reason = "outside: no fault; inside: written")]
fn encryption(
    report: &mut Report<'_>,
    file: &file::SamlRealm,
    at: &At<'_>,
) -> Option<Option<SamlEncryption>> {
    let Some(written) = &file.encryption else {
        return Some(None);
    };
    let at = at.key("encryption");
    let pair = pair(
        report,
        written.key.as_ref(),
        written.certificate.as_ref(),
        &at,
    );
    let former_at = at.key("former_keys");
    let former = written.former_keys.iter().flatten().enumerate();
    let former: Option<Vec<_>> = former
        .map(|(index, path)| report.pem(Some(path), Pem::Key, &former_at.index(index)))
        .collect();
    let (key, certificate) = pair?;
    Some(Some(SamlEncryption {
        key,
        certificate,
        former_keys: former?,
        allow_unsigned_cbc: written
            .allow_unsigned_cbc
            .unwrap_or(default::SAML_ALLOW_UNSIGNED_CBC),
    }))
}

fn pair(
    report: &mut Report<'_>,
    key: Option<&Written<PathBuf>>,
    certificate: Option<&Written<PathBuf>>,
    at: &At<'_>,
) -> Option<(PathBuf, PathBuf)> {
    let key = report.pem(key, Pem::Key, &at.key("key"));
    let certificate = report.pem(certificate, Pem::Certificate, &at.key("certificate"));
    key.zip(certificate)
}
