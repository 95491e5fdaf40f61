//! The realms of the embedded authority: each by its own rules, then all of them as a chain.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::check::report::{Pem, Report, Zero};
use crate::config::check::{jwt, oidc, saml};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_realms as file;
use crate::config::realm_values::{CapturePattern, Text};
use crate::config::realms::{
    Anonymous, FailedLogins, FileRealm, KerberosRealm, PkiRealm, Realm, RealmCache, RealmFiles,
    RealmKind,
};
use crate::config::values::Written;

/// A realm as written, with what every type has.
struct Entry {
    order: i32,
    enabled: bool,
    /// `TYPE.NAME`, for faults about others.
    shown: String,
    realm: Realm,
}

/// The chain: realms that are on, in their order, with the implicit ones in front. `data` is where the implicit file realm looks.
pub(super) fn realms(
    report: &mut Report<'_>,
    file: Option<&file::Realms>,
    data: Option<&Path>,
    at: &At<'_>,
) -> Option<Vec<Realm>> {
    let none = file::Realms::default();
    let file = file.unwrap_or(&none);
    let mut entries = Vec::new();
    let mut complete = true;
    let mut add = |entry: Option<Entry>| match entry {
        Some(entry) => entries.push(entry),
        None => complete = false,
    };
    for (name, written) in file.file.iter().flatten() {
        let at = at.key("file");
        let kind = file_realm(report, written, data, &at.key(name)).map(RealmKind::File);
        add(entry(
            report,
            "file",
            name,
            written.order,
            written.enabled,
            kind,
            &at,
        ));
    }
    for (name, written) in file.native.iter().flatten() {
        let at = at.key("native");
        let cache_at = at.key(name);
        let kind =
            cache(report, written.cache.as_ref(), &cache_at.key("cache")).map(RealmKind::Native);
        add(entry(
            report,
            "native",
            name,
            written.order,
            written.enabled,
            kind,
            &at,
        ));
    }
    for (name, written) in file.jwt.iter().flatten() {
        let at = at.key("jwt");
        let kind = jwt::jwt_realm(report, written, &at.key(name));
        let kind = kind.map(|realm| RealmKind::Jwt(Box::new(realm)));
        add(entry(
            report,
            "jwt",
            name,
            written.order,
            written.enabled,
            kind,
            &at,
        ));
    }
    for (name, written) in file.pki.iter().flatten() {
        let at = at.key("pki");
        let kind = pki_realm(report, written, &at.key(name)).map(RealmKind::Pki);
        add(entry(
            report,
            "pki",
            name,
            written.order,
            written.enabled,
            kind,
            &at,
        ));
    }
    for (name, written) in file.kerberos.iter().flatten() {
        let at = at.key("kerberos");
        let kind = kerberos_realm(report, written, &at.key(name)).map(RealmKind::Kerberos);
        add(entry(
            report,
            "kerberos",
            name,
            written.order,
            written.enabled,
            kind,
            &at,
        ));
    }
    for (name, written) in file.saml.iter().flatten() {
        let at = at.key("saml");
        let kind = saml::saml_realm(report, written, &at.key(name));
        let kind = kind.map(|realm| RealmKind::Saml(Box::new(realm)));
        add(entry(
            report,
            "saml",
            name,
            written.order,
            written.enabled,
            kind,
            &at,
        ));
    }
    for (name, written) in file.oidc.iter().flatten() {
        let at = at.key("oidc");
        let kind = oidc::oidc_realm(report, written, &at.key(name));
        let kind = kind.map(|realm| RealmKind::Oidc(Box::new(realm)));
        add(entry(
            report,
            "oidc",
            name,
            written.order,
            written.enabled,
            kind,
            &at,
        ));
    }
    refuse_seconds(report, file, at);
    refuse_conflicts(report, &entries, at);
    refuse_unknown_links(report, &entries, file, at);
    complete.then(|| chain(entries, file, data))
}

fn entry(
    report: &mut Report<'_>,
    kind_name: &str,
    name: &str,
    order: Option<i32>,
    enabled: Option<bool>,
    kind: Option<RealmKind>,
    at: &At<'_>,
) -> Option<Entry> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let named = !name.is_empty() && name.len() <= 64 && name.chars().all(fits);
    if !named || name.starts_with('_') {
        report
            .fault(&at.key(name), "this can't be a realm's name")
            .allowed("1 to 64 letters, digits, `.`, `_` or `-`, with no `_` in front");
        return None;
    }
    Some(Entry {
        order: order?,
        enabled: enabled.unwrap_or(default::REALM_ENABLED),
        shown: format!("{kind_name}.{name}"),
        realm: Realm {
            name: name.to_owned(),
            kind: kind?,
        },
    })
}

