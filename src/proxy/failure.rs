//! Every way a permitted request can fail behind Sidegate.

use std::time::Duration;

use crate::net::connect::ConnectError;
use crate::net::http::BodyError;
use crate::net::steady::Stalled;

/// Why no response of the upstream can be given.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection. 502, or 504 when it took too long.
    #[error("upstream can't be reached: {0}")]
    Connect(#[from] ConnectError),
    /// No response head in time. 504
    #[error("upstream did not answer within {}s", .0.as_secs_f32())]
    ResponseTimeout(Duration),
    /// No response head within the time the client itself gave. 504
    #[error("upstream did not answer within the client's own deadline")]
    Deadline,
    /// The connection ended before a response head. 502
    #[error("upstream closed the connection: {0}")]
    Closed(#[source] hyper::Error),
    /// Something that isn't HTTP. 502
    #[error("upstream does not speak http: {0}")]
    Protocol(#[source] hyper::Error),
    /// `101` that isn't the WebSocket handshake asked for. 502
    #[error("upstream switched protocols wrongly")]
    Upgrade,
    /// As many requests as the upstream may have are under way. 503, never sent
    #[error("upstream has as many requests as it may")]
    Overloaded,
    /// The response ended in its middle. Its status has been sent, so the client sees it cut off
    #[error("response of the upstream broke off: {0}")]
    BrokeOff(#[source] BodyError),
    /// The response stood still in its middle. The client sees it cut off
    #[error("response of the upstream broke off: {0}")]
    StoodStill(#[source] Stalled),
    /// The client's request body broke off. 400, never seen by anybody
    #[error("request body broke off")]
    RequestBody,
    /// The client's request body stood still. 408
    #[error("request body stood still")]
    RequestBodyStalled,
}

impl Failure {
    /// Every label [`Failure::cause`] can return, to pre-create metric series.
    pub const CAUSES: [&'static str; 13] = [
        "connect",
        "connect_timeout",
        "tls",
        "response_timeout",
        "deadline",
        "closed",
        "protocol",
        "upgrade",
        "overloaded",
        "broke_off",
        "stood_still",
        "request_body",
        "request_body_stalled",
    ];

    /// Why a response's body failed.
    pub fn of_body(error: BodyError) -> Self {
        match error.downcast::<Stalled>() {
            Ok(stalled) => Self::StoodStill(*stalled),
            Err(error) => Self::BrokeOff(error),
        }
    }

    /// Whether the upstream may have done what it was asked, although nobody heard of it.
    pub const fn may_follow_an_effect(&self) -> bool {
        match self {
            Self::ResponseTimeout(_)
            | Self::Deadline
            | Self::Closed(_)
            | Self::Protocol(_)
            | Self::Upgrade
            | Self::BrokeOff(_)
            | Self::StoodStill(_) => true,
            Self::Connect(_) | Self::Overloaded | Self::RequestBody | Self::RequestBodyStalled => {
                false
            }
        }
    }

    /// The reason told in header and access log; a closed set.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Connect(ConnectError::Io(_)) => "upstream_connect",
            Self::Connect(ConnectError::Timeout(_)) => "upstream_connect_timeout",
            Self::Connect(ConnectError::Tls(_) | ConnectError::NoHttp2) => "upstream_tls",
            Self::ResponseTimeout(_) => "upstream_response_timeout",
            Self::Deadline => "upstream_deadline",
            Self::Closed(_) => "upstream_closed",
            Self::Protocol(_) => "upstream_protocol",
            Self::Upgrade => "upstream_upgrade",
            Self::Overloaded => "upstream_overloaded",
            Self::BrokeOff(_) => "upstream_broke_off",
            Self::StoodStill(_) => "upstream_stood_still",
            Self::RequestBody => "request_body",
            Self::RequestBodyStalled => "request_body_stalled",
        }
    }

    /// The label in logs and metrics; a closed set.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Connect(ConnectError::Io(_)) => "connect",
            Self::Connect(ConnectError::Timeout(_)) => "connect_timeout",
            Self::Connect(ConnectError::Tls(_) | ConnectError::NoHttp2) => "tls",
            Self::ResponseTimeout(_) => "response_timeout",
            Self::Deadline => "deadline",
            Self::Closed(_) => "closed",
            Self::Protocol(_) => "protocol",
            Self::Upgrade => "upgrade",
            Self::Overloaded => "overloaded",
            Self::BrokeOff(_) => "broke_off",
            Self::StoodStill(_) => "stood_still",
            Self::RequestBody => "request_body",
            Self::RequestBodyStalled => "request_body_stalled",
        }
    }
}
