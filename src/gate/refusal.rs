//! Every reason to say no, with its public text and its log label.
//!
//! The client gets [`Refusal::public`], which never says which half of a credential was wrong or which privilege is missing;
//! the log gets [`Refusal::reason`] and the `Display` text. Doors turn a refusal into their protocol without a `_` arm.

use std::time::Duration;

use crate::model::credential::Scheme;
use crate::session::ended::EndReason;

/// Why a request may not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request can be read in more than one way, or in none (R-16…R-20). 400
    #[error("ambiguous request: {0}")]
    Ambiguous(Ambiguity),
    /// The client expects something other than `100-continue` (RFC 9110 §10.1.1). 417
    #[error("unknown expectation")]
    ExpectationUnknown,
    /// `CONNECT` and `TRACE` are never forwarded. 405
    #[error("method is not allowed")]
    MethodNotAllowed,
    /// No route takes this request. 404
    #[error("no route matches")]
    NoRoute,
    /// The route asks for a credential and there is none. 401
    #[error("no credential")]
    NoCredential,
    /// The credential can't be read; nobody was asked. 401
    #[error("malformed {} credential", scheme.map_or("unknown", Scheme::label))]
    MalformedCredential {
        /// Its scheme, if that much could be read.
        scheme: Option<Scheme>,
    },
    /// The authority doesn't accept the credential. 401
    #[error("the authority refused the {} credential", scheme.label())]
    Unauthenticated {
        /// Its scheme.
        scheme: Scheme,
    },
    /// The browser's session is over. 401
    #[error("the session is over: {}", .0.label())]
    SessionEnded(EndReason),
    /// The user has not agreed yet to what there is to agree to. 401
    #[error("the access agreement is not accepted yet")]
    AgreementPending,
    /// A request that changes something came with a session, and not from this site's own pages. 403
    #[error("another site may have made the request")]
    CrossSite,
    /// The store of sessions can't be asked; nobody is logged out by that. 503
    #[error("the session store is in trouble: {cause}")]
    SessionStore {
        /// Label of the cause.
        cause: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
    /// The client must answer the authority's token before it is known who it is (RFC 4559 §5). 401
    #[error("the negotiation is not finished")]
    NegotiationUnfinished {
        /// base64, for `WWW-Authenticate: Negotiate`.
        reply: String,
    },
    /// The identity lacks what the route requires. 403
    #[error("missing {}", missing.join(", "))]
    Forbidden {
        /// Who it was.
        username: String,
        /// Missing atoms and roles, in words.
        missing: Vec<String>,
    },
    /// The route exchanges credentials, and this kind of credential can't be exchanged for what it wants. 403
    #[error("a {} credential can't be exchanged for what the upstream needs", scheme.label())]
    NotExchangeable {
        /// Its scheme.
        scheme: Scheme,
    },
    /// An upgrade this route doesn't allow, or not to WebSocket. 403
    #[error("upgrade is not allowed here")]
    UpgradeNotAllowed,
    /// Too many failed logins from this address or for this user name. 429
    #[error("too many failed logins by {by}")]
    TooManyFailures {
        /// `address` or `username`.
        by: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
    /// The route takes no requests from there. 403
    #[error("the client's address is not allowed here")]
    AddressNotAllowed,
    /// What a CORS preflight asks for is not what the route's answer allows. 403
    #[error("the {0} of the preflight is not allowed here")]
    PreflightNotAllowed(&'static str),
    /// More requests than a route or listener takes from one client. 429
    #[error("too many requests by {by}")]
    RateLimited {
        /// `address` or `identity`.
        by: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
    /// More requests at a time than the listener takes. 503
    #[error("too many requests at a time")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// The authority can't be asked or doesn't make sense. 503
    #[error("authority is in trouble: {cause}")]
    AuthorityUnavailable {
        /// Label of the cause: `timeout`, `connect`, `overloaded`, `status`, `garbage`, `own_credential`.
        cause: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
    /// Something inside failed; denied because anything else would be guessing. 500
    #[error("internal failure: {0}")]
    Internal(&'static str),
}

/// What made a request ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// Absolute, authority or opaque form that doesn't agree with `Host`.
    #[error("request target")]
    Target,
    /// None, several, or malformed hosts.
    #[error("host")]
    Host,
    /// A path with more than one reading: encoded separators, control bytes, parameters, invalid UTF-8.
    #[error("path")]
    Path,
    /// A header that may stand once stands twice, or a name that folds to a protected one is malformed.
    #[error("header")]
    Header,
    /// More than one credential.
    #[error("more than one credential")]
    Credentials,
    /// `Connection` names a protected header.
    #[error("connection header names a protected header")]
    Connection,
    /// Body framing that could be read in two ways.
    #[error("message framing")]
    Framing,
}

impl Refusal {
    /// The label in logs and metrics; a closed set.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Ambiguous(ambiguity) => ambiguity.label(),
            Self::ExpectationUnknown => "expectation_unknown",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NoRoute => "no_route",
            Self::NoCredential => "no_credential",
            Self::MalformedCredential { .. } => "malformed_credential",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::NegotiationUnfinished { .. } => "negotiation_unfinished",
            Self::Forbidden { .. } => "forbidden",
            Self::NotExchangeable { .. } => "not_exchangeable",
            Self::UpgradeNotAllowed => "upgrade_not_allowed",
            Self::TooManyFailures { .. } => "too_many_failures",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::PreflightNotAllowed(_) => "preflight_not_allowed",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded { .. } => "overloaded",
            Self::AuthorityUnavailable { .. } => "authority_unavailable",
            Self::SessionEnded(reason) => reason.label(),
            Self::AgreementPending => "agreement_pending",
            Self::CrossSite => "cross_site",
            Self::SessionStore { .. } => "store_unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// Every label [`Refusal::reason`] can return, to pre-create metric series.
    pub const REASONS: [&'static str; 39] = [
        "ambiguous_target",
        "ambiguous_host",
        "ambiguous_path",
        "ambiguous_header",
        "ambiguous_credentials",
        "ambiguous_connection",
        "ambiguous_framing",
        "expectation_unknown",
        "method_not_allowed",
        "no_route",
        "no_credential",
        "malformed_credential",
        "unauthenticated",
        "negotiation_unfinished",
        "forbidden",
        "not_exchangeable",
        "upgrade_not_allowed",
        "too_many_failures",
        "address_not_allowed",
        "preflight_not_allowed",
        "rate_limited",
        "overloaded",
        "authority_unavailable",
        "internal",
        "session_idle",
        "session_lifespan",
        "session_logged_out",
        "session_ended_by_provider",
        "session_limit",
        "session_revoked",
        "session_replaced",
        "session_token_refused",
        "session_certificate_changed",
        "session_provider_removed",
        "session_unknown",
        "session_drained",
        "agreement_pending",
        "cross_site",
        "store_unavailable",
    ];

    /// What the client is told.
    pub const fn public(&self) -> &'static str {
        match self {
            Self::Ambiguous(_) => "The request is ambiguous or malformed.",
            Self::ExpectationUnknown => "This expectation can't be met.",
            Self::MethodNotAllowed => "This method is not allowed.",
            Self::NoRoute => "There is nothing here.",
            Self::NoCredential => "A credential is required.",
            Self::NegotiationUnfinished { .. } => "The negotiation goes on.",
            Self::MalformedCredential { .. } | Self::Unauthenticated { .. } => {
                "The credential was not accepted."
            }
            Self::Forbidden { .. } => "You are not allowed to do this.",
            Self::NotExchangeable { .. } => "This kind of credential can't be used here.",
            Self::UpgradeNotAllowed => "This upgrade is not allowed.",
            Self::TooManyFailures { .. } => "Too many failed logins; try again later.",
            Self::AddressNotAllowed => "You can't come in from there.",
            Self::PreflightNotAllowed(_) => "Pages of that origin can't do this.",
            Self::RateLimited { .. } => "Too many requests; try again later.",
            Self::Overloaded { .. } => "There is too much to do right now; try again later.",
            Self::AuthorityUnavailable { .. } => {
                "Permissions can't be checked right now; try again later."
            }
            Self::SessionEnded(_) => "The session is over; log in again.",
            Self::AgreementPending => "There is something to agree to first.",
            Self::CrossSite => "The request did not come from this site.",
            Self::SessionStore { .. } => {
                "The session can't be looked up right now; try again later."
            }
            Self::Internal(_) => "Something went wrong inside the gate.",
        }
    }
}

impl Ambiguity {
    /// The label in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Target => "ambiguous_target",
            Self::Host => "ambiguous_host",
            Self::Path => "ambiguous_path",
            Self::Header => "ambiguous_header",
            Self::Credentials => "ambiguous_credentials",
            Self::Connection => "ambiguous_connection",
            Self::Framing => "ambiguous_framing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_session_is_a_reason() {
        for reason in EndReason::ALL {
            assert!(Refusal::REASONS.contains(&Refusal::SessionEnded(reason).reason()));
        }
    }

    #[test]
    fn no_public_text_names_a_user_or_a_privilege() {
        let refusal = Refusal::Forbidden {
            username: "bob".into(),
            missing: vec!["cluster:monitor".into()],
        };
        assert!(!refusal.public().contains("bob") && !refusal.public().contains("monitor"));
        assert_eq!(refusal.to_string(), "missing cluster:monitor");
    }
}
