//! Browser sessions: where they are, what seals them, how long they live.

use crate::config::check::report::{Pem, Report, Zero};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_sso_session::{self as file, Store};
use crate::config::patterns::PathPattern;
use crate::config::session_values::KeyPrefix;
use crate::config::sso::{Background, PublicUrl, Redis, SessionSettings, SessionStore};
use crate::model::secret::Secret;

/// Bytes that a key has at least.
const SHORTEST_KEY: usize = 32;

/// The section `sso.session`, written or not.
pub(super) fn session(
    report: &mut Report<'_>,
    written: Option<&file::Session>,
    public_url: Option<&PublicUrl>,
    at: &At<'_>,
) -> Option<SessionSettings> {
    let nothing = file::Session::default();
    let file = written.unwrap_or(&nothing);
    let store = match &file.store {
        None | Some(Store::Cookie) => Some(SessionStore::Cookie),
        Some(Store::Redis(file)) => {
            redis(report, file, &at.key("store").key("redis")).map(SessionStore::Redis)
        }
    };
    let keys = keys(report, file, &at.key("keys"));
    let cookie_name = report.optional(file.cookie_name.as_ref(), &at.key("cookie_name"));
    let idle_timeout = report.duration(
        file.idle_timeout.as_ref(),
        default::SESSION_IDLE_TIMEOUT,
        Zero::Refused,
        &at.key("idle_timeout"),
    );
    let lifespan = report.duration(
        file.lifespan.as_ref(),
        default::SESSION_LIFESPAN,
        Zero::Refused,
        &at.key("lifespan"),
    );
    if let (Some(idle), Some(life)) = (idle_timeout, lifespan)
        && idle > life
        && file.idle_timeout.is_some()
    {
        report.warn(
            &at.key("idle_timeout"),
            "it is longer than `lifespan`, which ends sessions first",
        );
    }
    if file.max_sessions == Some(0) {
        report
            .fault(&at.key("max_sessions"), "nobody could log in")
            .allowed("a number from 1 on, or nothing for any number");
    }
    let partitioned = file.partitioned.unwrap_or(default::SESSION_PARTITIONED);
    if partitioned && public_url.is_some_and(|url| !url.secure) {
        report.warn(
            &at.key("partitioned"),
            "browsers take such a cookie over https only, so it is an ordinary one here",
        );
    }
    let background = background(report, file.background.as_ref(), &at.key("background"));
    Some(SessionSettings {
        store: store?,
        keys: keys?,
        cookie_name: cookie_name?.map(|name| name.0),
        persistent: file.persistent.unwrap_or(default::SESSION_PERSISTENT),
        partitioned,
        idle_timeout: idle_timeout?,
        lifespan: lifespan?,
        max_sessions: file.max_sessions.filter(|most| *most > 0),
        background: background?,
        end_on_drain: file.end_on_drain.unwrap_or(default::SESSION_END_ON_DRAIN),
    })
}

fn keys(report: &mut Report<'_>, file: &file::Session, at: &At<'_>) -> Option<Vec<Secret>> {
    let mut keys: Vec<Secret> = Vec::new();
    let mut sound = true;
    for (index, written) in file.keys.iter().flatten().enumerate() {
        let here = at.index(index);
        let Some(key) = report.secret(Some(written), &here) else {
            sound = false;
            continue;
        };
        if key.expose().len() < SHORTEST_KEY {
            report
                .fault(&here, "the key is too short")
                .allowed("at least 32 characters")
                .hint("`openssl rand -base64 32` makes one");
            sound = false;
        } else if keys.contains(&key) {
            report.fault(&here, "this key is listed twice");
            sound = false;
        }
        keys.push(key);
    }
    if keys.is_empty() && matches!(file.store, Some(Store::Redis(_))) && !report.is_faulty(at) {
        report
            .fault(
                at,
                "replicas that share sessions need the same keys, and there are none",
            )
            .hint("`openssl rand -base64 32` makes one; write `keys: [\"file:/path\"]`");
        sound = false;
    }
    sound.then_some(keys)
}

fn redis(report: &mut Report<'_>, file: &file::Redis, at: &At<'_>) -> Option<Redis> {
    let tls = file.tls.unwrap_or(default::REDIS_TLS);
    let address = report.value(file.address.as_ref(), &at.key("address"));
    let ca_at = at.key("ca");
    let ca = match &file.ca {
        None => Some(None),
        Some(ca) => report.pem(Some(ca), Pem::Certificate, &ca_at).map(Some),
    };
    if file.ca.is_some() && !tls {
        report.warn(&ca_at, "without `tls: true` it is not used");
    }
    let username = report.optional(file.username.as_ref(), &at.key("username"));
    let password = match &file.password {
        None => Some(None),
        Some(written) => report.secret(Some(written), &at.key("password")).map(Some),
    };
    if file.username.is_some() && file.password.is_none() {
        report.fault(&at.key("password"), "`username` has no password");
    }
    let key_prefix: Option<KeyPrefix> = report.value_or(
        file.key_prefix.as_ref(),
        default::REDIS_KEY_PREFIX,
        &at.key("key_prefix"),
    );
    let timeout = report.duration(
        file.timeout.as_ref(),
        default::REDIS_TIMEOUT,
        Zero::Refused,
        &at.key("timeout"),
    );
    Some(Redis {
        address: address?.0,
        tls,
        ca: ca?,
        username: username?.map(|text| text.0),
        password: password?,
        database: file.database.unwrap_or(default::REDIS_DATABASE),
        key_prefix: key_prefix?.0,
        timeout: timeout?,
    })
}

fn background(
    report: &mut Report<'_>,
    written: Option<&file::Background>,
    at: &At<'_>,
) -> Option<Background> {
    let Some(file) = written else {
        return Some(Background::default());
    };
    let paths: Option<Vec<PathPattern>> =
        report.list(file.paths.as_deref().unwrap_or_default(), &at.key("paths"));
    let header = report.optional(file.header.as_ref(), &at.key("header"));
    Some(Background {
        paths: paths?.into_iter().map(|path| path.text).collect(),
        header: header?.map(|name| name.0.to_ascii_lowercase()),
    })
}
