//! An OpenID Connect realm: that its endpoints are there or can be found, and that it can prove itself.

use crate::config::check::jwt;
use crate::config::check::realms::texts;
use crate::config::check::report::{Pem, Report, Zero};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_oidc as file;
use crate::config::realm_values::{ProviderUrl, RedirectUri, Text};
use crate::config::realms::JwtAlgorithm;
use crate::config::realms_oidc::{
    OidcClientAuthMethod, OidcHttp, OidcParty, OidcProvider, OidcRealm, OidcResponseType,
};
use crate::config::values::Value as _;

/// Where every provider that offers discovery has its document, below its issuer (OpenID Connect Discovery §4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Checks one OpenID Connect realm.
pub(super) fn oidc_realm(
    report: &mut Report<'_>,
    file: &file::OidcRealm,
    at: &At<'_>,
) -> Option<OidcRealm> {
    let party = file
        .rp
        .as_ref()
        .and_then(|party| self::party(report, party, &at.key("rp")));
    let response_type = file.rp.as_ref().and_then(|party| party.response_type);
    let algorithm = file.rp.as_ref().and_then(|party| party.signature_algorithm);
    let needs = Needs {
        token_endpoint: matches!(response_type, Some(file::OidcResponseType::Code)),
        keys: algorithm
            .map_or(JwtAlgorithm::RS256, jwt::algorithm)
            .secret_bytes()
            .is_none(),
    };
    let provider = file
        .op
        .as_ref()
        .and_then(|provider| self::provider(report, provider, needs, &at.key("op")));
    let names = file.claims.as_ref();
    let claims = jwt::claims(report, names, file.claim_patterns.as_ref(), at);
    let clock_skew = report.duration(
        file.allowed_clock_skew.as_ref(),
        default::OIDC_CLOCK_SKEW,
        Zero::Allowed,
        &at.key("allowed_clock_skew"),
    );
    let links = file.authorization_realms.as_deref();
    let links = texts(report, links, &at.key("authorization_realms"));
    let http = http(report, file, at);
    Some(OidcRealm {
        party: party?,
        provider: provider?,
        claims: claims?,
        populate_user_metadata: file
            .populate_user_metadata
            .unwrap_or(default::OIDC_POPULATE_USER_METADATA),
        clock_skew: clock_skew?,
        authorization_realms: links?,
        http: http?,
    })
}

fn party(report: &mut Report<'_>, file: &file::OidcParty, at: &At<'_>) -> Option<OidcParty> {
    let client_id = report.value(file.client_id.as_ref(), &at.key("client_id"));
    let secret_at = at.key("client_secret");
    let client_secret = match &file.client_secret {
        Some(secret) => report.secret(Some(secret), &secret_at).map(Some),
        None => Some(None),
    };
    let redirect_uri = report.value(file.redirect_uri.as_ref(), &at.key("redirect_uri"));
    let after_logout = report.optional(
        file.post_logout_redirect_uri.as_ref(),
        &at.key("post_logout_redirect_uri"),
    );
    let scopes = file.requested_scopes.as_deref();
    let scopes = texts(report, scopes, &at.key("requested_scopes"));
    let response_type = file.response_type.map(|kind| match kind {
        file::OidcResponseType::Code => OidcResponseType::Code,
        file::OidcResponseType::IdToken => OidcResponseType::IdToken,
        file::OidcResponseType::IdTokenToken => OidcResponseType::IdTokenToken,
    });
    let client_auth_method = match file.client_auth_method {
        None | Some(file::OidcClientAuthMethod::ClientSecretBasic) => OidcClientAuthMethod::Basic,
        Some(file::OidcClientAuthMethod::ClientSecretPost) => OidcClientAuthMethod::Post,
        Some(file::OidcClientAuthMethod::ClientSecretJwt) => OidcClientAuthMethod::Jwt,
    };
    let party = OidcParty {
        client_id: client_id?.0,
        client_secret: client_secret?,
        redirect_uri: redirect_uri?.0,
        response_type: response_type?,
        scopes: with_openid(scopes?),
        client_auth_method,
        assertion_algorithm: file
            .client_auth_jwt_signature_algorithm
            .map_or(JwtAlgorithm::HS384, jwt::algorithm),
        post_logout_redirect_uri: after_logout?.map(|RedirectUri(text)| text),
        signature_algorithm: file
            .signature_algorithm
            .map_or(JwtAlgorithm::RS256, jwt::algorithm),
        pkce: file.pkce.unwrap_or(default::OIDC_PKCE),
    };
    secret_fits(report, &party, at).then_some(party)
}

/// The scope without which OAuth 2.0 is no login.
fn with_openid(mut scopes: Vec<String>) -> Vec<String> {
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    scopes
}

