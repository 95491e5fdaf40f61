//! Routes: what they take, what they ask, where they send it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::config::check::access::access;
use crate::config::check::bounds::rules;
use crate::config::check::conveyed::Around;
use crate::config::check::forward::forward;
use crate::config::check::report::Report;
use crate::config::check::shadow::{Taken, warn_of_shadows};
use crate::config::check::upstreams::is_in_the_clear;
use crate::config::check::ways;
use crate::config::default;
use crate::config::fault::At;
use crate::config::file::File;
use crate::config::file_routes;
use crate::config::forwards::Conveyed;
use crate::config::headers::METHODS;
use crate::config::nearest::did_you_mean;
use crate::config::patterns::PathPattern;
use crate::config::settings::{
    Access, Forward, Match, Requirement, Route, Upstream, UpstreamProtocol,
};
use crate::config::values::{Name, Written, shown};
use crate::config::ways::RouteCredentials;

/// The routes in written order.
pub(super) fn routes(
    report: &mut Report<'_>,
    file: &File,
    upstreams: Option<&BTreeMap<String, Upstream>>,
) -> Option<Vec<Route>> {
    let at = At::ROOT.key("routes");
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut used: HashSet<&str> = HashSet::new();
    let mut taken = Vec::new();
    let mut checked = Vec::new();
    for (index, written) in file.routes.as_deref()?.iter().enumerate() {
        let here = at.index(index);
        if let Some(name) = written.name.as_ref().and_then(|name| name.text())
            && let Some(first) = names.insert(name.to_owned(), index)
        {
            report.fault(
                &here.key("name"),
                format!("{} is the name of `routes[{first}]` already", shown(name)),
            );
        }
        used.extend(written.upstream.as_ref().and_then(|name| name.text()));
        let route = route(report, written, file, &here);
        if let Some((route, path)) = &route {
            if let Some(upstream) = upstreams.and_then(|upstreams| upstreams.get(&route.upstream)) {
                warn_of_exposure(report, route, upstream, &here.key("forward"));
                refuse_http2_sockets(report, route, upstream, &here.key("websocket"));
            }
            taken.push(Taken::new(index, route, path));
        }
        checked.push(route.map(|(route, _)| route));
    }
    warn_of_shadows(report, &taken);
    let unused: Vec<&String> = file
        .upstreams
        .iter()
        .flatten()
        .map(|(name, _)| name)
        .filter(|name| !used.contains(name.as_str()))
        .collect();
    for name in unused {
        let section = At::ROOT.key("upstreams");
        report.warn(
            &section.key(name),
            "no route sends anything to this upstream",
        );
    }
    checked.into_iter().collect()
}

fn route(
    report: &mut Report<'_>,
    written: &file_routes::Route,
    file: &File,
    at: &At<'_>,
) -> Option<(Route, PathPattern)> {
    let name = report.value(written.name.as_ref(), &at.key("name"));
    let matches = written
        .r#match
        .as_ref()
        .map(|file| matches(report, file, &at.key("match")));
    let (matches, path) = matches.unwrap_or((None, None));
    let captures: Option<Vec<&str>> = path.as_ref().map(|path| path.captures().collect());
    let access = access(report, written, captures.as_deref(), at);
    let upstream = upstream_name(report, written, file, at);
    let around = Around::of(
        file,
        name.as_ref().map(|name| name.0.as_str()),
        upstream.as_deref(),
    );
    let forward = forward(
        report,
        written.forward.as_ref(),
        &around,
        &at.key("forward"),
    );
    if matches!(access, Some(Access::Everyone))
        && matches!(
            forward,
            Some(Forward::IdentityHeaders(_) | Forward::Combined(_))
        )
    {
        report
            .warn(
                &at.key("forward"),
                "no identity ever travels here: with `allow: everyone` no credential is looked at",
            )
            .hint("`allow: authenticated`, or no `forward`");
    }
    let credentials = ways::route_credentials(
        report,
        written.credentials.as_ref(),
        access.as_ref(),
        &at.key("credentials"),
    );
    if let (Some(credentials), Some(Forward::Combined(combined))) = (&credentials, &forward)
        && credentials.secondary_authorization
        && combined.secondary
    {
        report.fault(
            &at.key("credentials").key("secondary_authorization"),
            "`forward.elasticsearch.secondary_authorization` sets the same header",
        );
    }
    warn_of_run_as(report, credentials.as_ref(), forward.as_ref(), at);
    if let (Some(Access::Require(requirement)), Some(Forward::Combined(combined))) =
        (&access, &forward)
        && combined.secondary
        && asks_for_the_call(requirement)
    {
        report.fault(
            &at.key("require"),
            "`elasticsearch_call` leaves some calls to Elasticsearch, and there Sidegate's own credential would be judged in place of the client's",
        );
    }
    let listeners = listener_names(report, written.listeners.as_deref(), file, at);
    let recheck = recheck(report, written, &at.key("recheck"));
    let rules = rules(report, written, access.as_ref(), at);
    let route = Route {
        rules: rules?,
        credentials: credentials?,
        listeners: listeners?,
        name: name?.0,
        matches: matches?,
        access: access?,
        upstream: upstream?,
        forward: forward?,
        websocket: written.websocket.unwrap_or(default::WEBSOCKET),
        recheck: recheck?,
    };
    Some((route, path?))
}