/// There is one directory of users and one store behind each process.
fn refuse_seconds(report: &mut Report<'_>, file: &file::Realms, at: &At<'_>) {
    let files = file.file.as_ref().map_or(0, BTreeMap::len);
    let natives = file.native.as_ref().map_or(0, BTreeMap::len);
    for (kind, count) in [("file", files), ("native", natives)] {
        if count > 1 {
            report.fault(
                &at.key(kind),
                format!("there can be only one realm of the type `{kind}`"),
            );
        }
    }
}

fn refuse_conflicts(report: &mut Report<'_>, entries: &[Entry], at: &At<'_>) {
    for (index, entry) in entries.iter().enumerate() {
        let Some((kind, name)) = entry.shown.split_once('.') else {
            continue;
        };
        let at = at.key(kind);
        let at = at.key(name);
        for before in &entries[..index] {
            if before.order == entry.order {
                let text = format!("`{}` has the same order", before.shown);
                report.fault(&at.key("order"), text);
            }
            if before.realm.name == entry.realm.name {
                report.fault(&at, format!("`{}` has the same name", before.shown));
            }
        }
        if ["reserved", "_es_api_key", "_service_account"].contains(&name) {
            report.fault(&at, "this name belongs to a realm that is always there");
        }
    }
}

/// `authorization_realms` name realms that can look users up.
fn refuse_unknown_links(
    report: &mut Report<'_>,
    entries: &[Entry],
    file: &file::Realms,
    at: &At<'_>,
) {
    let mut known: Vec<&str> = entries
        .iter()
        .filter(|entry| {
            entry.enabled && matches!(entry.realm.kind, RealmKind::File(_) | RealmKind::Native(_))
        })
        .map(|entry| entry.realm.name.as_str())
        .collect();
    if file.file.is_none() {
        known.push("default_file");
    }
    if file.native.is_none() {
        known.push("default_native");
    }
    for entry in entries {
        let links = match &entry.realm.kind {
            RealmKind::Jwt(realm) => &realm.authorization_realms,
            RealmKind::Pki(realm) => &realm.authorization_realms,
            RealmKind::Kerberos(realm) => &realm.authorization_realms,
            RealmKind::Oidc(realm) => &realm.authorization_realms,
            RealmKind::Saml(realm) => &realm.authorization_realms,
            RealmKind::File(_) | RealmKind::Native(_) => continue,
        };
        let Some((kind, name)) = entry.shown.split_once('.') else {
            continue;
        };
        for (index, link) in links.iter().enumerate() {
            if !known.contains(&link.as_str()) {
                let (kind, name) = (at.key(kind), name);
                let realm = kind.key(name);
                let list = realm.key("authorization_realms");
                report
                    .fault(
                        &list.index(index),
                        format!("no realm `{link}` that can look users up"),
                    )
                    .allowed(known.join(", "));
            }
        }
    }
}

/// Elasticsearch puts a file and a native realm in front of all others when the operator wrote none.
fn chain(mut entries: Vec<Entry>, file: &file::Realms, data: Option<&Path>) -> Vec<Realm> {
    let mut chain = Vec::new();
    if file.file.as_ref().is_none_or(BTreeMap::is_empty) {
        chain.push(Realm {
            name: "default_file".to_owned(),
            kind: RealmKind::File(FileRealm {
                files: data.map(files_in),
                cache: RealmCache::default(),
            }),
        });
    }
    if file.native.as_ref().is_none_or(BTreeMap::is_empty) {
        chain.push(Realm {
            name: "default_native".to_owned(),
            kind: RealmKind::Native(RealmCache::default()),
        });
    }
    entries.sort_by_key(|entry| entry.order);
    let enabled = entries.into_iter().filter(|entry| entry.enabled);
    chain.extend(enabled.map(|entry| entry.realm));
    chain
}

fn files_in(data: &Path) -> RealmFiles {
    RealmFiles {
        users: data.join("users"),
        users_roles: data.join("users_roles"),
    }
}

/// How long a realm remembers.
pub(super) fn cache(
    report: &mut Report<'_>,
    file: Option<&file::RealmCache>,
    at: &At<'_>,
) -> Option<RealmCache> {
    let none = file::RealmCache::default();
    let file = file.unwrap_or(&none);
    let ttl = report.duration(
        file.ttl.as_ref(),
        default::REALM_CACHE_TTL,
        Zero::Allowed,
        &at.key("ttl"),
    );
    Some(RealmCache {
        ttl: ttl?,
        entries: file.max_users.unwrap_or(default::REALM_CACHE_MAX_USERS),
    })
}