/// Whether there is a secret where one is needed, and whether it is long enough for what is signed with it.
fn secret_fits(report: &mut Report<'_>, party: &OidcParty, at: &At<'_>) -> bool {
    let by_code = party.response_type == OidcResponseType::Code;
    let by_assertion = by_code && party.client_auth_method == OidcClientAuthMethod::Jwt;
    let assertion_at = at.key("client_auth_jwt_signature_algorithm");
    if party.assertion_algorithm.secret_bytes().is_none() {
        report
            .fault(&assertion_at, "this is no algorithm for a shared secret")
            .allowed("HS256, HS384, HS512");
        return false;
    }
    let of_token = party.signature_algorithm.secret_bytes();
    let secret_at = at.key("client_secret");
    let Some(secret) = &party.client_secret else {
        if by_code || of_token.is_some() {
            let why = if by_code {
                "the code flow needs it"
            } else {
                "signatures by HMAC need it"
            };
            report.fault(&secret_at, format!("there is no client secret: {why}"));
            return false;
        }
        return true;
    };
    let of_assertion = party
        .assertion_algorithm
        .secret_bytes()
        .filter(|_| by_assertion);
    let needed = of_token.max(of_assertion).unwrap_or_default();
    if secret.expose().len() < needed {
        let text =
            format!("the secret is shorter than the {needed} bytes that its algorithm needs");
        report.fault(&secret_at, text);
        return false;
    }
    true
}

/// What a provider must have for the flow that was chosen.
#[derive(Clone, Copy)]
struct Needs {
    token_endpoint: bool,
    keys: bool,
}

fn provider(
    report: &mut Report<'_>,
    file: &file::OidcProvider,
    needs: Needs,
    at: &At<'_>,
) -> Option<OidcProvider> {
    let issuer: Option<Text> = report.value(file.issuer.as_ref(), &at.key("issuer"));
    let mut endpoint = |written, key| report.optional(written, &at.key(key));
    let authorization = endpoint(
        file.authorization_endpoint.as_ref(),
        "authorization_endpoint",
    );
    let token = endpoint(file.token_endpoint.as_ref(), "token_endpoint");
    let userinfo = endpoint(file.userinfo_endpoint.as_ref(), "userinfo_endpoint");
    let endsession = endpoint(file.endsession_endpoint.as_ref(), "endsession_endpoint");
    let keys = report.optional(file.jwkset_path.as_ref(), &at.key("jwkset_path"));
    let Text(issuer) = issuer?;
    let complete = file.authorization_endpoint.is_some()
        && (file.token_endpoint.is_some() || !needs.token_endpoint)
        && (file.jwkset_path.is_some() || !needs.keys);
    let discovery = if complete {
        None
    } else {
        Some(discovery(report, &issuer, at)?)
    };
    Some(OidcProvider {
        issuer,
        discovery,
        authorization_endpoint: authorization?,
        token_endpoint: token?,
        userinfo_endpoint: userinfo?,
        endsession_endpoint: endsession?,
        keys: keys?,
    })
}

/// Where the endpoints that were left out can be read.
fn discovery(report: &mut Report<'_>, issuer: &str, at: &At<'_>) -> Option<ProviderUrl> {
    let url = format!("{}{DISCOVERY}", issuer.trim_end_matches('/'));
    match ProviderUrl::parse(&url) {
        Ok(url) => Some(url),
        Err(error) => {
            let text = format!(
                "endpoints are left out, and none can be discovered: {}",
                error.problem
            );
            report
                .fault(&at.key("issuer"), text)
                .hint("write `authorization_endpoint`, `token_endpoint` and `jwkset_path`, or an issuer with `https`");
            None
        }
    }
}

fn http(report: &mut Report<'_>, file: &file::OidcRealm, at: &At<'_>) -> Option<OidcHttp> {
    let ssl_at = at.key("ssl");
    let ca = file
        .ssl
        .as_ref()
        .and_then(|ssl| ssl.certificate_authority.as_ref());
    let ca = match ca {
        Some(ca) => report
            .pem(
                Some(ca),
                Pem::Certificate,
                &ssl_at.key("certificate_authority"),
            )
            .map(Some),
        None => Some(None),
    };
    let none = file::OidcHttp::default();
    let written = file.http.as_ref().unwrap_or(&none);
    let at = at.key("http");
    let mut time = |written: &Option<_>, default, key| {
        report.duration(written.as_ref(), default, Zero::Refused, &at.key(key))
    };
    let connect_timeout = time(
        &written.connect_timeout,
        default::OIDC_TIMEOUT,
        "connect_timeout",
    );
    let read_timeout = time(
        &written.connection_read_timeout,
        default::OIDC_TIMEOUT,
        "connection_read_timeout",
    );
    let keys_interval = time(
        &written.jwkset_reload,
        default::JWKS_INTERVAL,
        "jwkset_reload",
    );
    Some(OidcHttp {
        ca: ca?,
        connect_timeout: connect_timeout?,
        read_timeout: read_timeout?,
        keys_interval: keys_interval?,
    })
}
