//! Ways in: what listeners, routes and the whole gate take for a credential.

use crate::config::check::authority;
use crate::config::check::report::{Pem, Report, Zero};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_ways::{self, IssuerAlgorithm as Written};
use crate::config::settings::{Access, OwnCredential};
use crate::config::ways::{
    Anonymous, CertificateHeader, ClientCertificateMode, ClientCertificates, Credentials, Jwt,
    JwtAlgorithm, JwtIssuer, JwtKeys, Kerberos, RouteCredentials,
};

/// Client certificates of a listener.
pub(super) fn client_certificates(
    report: &mut Report<'_>,
    file: &file_ways::ClientCertificates,
    at: &At<'_>,
) -> Option<ClientCertificates> {
    let ca = report.pem(file.ca.as_ref(), Pem::Certificate, &at.key("ca"));
    let crl = match &file.crl {
        Some(crl) => report
            .pem(Some(crl), Pem::RevocationList, &at.key("crl"))
            .map(Some),
        None => Some(None),
    };
    let mode = file.mode.map(|mode| match mode {
        file_ways::ClientCertificateMode::Optional => ClientCertificateMode::Optional,
        file_ways::ClientCertificateMode::Required => ClientCertificateMode::Required,
    });
    Some(ClientCertificates {
        mode: mode?,
        ca: ca?,
        crl: crl?,
    })
}

/// The header in which listed peers tell a certificate; a fault when nobody is listed.
pub(super) fn certificate_header(
    report: &mut Report<'_>,
    file: Option<file_ways::CertificateHeader>,
    has_trusted: bool,
    at: &At<'_>,
) -> Option<CertificateHeader> {
    let header = match file? {
        file_ways::CertificateHeader::ClientCert => CertificateHeader::ClientCert,
        file_ways::CertificateHeader::ClientCertPem => CertificateHeader::ClientCertPem,
        file_ways::CertificateHeader::XForwardedClientCert => {
            CertificateHeader::XForwardedClientCert
        }
    };
    if !has_trusted {
        report
            .fault(
                at,
                "no peer is listed whose word about certificates would count",
            )
            .hint("list the terminator's addresses in `trusted_proxies`");
    }
    Some(header)
}

/// Ways in for all routes.
pub(super) fn credentials(
    report: &mut Report<'_>,
    file: Option<&file_ways::Credentials>,
) -> Option<Credentials> {
    let at = At::ROOT.key("credentials");
    let Some(file) = file else {
        return Some(Credentials::default());
    };
    let kerberos = match &file.kerberos {
        None => Some(None),
        Some(file) => {
            let at = at.key("kerberos");
            let lifetime = report.duration(
                file.cookie_lifetime.as_ref(),
                default::KERBEROS_COOKIE_LIFETIME,
                Zero::Allowed,
                &at.key("cookie_lifetime"),
            );
            lifetime.map(|cookie_lifetime| Some(Kerberos { cookie_lifetime }))
        }
    };
    let jwt = match &file.jwt {
        None => Some(None),
        Some(file) => jwt(report, file, &at.key("jwt")).map(Some),
    };
    Some(Credentials {
        kerberos: kerberos?,
        jwt: jwt?,
    })
}

fn jwt(report: &mut Report<'_>, file: &file_ways::Jwt, at: &At<'_>) -> Option<Jwt> {
    let secret_at = at.key("client_authentication");
    let client_authentication = match &file.client_authentication {
        None => Some(None),
        Some(written) => report
            .secret(Some(written), &secret_at)
            .and_then(|secret| {
                if secret.expose().iter().all(u8::is_ascii_graphic) {
                    return Some(secret);
                }
                report.fault(
                    &secret_at,
                    "the secret holds a character that no header can carry",
                );
                None
            })
            .map(Some),
    };
    let issuers_at = at.key("issuers");
    let issuers: Vec<Option<JwtIssuer>> = file
        .issuers
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, file)| jwt_issuer(report, file, &issuers_at.index(index)))
        .collect();
    let issuers: Option<Vec<JwtIssuer>> = issuers.into_iter().collect();
    for (index, issuer) in issuers.iter().flatten().enumerate() {
        let mut before = issuers.iter().flatten().take(index);
        if before.any(|other| other.issuer == issuer.issuer) {
            let here = issuers_at.index(index);
            report.fault(&here.key("issuer"), "this issuer is listed twice");
        }
    }
    let clock_skew = report.duration(
        file.clock_skew.as_ref(),
        default::ISSUER_CLOCK_SKEW,
        Zero::Allowed,
        &at.key("clock_skew"),
    );
    if file.client_authentication.is_none()
        && file.issuers.is_none()
        && !report.is_faulty(&secret_at)
        && !report.is_faulty(&issuers_at)
    {
        report.warn(
            at,
            "it has neither `client_authentication` nor `issuers`, so it changes nothing",
        );
    }
    Some(Jwt {
        client_authentication: client_authentication?,
        issuers: issuers?,
        clock_skew: clock_skew?,
    })
}