/// How often what lasts is looked at again.
fn recheck(
    report: &mut Report<'_>,
    written: &file_routes::Route,
    at: &At<'_>,
) -> Option<Option<Duration>> {
    let interval: Option<Option<Duration>> =
        report.value_or(written.recheck.as_ref(), default::RECHECK, at);
    if interval.flatten().is_some_and(|pause| pause.is_zero()) {
        report
            .fault(at, "a time of zero leaves no time at all")
            .allowed("a duration longer than zero, or `none`");
    }
    interval
}

/// Whether what the request is as a call of Elasticsearch's API takes part.
fn asks_for_the_call(requirement: &Requirement) -> bool {
    match requirement {
        Requirement::ElasticsearchCall => true,
        Requirement::AnyOf(parts) | Requirement::AllOf(parts) => {
            parts.iter().any(asks_for_the_call)
        }
        _ => false,
    }
}

/// A WebSocket travels on in HTTP/1.1.
fn refuse_http2_sockets(report: &mut Report<'_>, route: &Route, upstream: &Upstream, at: &At<'_>) {
    if route.websocket && upstream.protocol == UpstreamProtocol::Http2 {
        report
            .fault(
                at,
                format!(
                    "upstream `{}` is spoken to in HTTP/2, and a WebSocket travels on in HTTP/1.1",
                    upstream.name
                ),
            )
            .hint("another upstream with the same address, without `protocol: http2`");
    }
}

/// Who acts as another user can't have a token for the upstream, or a place beside Sidegate's own credential.
fn warn_of_run_as(
    report: &mut Report<'_>,
    credentials: Option<&RouteCredentials>,
    forward: Option<&Forward>,
    at: &At<'_>,
) {
    let (Some(credentials), Some(Forward::Combined(combined))) = (credentials, forward) else {
        return;
    };
    let is_refused = combined.credential == Conveyed::Token
        || (combined.secondary && combined.credential == Conveyed::Client);
    if credentials.run_as && is_refused {
        report.warn(
            &at.key("credentials").key("run_as"),
            "whoever acts as another user is refused here: what the upstream would get is the caller's own",
        );
    }
}

fn warn_of_exposure(report: &mut Report<'_>, route: &Route, upstream: &Upstream, at: &At<'_>) {
    let carried = match &route.forward {
        Forward::Passthrough => "clients' credentials are",
        Forward::Combined(combined) => match combined.credential {
            Conveyed::Client => "clients' credentials are",
            Conveyed::Token | Conveyed::ApiKey(_) => "credentials made for clients are",
            Conveyed::RunAs => "Sidegate's own credential is",
            Conveyed::Nothing => return,
        },
        Forward::None | Forward::IdentityHeaders(_) => return,
    };
    if is_in_the_clear(upstream) {
        report
            .warn(
                at,
                format!(
                    "{carried} passed on in clear text to upstream `{}`",
                    upstream.name
                ),
            )
            .hint("use `https` towards it");
    }
}

