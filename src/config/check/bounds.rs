//! Rates, addresses, preflights, and how many requests there may be at a time.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::bounds::{
    Addresses, ListenerBounds, Preflight, PreflightAnswer, RateBy, RateLimit, RouteRules,
    UpstreamBounds,
};
use crate::config::bounds_values::{Origin, RequestHeader};
use crate::config::check::report::{Report, Zero};
use crate::config::default;
use crate::config::fault::At;
use crate::config::settings::Access;
use crate::config::values::Written;
use crate::config::{file, file_bounds, file_routes};

/// Longest wait for one's turn at an upstream: what waits holds memory, and its client's patience.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Longest time a rate may be counted over.
const LONGEST_PER: Duration = Duration::from_secs(24 * 60 * 60);

/// Methods that a page may call with when neither answer nor route lists any.
const COMMON_METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Headers that a page may set when none are listed.
const USUAL_HEADERS: [&str; 2] = ["authorization", "content-type"];

/// The bounds of a listener; the schema has judged the numbers.
pub(super) fn listener_bounds(file: &file::Limits) -> ListenerBounds {
    let rate = file.rate.as_ref();
    let number = |number: u32| number as usize;
    ListenerBounds {
        requests: Some(number(file.max_requests.unwrap_or(default::MAX_REQUESTS))),
        connections_per_address: file.max_connections_per_address.map(number),
        request_rate: rate.and_then(|rate| rate.requests),
        connection_rate: rate.and_then(|rate| rate.connections),
    }
}

/// The bounds of an upstream.
pub(super) fn upstream_bounds(
    report: &mut Report<'_>,
    file: &file::Upstream,
    at: &At<'_>,
) -> Option<UpstreamBounds> {
    let wait_at = at.key("max_wait");
    let wait = report.duration(
        file.max_wait.as_ref(),
        default::MAX_WAIT,
        Zero::Allowed,
        &wait_at,
    )?;
    if wait > LONGEST_WAIT {
        report
            .fault(&wait_at, "too long: whoever waits holds memory")
            .allowed("a duration up to `10s`");
        return None;
    }
    if file.max_requests.is_none() && !wait.is_zero() {
        report.warn(&wait_at, "nobody waits without `max_requests`");
    }
    Some(UpstreamBounds {
        requests: file.max_requests.map(|number| number as usize),
        wait,
    })
}

/// What a route looks at beside credentials.
pub(super) fn rules(
    report: &mut Report<'_>,
    route: &file_routes::Route,
    access: Option<&Access>,
    at: &At<'_>,
) -> Option<RouteRules> {
    let addresses = match &route.addresses {
        None => Some(None),
        Some(file) => addresses(report, file, &at.key("addresses")).map(Some),
    };
    let rate = match &route.rate_limit {
        None => Some(None),
        Some(file) => rate(report, file, access, &at.key("rate_limit")).map(Some),
    };
    let preflight = preflight(report, route, access, &at.key("preflight"));
    Some(RouteRules {
        addresses: addresses?,
        rate: rate?,
        preflight: preflight?,
    })
}

fn addresses(
    report: &mut Report<'_>,
    file: &file_bounds::Addresses,
    at: &At<'_>,
) -> Option<Addresses> {
    let (allow_at, deny_at) = (at.key("allow"), at.key("deny"));
    if file.allow.is_none()
        && file.deny.is_none()
        && !report.is_faulty(&allow_at)
        && !report.is_faulty(&deny_at)
    {
        report
            .fault(at, "it names no address")
            .allowed("`allow: [..]`, `deny: [..]`, or both");
    }
    let mut list = |written: &Option<Vec<Written<IpNet>>>, at: &At<'_>| {
        report.list(written.as_deref().unwrap_or_default(), at)
    };
    let (allow, deny) = (list(&file.allow, &allow_at), list(&file.deny, &deny_at));
    let (allow, deny) = (allow?, deny?);
    for (index, network) in allow.iter().enumerate() {
        if deny.iter().any(|denied| denied.contains(network)) {
            report.warn(
                &allow_at.index(index),
                format!("`deny` has all of {network}, so nobody comes in by it"),
            );
        }
    }
    Some(Addresses { allow, deny })
}

