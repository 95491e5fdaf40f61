//! Why a login, a logout or a session ended badly: the closed set of codes.
//!
//! One code is on the page, in the line of the log, in the metrics' label and in `docs/sso-troubleshooting.md`, so that whoever
//! reads one of them finds the others. A code says what to look at, never which half of a credential was wrong.
//! Those of ended sessions are the labels of [`crate::session::ended::EndReason`].
//! To add one: a line in the table below, its text in every file of `texts/`, its row in the troubleshooting page; tests
//! compare all three.

use http::StatusCode;
use serde::{Serialize, Serializer};

/// What kind of end it is: the page's heading, and who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A session is over; nothing went wrong. The person logs in again.
    Ended,
    /// This attempt failed; another one may succeed.
    Failed,
    /// The person may not; another person may.
    Denied,
    /// Something is down for the moment.
    Unavailable,
    /// Somebody has to change a setting, here, at the authority or at the identity provider.
    Misconfigured,
    /// Logged out here, but not everywhere.
    Logout,
}

impl Class {
    /// Its name in keys of texts: `class.<label>`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
            Self::Logout => "logout",
        }
    }
}

/// Writes the enum and everything that must know each variant, from one table.
macro_rules! reasons {
    ($( $(#[$doc:meta])* $variant:ident = $label:literal, $class:ident, $status:ident; )*) => {
        /// Why a login, a logout or a session ended badly.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $( $(#[$doc])* $variant, )*
        }

        impl Reason {
            /// Every reason, in the order of the troubleshooting page.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )*];

            /// The code on pages, in logs and in metrics; stable.
            pub const fn label(self) -> &'static str {
                match self { $( Self::$variant => $label, )* }
            }

            /// What kind of end it is.
            pub const fn class(self) -> Class {
                match self { $( Self::$variant => Class::$class, )* }
            }

            /// The status of a page that tells it.
            pub const fn status(self) -> StatusCode {
                match self { $( Self::$variant => StatusCode::$status, )* }
            }
        }
    };
}

