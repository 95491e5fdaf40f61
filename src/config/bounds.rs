//! What bounds how much is let in, and from where: the part of the settings that is about numbers and addresses, not about
//! credentials. Plain data, as in `settings`.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

/// Limits on failed logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginLimit {
    /// Failures a source address may have at once.
    pub per_address: u32,
    /// Failures a user name may have at once.
    pub per_username: u32,
    /// Time in which the whole allowance grows back.
    pub window: Duration,
}

/// What a listener takes at a time, and from one client address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerBounds {
    /// Requests being answered; `None`: any number.
    pub requests: Option<usize>,
    /// Open connections of one address; `None`: any number.
    pub connections_per_address: Option<usize>,
    /// Requests per second of one address; `None`: any number.
    pub request_rate: Option<u32>,
    /// New connections per second of one address; `None`: any number.
    pub connection_rate: Option<u32>,
}

impl ListenerBounds {
    /// None at all.
    pub const NONE: Self = Self {
        requests: None,
        connections_per_address: None,
        request_rate: None,
        connection_rate: None,
    };
}

/// What an upstream is sent at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamBounds {
    /// Requests under way; `None`: any number.
    pub requests: Option<usize>,
    /// How long one more waits for its turn; zero: not at all.
    pub wait: Duration,
}

/// What a route looks at beside credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteRules {
    /// Whence requests may come; `None`: from everywhere.
    pub addresses: Option<Addresses>,
    /// How many may come; `None`: any number.
    pub rate: Option<RateLimit>,
    /// What becomes of CORS preflights.
    pub preflight: Preflight,
}

/// Client addresses a route takes requests from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// These alone; empty: all.
    pub allow: Vec<IpNet>,
    /// None of these, whatever `allow` says.
    pub deny: Vec<IpNet>,
}

/// How many requests one client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in the long run.
    pub requests: u32,
    /// Per this time.
    pub per: Duration,
    /// At once.
    pub burst: u32,
    /// What one client is.
    pub by: RateBy,
}

/// What a rate limit counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateBy {
    /// The client's address; an IPv6 network of 64 bits is one.
    Address,
    /// The authenticated user: realm and name.
    Identity,
}

/// What becomes of a CORS preflight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Preflight {
    /// It is judged like any other request.
    #[default]
    Judge,
    /// It goes to the upstream without a credential and without an identity.
    Pass,
    /// Sidegate answers it.
    Answer(Arc<PreflightAnswer>),
}

/// How Sidegate answers a CORS preflight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreflightAnswer {
    /// Origins, in the form browsers send them; empty: any.
    pub origins: Vec<String>,
    /// Methods, upper case.
    pub methods: Vec<String>,
    /// Header names, lower case; `None`: whatever is asked for.
    pub headers: Option<Vec<String>>,
    /// How long a browser may remember the answer.
    pub max_age: Duration,
    /// Whether the request itself may bring cookies and other credentials that the browser keeps.
    pub credentials: bool,
}