fn jwt_issuer(
    report: &mut Report<'_>,
    file: &file_ways::JwtIssuer,
    at: &At<'_>,
) -> Option<JwtIssuer> {
    let issuer = report.value(file.issuer.as_ref(), &at.key("issuer"));
    let audiences = file
        .audiences
        .as_deref()
        .and_then(|written| report.list(written, &at.key("audiences")));
    let algorithms = match &file.algorithms {
        None => vec![JwtAlgorithm::Rs256],
        Some(written) => written.iter().map(|written| algorithm(*written)).collect(),
    };
    let keys = jwt_keys(report, file, at);
    let refresh = report.duration(
        file.refresh.as_ref(),
        default::ISSUER_REFRESH,
        Zero::Refused,
        &at.key("refresh"),
    );
    Some(JwtIssuer {
        issuer: issuer?.0,
        audiences: audiences?.into_iter().map(|text| text.0).collect(),
        algorithms,
        keys: keys?,
        refresh: refresh?,
    })
}

fn jwt_keys(report: &mut Report<'_>, file: &file_ways::JwtIssuer, at: &At<'_>) -> Option<JwtKeys> {
    let (file_at, url_at, ca_at) = (at.key("jwks_file"), at.key("jwks_url"), at.key("jwks_ca"));
    let ca = match &file.jwks_ca {
        None => Some(None),
        Some(ca) => report.pem(Some(ca), Pem::Certificate, &ca_at).map(Some),
    };
    match (&file.jwks_file, &file.jwks_url) {
        (Some(written), None) => {
            if file.jwks_ca.is_some() {
                report.warn(&ca_at, "without `jwks_url` it is not used");
            }
            report.json_file(Some(written), &file_at).map(JwtKeys::File)
        }
        (None, Some(written)) => {
            let url = report.value(Some(written), &url_at)?;
            if !url.tls && !authority::is_loopback(&url.host) {
                report
                    .fault(
                        &url_at,
                        "keys read over plain HTTP can be exchanged on the way",
                    )
                    .allowed("`https`, or `http` on this machine");
                return None;
            }
            Some(JwtKeys::Url { url, ca: ca? })
        }
        (Some(_), Some(_)) => {
            report
                .fault(at, "it has both `jwks_file` and `jwks_url`")
                .allowed("exactly one of them");
            None
        }
        (None, None) => {
            if !report.is_faulty(&file_at) && !report.is_faulty(&url_at) {
                report
                    .fault(at, "it has neither `jwks_file` nor `jwks_url`")
                    .allowed("exactly one of them");
            }
            None
        }
    }
}

const fn algorithm(written: Written) -> JwtAlgorithm {
    match written {
        Written::Rs256 => JwtAlgorithm::Rs256,
        Written::Rs384 => JwtAlgorithm::Rs384,
        Written::Rs512 => JwtAlgorithm::Rs512,
        Written::Ps256 => JwtAlgorithm::Ps256,
        Written::Ps384 => JwtAlgorithm::Ps384,
        Written::Ps512 => JwtAlgorithm::Ps512,
        Written::Es256 => JwtAlgorithm::Es256,
        Written::Es384 => JwtAlgorithm::Es384,
        Written::EdDsa => JwtAlgorithm::EdDsa,
    }
}

/// Ways in of a route.
pub(super) fn route_credentials(
    report: &mut Report<'_>,
    file: Option<&file_ways::RouteCredentials>,
    access: Option<&Access>,
    at: &At<'_>,
) -> Option<RouteCredentials> {
    let Some(file) = file else {
        return Some(RouteCredentials::default());
    };
    if matches!(access, Some(Access::Everyone)) {
        report.warn(
            at,
            "with `allow: everyone` no credential is looked at, so this changes nothing",
        );
    }
    let keys_at = at.key("api_key");
    let (header, query) = match &file.api_key {
        None => (Some(None), Some(None)),
        Some(places) => {
            let (header_at, query_at) = (keys_at.key("header"), keys_at.key("query_parameter"));
            if places.header.is_none()
                && places.query_parameter.is_none()
                && !report.is_faulty(&keys_at)
            {
                report
                    .fault(&keys_at, "it names no place")
                    .allowed("`header`, `query_parameter`, or both");
            }
            if places.query_parameter.is_some() {
                report
                    .warn(
                        &query_at,
                        "a key in a URL ends up in histories and in the logs of others",
                    )
                    .hint("prefer `header`");
            }
            (
                report.optional(places.header.as_ref(), &header_at),
                report.optional(places.query_parameter.as_ref(), &query_at),
            )
        }
    };
    let anonymous_at = at.key("anonymous");
    let anonymous = match &file.anonymous {
        None => Some(None),
        Some(file) => anonymous(report, file, &anonymous_at).map(Some),
    };
    Some(RouteCredentials {
        api_key_header: header?.map(|header| header.0.to_ascii_lowercase()),
        api_key_query: query?.map(|query| query.0),
        run_as: file.run_as.unwrap_or(default::RUN_AS),
        secondary_authorization: file
            .secondary_authorization
            .unwrap_or(default::SECONDARY_AUTHORIZATION),
        anonymous: anonymous?,
    })
}

/// Whom a request without a credential stands for.
pub(super) fn anonymous(
    report: &mut Report<'_>,
    file: &file_ways::RouteAnonymous,
    at: &At<'_>,
) -> Option<Anonymous> {
    let credential: Option<OwnCredential> = match file {
        file_ways::RouteAnonymous::Authority => return Some(Anonymous::Authority),
        file_ways::RouteAnonymous::ApiKey(written) => authority::api_key(report, written, at),
        file_ways::RouteAnonymous::Basic(file) => authority::basic(report, file, at),
        file_ways::RouteAnonymous::Bearer(written) => authority::bearer(report, written, at),
    };
    credential.map(Anonymous::Credential)
}