reasons! {
    // === sessions ===
    /// Longest time without activity is over.
    SessionIdle = "session_idle", Ended, UNAUTHORIZED;
    /// Longest life is over.
    SessionLifespan = "session_lifespan", Ended, UNAUTHORIZED;
    /// Logged out: in another tab, everywhere, or at the identity provider.
    SessionLoggedOut = "session_logged_out", Ended, UNAUTHORIZED;
    /// The same user began more sessions than one may have; this was the oldest.
    SessionLimit = "session_limit", Ended, UNAUTHORIZED;
    /// An administrator ended it.
    SessionRevoked = "session_revoked", Ended, UNAUTHORIZED;
    /// Another login in the same browser took its place.
    SessionReplaced = "session_replaced", Ended, UNAUTHORIZED;
    /// The identity provider ended it (single logout, or a back-channel logout token).
    SessionEndedByProvider = "session_ended_by_provider", Ended, UNAUTHORIZED;
    /// The program went down and was told to end what it had.
    SessionDrained = "session_drained", Ended, UNAUTHORIZED;
    /// The authority no longer accepts its tokens, and refreshing them failed.
    SessionTokenRefused = "session_token_refused", Ended, UNAUTHORIZED;
    /// Its client certificate is gone or another one.
    SessionCertificateChanged = "session_certificate_changed", Ended, UNAUTHORIZED;
    /// Its provider is no longer configured.
    SessionProviderRemoved = "session_provider_removed", Ended, UNAUTHORIZED;
    /// It is not in the store (any more).
    SessionUnknown = "session_unknown", Ended, UNAUTHORIZED;
    /// It would not fit into cookies.
    SessionTooLarge = "session_too_large", Misconfigured, INTERNAL_SERVER_ERROR;

    // === attempts ===
    /// A callback without its attempt: the cookie did not come along.
    AttemptMissing = "attempt_missing", Failed, BAD_REQUEST;
    /// The login took too long.
    AttemptExpired = "attempt_expired", Failed, BAD_REQUEST;
    /// The attempt was used already: back button, reload or double submit.
    AttemptUsed = "attempt_used", Failed, BAD_REQUEST;
    /// A callback of one provider for an attempt at another (mix-up).
    AttemptMismatch = "attempt_mismatch", Failed, BAD_REQUEST;
    /// Login after login without a session in between.
    RedirectLoop = "redirect_loop", Failed, BAD_REQUEST;
    /// The browser keeps no cookies of ours.
    CookiesBlocked = "cookies_blocked", Failed, BAD_REQUEST;
    /// No such page below the prefix.
    PageUnknown = "page_unknown", Failed, NOT_FOUND;
    /// No provider of that name.
    ProviderUnknown = "provider_unknown", Failed, NOT_FOUND;
    /// The provider is not offered on this host.
    ProviderNotHere = "provider_not_here", Failed, NOT_FOUND;
    /// A form or a callback that can't be read.
    RequestMalformed = "request_malformed", Failed, BAD_REQUEST;
    /// A form or a callback above its bound.
    RequestTooLarge = "request_too_large", Failed, PAYLOAD_TOO_LARGE;
    /// A method the page does not know.
    MethodNotAllowed = "method_not_allowed", Failed, METHOD_NOT_ALLOWED;
    /// A form sent by a page that is not ours.
    CrossSite = "cross_site", Failed, FORBIDDEN;
    /// The form's token is too old or another one.
    FormExpired = "form_expired", Failed, BAD_REQUEST;

    // === password ===
    /// Not accepted; which half was wrong is not told.
    PasswordWrong = "password_wrong", Failed, UNAUTHORIZED;
    /// User name or password was left empty.
    PasswordMissing = "password_missing", Failed, BAD_REQUEST;
    /// Too many failed logins from this address or for this user.
    TooManyFailures = "too_many_failures", Failed, TOO_MANY_REQUESTS;

    // === SAML ===
    /// The callback holds no `SAMLResponse` that can be read.
    SamlResponseMalformed = "saml_response_malformed", Failed, BAD_REQUEST;
    /// The authority's realm did not accept the response.
    SamlResponseRefused = "saml_response_refused", Failed, UNAUTHORIZED;
    /// The response answers another request than the attempt's.
    SamlRequestMismatch = "saml_request_mismatch", Failed, BAD_REQUEST;
    /// A logout request of the identity provider was not accepted.
    SamlLogoutRefused = "saml_logout_refused", Logout, BAD_REQUEST;

    // === OpenID Connect ===
    /// The identity provider or the person said no (`error=access_denied`).
    OidcAccessDenied = "oidc_access_denied", Denied, FORBIDDEN;
    /// The identity provider answered with another error (RFC 6749 §4.1.2.1).
    OidcProviderError = "oidc_provider_error", Failed, BAD_GATEWAY;
    /// The callback holds neither a code nor an error, or one twice.
    OidcResponseMalformed = "oidc_response_malformed", Failed, BAD_REQUEST;
    /// The authority's realm did not accept the response.
    OidcResponseRefused = "oidc_response_refused", Failed, UNAUTHORIZED;
    /// No attempt of this browser has this `state`.
    OidcStateUnknown = "oidc_state_unknown", Failed, BAD_REQUEST;
    /// A third party began a login at an issuer that no provider is for.
    OidcIssuerUnknown = "oidc_issuer_unknown", Failed, BAD_REQUEST;
    /// A back-channel logout token was not believed. Only in logs: no browser is there.
    OidcLogoutTokenRefused = "oidc_logout_token_refused", Logout, BAD_REQUEST;

    // === Kerberos ===
    /// The browser sent no ticket.
    KerberosNoTicket = "kerberos_no_ticket", Failed, UNAUTHORIZED;
    /// The browser sent NTLM instead of Kerberos.
    KerberosNtlm = "kerberos_ntlm", Failed, UNAUTHORIZED;
    /// The authority did not accept the ticket.
    KerberosTicketRefused = "kerberos_ticket_refused", Failed, UNAUTHORIZED;

    // === certificates ===
    /// The browser sent no certificate.
    CertificateMissing = "certificate_missing", Failed, UNAUTHORIZED;
    /// The certificate is expired, revoked or unreadable.
    CertificateUnusable = "certificate_unusable", Failed, UNAUTHORIZED;
    /// The authority did not accept the certificate.
    CertificateRefused = "certificate_refused", Failed, UNAUTHORIZED;

    // === anonymous ===
    /// The authority did not accept the credential of guests.
    AnonymousRefused = "anonymous_refused", Misconfigured, UNAUTHORIZED;

    // === the person ===
    /// Known, but without any role.
    NoRoles = "no_roles", Denied, FORBIDDEN;
    /// The access agreement was not accepted.
    AgreementDeclined = "agreement_declined", Denied, FORBIDDEN;

    // === the authority and the store ===
    /// The authority does not answer, or is overloaded.
    AuthorityUnavailable = "authority_unavailable", Unavailable, SERVICE_UNAVAILABLE;
    /// The authority's answer makes no sense.
    AuthorityAnswer = "authority_answer", Unavailable, BAD_GATEWAY;
    /// The authority does not accept Sidegate's own credential, or it may not do this.
    OwnCredentialRefused = "own_credential_refused", Misconfigured, SERVICE_UNAVAILABLE;
    /// The authority knows no such realm, or not of this kind.
    RealmUnknown = "realm_unknown", Misconfigured, SERVICE_UNAVAILABLE;
    /// The realm could not begin a login: its identity provider's metadata or keys can't be had.
    RealmNotReady = "realm_not_ready", Unavailable, SERVICE_UNAVAILABLE;
    /// The authority's token service is switched off.
    TokenServiceOff = "token_service_off", Misconfigured, SERVICE_UNAVAILABLE;
    /// The authority's licence does not cover this realm.
    LicenseMissing = "license_missing", Misconfigured, SERVICE_UNAVAILABLE;
    /// The user's profile could not be activated.
    ProfileNotActivated = "profile_not_activated", Unavailable, SERVICE_UNAVAILABLE;
    /// The store of sessions does not answer.
    StoreUnavailable = "store_unavailable", Unavailable, SERVICE_UNAVAILABLE;

    // === logout ===
    /// Logged out here; the identity provider was not told.
    LogoutIncomplete = "logout_incomplete", Logout, BAD_GATEWAY;
    /// Logged out here; the identity provider's answer could not be verified.
    LogoutUnverified = "logout_unverified", Logout, BAD_REQUEST;

    // === ourselves ===
    /// Something failed inside.
    Internal = "internal", Unavailable, INTERNAL_SERVER_ERROR;
}

impl Reason {
    /// The reason with this code.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.label() == label)
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_own_and_reads_back() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            let label = reason.label();
            assert!(
                label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{label}"
            );
            let first = Reason::from_label(label).unwrap();
            assert_eq!(first, Reason::ALL[index]);
            assert!(!reason.status().is_success(), "{label}");
        }
        assert_eq!(Reason::from_label("password"), None);
    }
}
