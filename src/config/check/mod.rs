//! From the file as written to the settings as meant: pure, and with every fault at once.
//!
//! Each section has its file here, with one function from what was written to `Option` of what is meant; `None` means that a
//! fault was noted, and the others are checked all the same. Nothing is bound, connected or changed; the environment and files
//! are read through [`Surroundings`] only.

mod access;
mod authority;
mod bounds;
mod conveyed;
mod forward;
mod jwt;
mod listeners;
mod oidc;
mod pages;
mod realms;
mod report;
mod requirement;
mod routes;
mod saml;
mod session;
mod shadow;
mod signing;
mod sso;
mod upstreams;
mod ways;

use std::path::Path;

use serde::de::DeserializeOwned;

use self::report::{Report, Zero};
use super::bounds::LoginLimit;
use super::default;
use super::fault::{At, Fault, Faults, Place};
use super::file::{self, AuthorityFile, File};
use super::references::{Seen, Surroundings};
use super::schema::{authority_schema, schema};
use super::settings::{AccessLog, AccessLogFormat, AccessLogTarget, Authority, Cache, Settings};
use super::settings_authority::AuthorityAlone;
use super::{shape, tree};

/// A config without faults.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it means.
    pub settings: Settings,
    /// What is doubtful about it, in the order of the file.
    pub warnings: Vec<Fault>,
}

/// A file of `sidegate authority` without faults.
#[derive(Clone, Debug)]
pub struct CheckedAuthority {
    /// What it means.
    pub settings: AuthorityAlone,
    /// What is doubtful about it, in the order of the file.
    pub warnings: Vec<Fault>,
}

/// Reads and checks a config file.
///
/// # Errors
/// Every fault, in the order of the file; a file that can't be read is one.
pub fn load(path: &Path, surroundings: &dyn Surroundings) -> Result<Checked, Faults> {
    check(&read(path, surroundings)?, surroundings)
}

/// Reads and checks a file of `sidegate authority`.
///
/// # Errors
/// Every fault, in the order of the file; a file that can't be read is one.
pub fn load_authority(
    path: &Path,
    surroundings: &dyn Surroundings,
) -> Result<CheckedAuthority, Faults> {
    let text = read(path, surroundings)?;
    let (settings, warnings) =
        understand(&text, surroundings, authority_schema(), authority_alone)?;
    Ok(CheckedAuthority { settings, warnings })
}

/// Checks the text of a config file.
///
/// # Errors
/// Every fault, in the order of the file.
pub fn check(text: &str, surroundings: &dyn Surroundings) -> Result<Checked, Faults> {
    let (settings, warnings) = understand(text, surroundings, schema(), settings)?;
    Ok(Checked { settings, warnings })
}

fn read(path: &Path, surroundings: &dyn Surroundings) -> Result<String, Faults> {
    let refused = |place, problem| Faults(vec![Fault::new("", place, problem)]);
    let content = surroundings.file(path).map_err(|error| {
        refused(
            None,
            format!("file {} can't be read: {error}", path.display()),
        )
    })?;
    match std::str::from_utf8(&content) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let before = &content[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
            let place = Place { line, column: 1 };
            Err(refused(Some(place), "the file is not UTF-8".to_owned()))
        }
    }
}