fn rate(
    report: &mut Report<'_>,
    file: &file_bounds::RateLimit,
    access: Option<&Access>,
    at: &At<'_>,
) -> Option<RateLimit> {
    let per_at = at.key("per");
    let per = report.duration(file.per.as_ref(), default::RATE_PER, Zero::Refused, &per_at);
    if per.is_some_and(|per| per > LONGEST_PER) {
        report
            .fault(&per_at, "nothing is remembered for that long")
            .allowed("a duration up to `1d`");
        return None;
    }
    let by = match file.by {
        None | Some(file_bounds::RateBy::Address) => RateBy::Address,
        Some(file_bounds::RateBy::Identity) => RateBy::Identity,
    };
    if by == RateBy::Identity && matches!(access, Some(Access::Everyone)) {
        report
            .fault(&at.key("by"), "with `allow: everyone` no identity is known")
            .allowed("`address`");
    }
    // The schema has told already when it is missing.
    let requests = file.requests?;
    Some(RateLimit {
        requests,
        per: per?,
        burst: file.burst.unwrap_or(requests),
        by,
    })
}

fn preflight(
    report: &mut Report<'_>,
    route: &file_routes::Route,
    access: Option<&Access>,
    at: &At<'_>,
) -> Option<Preflight> {
    let methods = route.r#match.as_ref().and_then(|it| it.methods.as_deref());
    let methods: Vec<&str> = methods
        .into_iter()
        .flatten()
        .filter_map(Written::text)
        .collect();
    let checked = match &route.preflight {
        None | Some(file_bounds::Preflight::Judge) => return Some(Preflight::Judge),
        Some(file_bounds::Preflight::Pass) => Some(Preflight::Pass),
        Some(file_bounds::Preflight::Answer(file)) => {
            answer(report, file, &methods, &at.key("answer"))
                .map(|answer| Preflight::Answer(Arc::new(answer)))
        }
    };
    if !methods.is_empty() && !methods.contains(&"OPTIONS") {
        report
            .fault(
                at,
                "no preflight ever gets here: `match.methods` leaves out `OPTIONS`",
            )
            .hint("add `OPTIONS` to `match.methods`");
    }
    if matches!(
        (access, &checked),
        (Some(Access::Everyone), Some(Preflight::Pass))
    ) {
        report.warn(at, "with `allow: everyone` they pass anyway");
    }
    checked
}

fn answer(
    report: &mut Report<'_>,
    file: &file_bounds::PreflightAnswer,
    of_route: &[&str],
    at: &At<'_>,
) -> Option<PreflightAnswer> {
    let (origins_at, headers_at) = (at.key("origins"), at.key("headers"));
    let origins = report.list(file.origins.as_deref()?, &origins_at);
    let methods = report.list(
        file.methods.as_deref().unwrap_or_default(),
        &at.key("methods"),
    );
    let headers = report.list(file.headers.as_deref().unwrap_or_default(), &headers_at);
    let age_at = at.key("max_age");
    let max_age = report.duration(
        file.max_age.as_ref(),
        default::PREFLIGHT_MAX_AGE,
        Zero::Allowed,
        &age_at,
    );
    if max_age.is_some_and(|age| age > Duration::from_secs(24 * 60 * 60)) {
        report
            .fault(&age_at, "no browser remembers it for so long")
            .allowed("a duration up to `1d`");
    }
    let credentials = file.credentials.unwrap_or(default::PREFLIGHT_CREDENTIALS);
    let origins: Vec<String> = origins?.into_iter().map(|Origin(text)| text).collect();
    let any = alone(report, &origins, &origins_at);
    if any && credentials {
        report
            .fault(
                &at.key("credentials"),
                "with the origin `*` every page in the world would act with its visitor's credentials",
            )
            .hint("name the origins");
    }
    let headers: Vec<String> = headers?
        .into_iter()
        .map(|RequestHeader(name)| name)
        .collect();
    let any_header = alone(report, &headers, &headers_at);
    let methods: Vec<String> = methods?.into_iter().map(|method| method.0).collect();
    let methods = match (methods.is_empty(), of_route) {
        (false, _) => methods,
        (true, []) => COMMON_METHODS.map(str::to_owned).into(),
        (true, listed) => listed.iter().map(|method| (*method).to_owned()).collect(),
    };
    Some(PreflightAnswer {
        origins: if any { Vec::new() } else { origins },
        methods,
        headers: match (any_header, file.headers.is_some()) {
            (true, _) => None,
            (false, true) => Some(headers),
            (false, false) => Some(USUAL_HEADERS.map(str::to_owned).into()),
        },
        max_age: max_age?,
        credentials,
    })
}

/// Whether the list is `*`, which stands for all others.
fn alone(report: &mut Report<'_>, list: &[String], at: &At<'_>) -> bool {
    let any = list.iter().any(|text| text == "*");
    if any && list.len() > 1 {
        report
            .fault(at, "`*` stands beside others")
            .allowed("`*` alone, or a list without it");
    }
    any
}