fn file_realm(
    report: &mut Report<'_>,
    file: &file::FileRealm,
    data: Option<&Path>,
    at: &At<'_>,
) -> Option<FileRealm> {
    let files = match (&file.files, data) {
        (Some(files), _) => {
            let at = at.key("files");
            let users = report.value(files.users.as_ref(), &at.key("users"));
            let users_roles = report.value(files.users_roles.as_ref(), &at.key("users_roles"));
            users
                .zip(users_roles)
                .map(|(users, users_roles)| RealmFiles { users, users_roles })
        }
        (None, Some(data)) => Some(files_in(data)),
        (None, None) => {
            report
                .fault(
                    at,
                    "there is neither `files` nor the directory `data` to find them in",
                )
                .hint("`files: { users: PATH, users_roles: PATH }`");
            None
        }
    };
    let cache = cache(report, file.cache.as_ref(), &at.key("cache"));
    Some(FileRealm {
        files: Some(files?),
        cache: cache?,
    })
}

fn kerberos_realm(
    report: &mut Report<'_>,
    file: &file::KerberosRealm,
    at: &At<'_>,
) -> Option<KerberosRealm> {
    let keytab_at = at.key("keytab");
    let keytab = file
        .keytab
        .as_ref()
        .and_then(|keytab| report.value(keytab.path.as_ref(), &keytab_at.key("path")));
    let links = report.list(
        file.authorization_realms.as_deref().unwrap_or_default(),
        &at.key("authorization_realms"),
    );
    Some(KerberosRealm {
        keytab: keytab?,
        remove_realm_name: file.remove_realm_name.unwrap_or(default::REMOVE_REALM_NAME),
        authorization_realms: links?.into_iter().map(|text: Text| text.0).collect(),
    })
}

fn pki_realm(report: &mut Report<'_>, file: &file::PkiRealm, at: &At<'_>) -> Option<PkiRealm> {
    let pattern = report.value_or(
        file.username_pattern.as_ref(),
        default::PKI_USERNAME_PATTERN,
        &at.key("username_pattern"),
    );
    let authorities_at = at.key("certificate_authorities");
    let authorities = file.certificate_authorities.iter().flatten().enumerate();
    let authorities: Option<Vec<_>> = authorities
        .map(|(index, path)| report.pem(Some(path), Pem::Certificate, &authorities_at.index(index)))
        .collect();
    let lists_at = at.key("certificate_revocation_lists");
    let lists = file
        .certificate_revocation_lists
        .as_deref()
        .unwrap_or_default();
    let revocation_lists = report.list(lists, &lists_at);
    if !lists.is_empty() && file.certificate_authorities.is_none() {
        report.fault(
            &lists_at,
            "without `certificate_authorities` no chain is validated here",
        );
    }
    let delegation = file.delegation.as_ref().and_then(|file| file.enabled);
    let delegation = delegation.unwrap_or(default::PKI_DELEGATION);
    if delegation && file.certificate_authorities.is_none() {
        let delegation_at = at.key("delegation");
        report
            .fault(
                &delegation_at.key("enabled"),
                "delegation needs a trust configuration of its own",
            )
            .hint("name the CAs in `certificate_authorities`");
    }
    let links = texts(
        report,
        file.authorization_realms.as_deref(),
        &at.key("authorization_realms"),
    );
    let cache = cache(report, file.cache.as_ref(), &at.key("cache"));
    let CapturePattern(username_pattern) = pattern?;
    Some(PkiRealm {
        username_pattern,
        authorities: authorities?,
        revocation_lists: revocation_lists?,
        delegation,
        authorization_realms: links?,
        cache: cache?,
    })
}

/// A list of texts; empty when it was not written.
pub(super) fn texts(
    report: &mut Report<'_>,
    written: Option<&[Written<Text>]>,
    at: &At<'_>,
) -> Option<Vec<String>> {
    let texts = report.list(written.unwrap_or_default(), at)?;
    Some(texts.into_iter().map(|Text(text)| text).collect())
}

/// Who a request without a credential is.
pub(super) fn anonymous(
    report: &mut Report<'_>,
    file: &file::Anonymous,
    at: &At<'_>,
) -> Option<Anonymous> {
    let username = report.value_or(
        file.username.as_ref(),
        default::ANONYMOUS_USERNAME,
        &at.key("username"),
    );
    let roles = file
        .roles
        .as_deref()
        .and_then(|roles| report.list(roles, &at.key("roles")));
    let authz_exception = file.authz_exception;
    Some(Anonymous {
        username: username?.0,
        roles: roles?.into_iter().map(|role| role.0).collect(),
        authz_exception: authz_exception.unwrap_or(default::ANONYMOUS_AUTHZ_EXCEPTION),
    })
}

/// The limit on failed logins.
pub(super) fn failed_logins(
    report: &mut Report<'_>,
    file: Option<&file::FailedLogins>,
    at: &At<'_>,
) -> Option<FailedLogins> {
    let none = file::FailedLogins::default();
    let file = file.unwrap_or(&none);
    let per_username = file.per_username;
    Some(FailedLogins {
        per_username: per_username.unwrap_or(default::FAILED_LOGINS_PER_USERNAME),
        window: report.duration(
            file.window.as_ref(),
            default::FAILED_LOGINS_WINDOW,
            Zero::Refused,
            &at.key("window"),
        )?,
    })
}