/// From text to meaning: fits it to a schema, reads it as `F`, and lets `mean` look at every value.
fn understand<F: DeserializeOwned, S>(
    text: &str,
    surroundings: &dyn Surroundings,
    schema: &serde_json::Value,
    mean: impl FnOnce(&mut Report<'_>, &F) -> Option<S>,
) -> Result<(S, Vec<Fault>), Faults> {
    let root = tree::parse(text).map_err(|fault| Faults(vec![fault]))?;
    let mut faults = Vec::new();
    let root = shape::fit(schema, root, &mut faults);
    let seen = Seen::of(surroundings);
    let mut report = Report::new(&root, &seen, faults);
    let settings = match serde_json::from_value::<F>(root.to_json()) {
        Ok(file) => mean(&mut report, &file),
        // serde's own text may quote a value, and there is nothing it knows that the shape did not tell.
        Err(_) => None,
    };
    let Report {
        mut faults,
        mut warnings,
        ..
    } = report;
    faults.sort_by_key(|fault| fault.place);
    warnings.sort_by_key(|warning| warning.place);
    match settings {
        Some(settings) if faults.is_empty() => Ok((settings, warnings)),
        Some(_) | None => {
            if faults.is_empty() {
                faults.push(Fault::new("", None, "the file does not fit its schema"));
            }
            Err(Faults(faults))
        }
    }
}

fn authority_alone(report: &mut Report<'_>, file: &AuthorityFile) -> Option<AuthorityAlone> {
    let root = At::ROOT;
    let authority = authority::authority(report, file.authority.as_ref());
    let drain_timeout = report.duration(
        file.drain_timeout.as_ref(),
        default::DRAIN_TIMEOUT,
        Zero::Allowed,
        &root.key("drain_timeout"),
    );
    let embedded = match authority? {
        Authority::Embedded(embedded) => embedded,
        Authority::Elasticsearch(_) => {
            report
                .fault(
                    &root.key("authority"),
                    "this command serves the embedded authority",
                )
                .allowed("`embedded`");
            return None;
        }
    };
    Some(AuthorityAlone {
        embedded,
        drain_timeout: drain_timeout?,
        workers: file.workers.map(|workers| workers as usize),
    })
}

fn settings(report: &mut Report<'_>, file: &File) -> Option<Settings> {
    let root = At::ROOT;
    let listeners = listeners::listeners(report, file);
    let admin = listeners::admin(report, file.admin.as_ref());
    let authority = authority::authority(report, file.authority.as_ref());
    if let Some(Authority::Embedded(embedded)) = &authority
        && embedded.tls.is_some()
        && embedded.address.is_none()
    {
        report.warn(
            &root.key("authority").key("embedded").key("tls"),
            "there is no `address`, so nothing is served by it",
        );
    }
    listeners::refuse_conflicts(
        report,
        listeners.as_deref(),
        admin.as_ref(),
        authority.as_ref(),
    );
    let upstreams = upstreams::upstreams(report, file);
    let signing = file
        .assertion
        .as_ref()
        .map(|written| signing::signing(report, written, &root.key("assertion")));
    let routes = routes::routes(report, file, upstreams.as_ref());
    let instance = report.optional(file.instance.as_ref(), &root.key("instance"));
    let credentials = ways::credentials(report, file.credentials.as_ref());
    let beside = sso::Beside {
        listeners: listeners.as_deref(),
        authority: authority.as_ref(),
    };
    let sso = sso::sso(report, file.sso.as_ref(), &beside);
    let cache = cache(
        report,
        file.cache.as_ref().unwrap_or(&file::Cache::default()),
    );
    let login_limit = login_limit(
        report,
        file.login_limit
            .as_ref()
            .unwrap_or(&file::LoginLimit::default()),
    );
    let access_log = access_log(
        report,
        file.access_log
            .as_ref()
            .unwrap_or(&file::AccessLog::default()),
    );
    let drain_timeout = report.duration(
        file.drain_timeout.as_ref(),
        default::DRAIN_TIMEOUT,
        Zero::Allowed,
        &root.key("drain_timeout"),
    );
    let drain_delay = report.duration(
        file.drain_delay.as_ref(),
        default::DRAIN_DELAY,
        Zero::Allowed,
        &root.key("drain_delay"),
    );
    Some(Settings {
        listeners: listeners?,
        admin: admin?,
        authority: authority?,
        upstreams: upstreams?,
        cache: cache?,
        routes: routes?,
        credentials: credentials?,
        login_limit: login_limit?,
        explain_refusals: file.explain_refusals.unwrap_or(default::EXPLAIN_REFUSALS),
        access_log: access_log?,
        drain_delay: drain_delay?,
        drain_timeout: drain_timeout?,
        workers: file.workers.map(|workers| workers as usize),
        assertion: match signing {
            Some(signing) => Some(signing?),
            None => None,
        },
        instance: instance?.map(|name| name.0),
        sso: sso?,
    })
}

fn cache(report: &mut Report<'_>, file: &file::Cache) -> Option<Cache> {
    const LONG: std::time::Duration = std::time::Duration::from_secs(3_600);
    let at = At::ROOT.key("cache");
    let ttl = report.duration(
        file.ttl.as_ref(),
        default::TTL,
        Zero::Refused,
        &at.key("ttl"),
    );
    if ttl.is_some_and(|ttl| ttl > LONG) {
        report.warn(
            &at.key("ttl"),
            "a revoked credential may get in for more than an hour",
        );
    }
    let negative_ttl = report.duration(
        file.negative_ttl.as_ref(),
        default::NEGATIVE_TTL,
        Zero::Allowed,
        &at.key("negative_ttl"),
    );
    let max_stale = report.duration(
        file.max_stale.as_ref(),
        default::MAX_STALE,
        Zero::Allowed,
        &at.key("max_stale"),
    );
    let expiry_leeway = report.duration(
        file.expiry_leeway.as_ref(),
        default::EXPIRY_LEEWAY,
        Zero::Allowed,
        &at.key("expiry_leeway"),
    );
    Some(Cache {
        ttl: ttl?,
        refresh_ahead: file.refresh_ahead.unwrap_or(default::REFRESH_AHEAD),
        negative_ttl: negative_ttl?,
        max_stale: max_stale?,
        max_entries: file.max_entries.unwrap_or(default::MAX_ENTRIES),
        max_negative_entries: file
            .max_negative_entries
            .unwrap_or(default::MAX_NEGATIVE_ENTRIES),
        max_resolved_entries: file
            .max_resolved_entries
            .unwrap_or(default::MAX_RESOLVED_ENTRIES),
        expiry_leeway: expiry_leeway?,
    })
}

fn login_limit(report: &mut Report<'_>, file: &file::LoginLimit) -> Option<LoginLimit> {
    let at = At::ROOT.key("login_limit");
    Some(LoginLimit {
        per_address: file.per_address.unwrap_or(default::PER_ADDRESS),
        per_username: file.per_username.unwrap_or(default::PER_USERNAME),
        window: report.duration(
            file.window.as_ref(),
            default::WINDOW,
            Zero::Refused,
            &at.key("window"),
        )?,
    })
}

fn access_log(report: &mut Report<'_>, file: &file::AccessLog) -> Option<AccessLog> {
    let at = At::ROOT.key("access_log");
    let format = match file.format {
        None | Some(file::AccessLogFormat::Json) => AccessLogFormat::Json,
        Some(file::AccessLogFormat::Text) => AccessLogFormat::Text,
        Some(file::AccessLogFormat::Off) => AccessLogFormat::Off,
    };
    let target = match &file.target {
        None | Some(file::AccessLogTarget::Stdout) => AccessLogTarget::Stdout,
        Some(file::AccessLogTarget::File(path)) => {
            AccessLogTarget::File(report.value(Some(path), &at.key("target").key("file"))?)
        }
    };
    Some(AccessLog { format, target })
}

#[cfg(test)]
mod tests;
