//! Rates, addresses and preflights of the config file as written; the same rules hold as in `file`.

use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::bounds_values::{Origin, RequestHeader};
use super::default;
use super::headers::Method;
use super::values::Written;

/// How often one client address may come to a listener. Each allowance is one second's worth at once, and grows back steadily.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests per second. One more is answered 429 with `Retry-After`. Behind a trusted proxy, its client's address counts.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: Option<u32>,
    /// New connections per second. One more is closed at once. Trusted proxies are excepted.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: Option<u32>,
}

/// Client addresses that a route takes requests from. All others are refused with 403 before any credential is looked at. Behind a trusted proxy, its client's address counts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// These alone. Without it, all.
    #[schemars(length(min = 1))]
    pub allow: Option<Vec<Written<IpNet>>>,
    /// None of these, even where `allow` has them.
    #[schemars(length(min = 1))]
    pub deny: Option<Vec<Written<IpNet>>>,
}

/// How many requests a route takes from one client. One more is answered 429 with `Retry-After`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests per `per`, in the long run.
    #[schemars(with = "u32", range(min = 1, max = 1_000_000))]
    pub requests: Option<u32>,
    /// The time that `requests` are counted over.
    #[schemars(extend("default" = default::RATE_PER))]
    pub per: Option<Written<Duration>>,
    /// Requests at once. Without it, as many as `requests`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<u32>,
    /// What one client is.
    #[schemars(extend("default" = default::RATE_BY))]
    pub by: Option<RateBy>,
}

/// What a rate limit counts by.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateBy {
    /// The client's address (IPv6: its /64), before any credential is looked at.
    Address,
    /// The authenticated user, whichever credential and address they come with.
    Identity,
}

/// What becomes of a CORS preflight: `OPTIONS` with `Origin` and `Access-Control-Request-Method`, without body and without credential. Everything else is judged, whatever stands here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preflight {
    /// It is judged like any other request, and refused where a credential is needed.
    Judge,
    /// It goes to the upstream, without an identity, and the upstream's answer to the browser.
    Pass,
    /// Sidegate answers it, and the upstream never sees it.
    Answer(PreflightAnswer),
}

/// How Sidegate answers a CORS preflight. The upstream still sets `Access-Control-Allow-Origin` on its own answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreflightAnswer {
    /// Origins whose pages may call; `*` alone: those of all.
    #[schemars(required, length(min = 1))]
    pub origins: Option<Vec<Written<Origin>>>,
    /// Methods they may call with. Without it, those of `match.methods`, or all common ones.
    #[schemars(length(min = 1))]
    pub methods: Option<Vec<Written<Method>>>,
    /// Request headers they may set, beside those that every page may; `*` alone: any. Without it, `Authorization` and `Content-Type`.
    #[schemars(length(min = 1))]
    pub headers: Option<Vec<Written<RequestHeader>>>,
    /// How long a browser may remember the answer, at most a day.
    #[schemars(extend("default" = default::PREFLIGHT_MAX_AGE))]
    pub max_age: Option<Written<Duration>>,
    /// Whether pages may send cookies and other credentials that the browser keeps, such as those of a session.
    #[schemars(extend("default" = default::PREFLIGHT_CREDENTIALS))]
    pub credentials: Option<bool>,
}