fn matches(
    report: &mut Report<'_>,
    file: &file_routes::Match,
    at: &At<'_>,
) -> (Option<Match>, Option<PathPattern>) {
    let (hosts_at, methods_at) = (at.key("hosts"), at.key("methods"));
    let path: Option<PathPattern> = report.value(file.path.as_ref(), &at.key("path"));
    let hosts = report.list(file.hosts.as_deref().unwrap_or_default(), &hosts_at);
    let methods = report.list(file.methods.as_deref().unwrap_or_default(), &methods_at);
    let hosts: Option<Vec<String>> =
        hosts.map(|hosts| hosts.into_iter().map(|host| host.0).collect());
    let methods: Option<Vec<String>> =
        methods.map(|methods| methods.into_iter().map(|method| method.0).collect());
    for (list, at) in [(&hosts, &hosts_at), (&methods, &methods_at)] {
        for (index, text) in list.iter().flatten().enumerate() {
            if list.iter().flatten().take(index).any(|other| other == text) {
                report.fault(&at.index(index), format!("{} is listed twice", shown(text)));
            }
        }
    }
    for (index, method) in methods.iter().flatten().enumerate() {
        if !METHODS.contains(&method.as_str()) {
            let warning = report.warn(
                &methods_at.index(index),
                format!("{} is no common method", shown(method)),
            );
            if let Some(hint) = did_you_mean(method, METHODS.iter().copied()) {
                warning.hint(hint);
            }
        }
    }
    let complete = match (&path, hosts, methods) {
        (Some(path), Some(hosts), Some(methods)) => Some(Match {
            hosts,
            path: path.text.clone(),
            methods,
        }),
        _ => None,
    };
    (complete, path)
}

/// Names that `listeners` gives.
fn listener_names(
    report: &mut Report<'_>,
    written: Option<&[Written<Name>]>,
    file: &File,
    at: &At<'_>,
) -> Option<Vec<String>> {
    let at = at.key("listeners");
    let names = report.list(written.unwrap_or_default(), &at)?;
    let known: Vec<&str> = file
        .listeners
        .iter()
        .flatten()
        .filter_map(|listener| listener.name.as_ref()?.text())
        .collect();
    for (index, Name(name)) in names.iter().enumerate() {
        let here = at.index(index);
        if names.iter().take(index).any(|other| other.0 == *name) {
            report.fault(&here, format!("{} is listed twice", shown(name)));
        } else if !known.contains(&name.as_str()) {
            let hint = did_you_mean(name, known.iter().copied());
            let fault = report.fault(&here, format!("no listener is named {}", shown(name)));
            match (known.as_slice(), hint) {
                ([], _) => fault.hint("give the listener a `name`"),
                (_, None) => fault.allowed(known.join(", ")),
                (_, Some(hint)) => fault.allowed(known.join(", ")).hint(hint),
            };
        }
    }
    Some(names.into_iter().map(|name| name.0).collect())
}

/// A name that `upstreams` holds.
fn upstream_name(
    report: &mut Report<'_>,
    written: &file_routes::Route,
    file: &File,
    at: &At<'_>,
) -> Option<String> {
    let at = at.key("upstream");
    let name = report.value(written.upstream.as_ref(), &at)?.0;
    // Without any upstreams that fault is told; every route would only repeat it.
    let known = file.upstreams.as_ref()?;
    if known.contains_key(&name) {
        return Some(name);
    }
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let hint = did_you_mean(&name, names.iter().copied());
    let mut listed = names
        .iter()
        .take(20)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > 20 {
        listed.push_str(", …");
    }
    let fault = report
        .fault(&at, format!("no upstream is named {}", shown(&name)))
        .allowed(listed);
    if let Some(hint) = hint {
        fault.hint(hint);
    }
    None
}
