//! What a purge request asks to forget: our own JSON, and the `_clear_cache` paths of Elasticsearch.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::reply::Problem;
use crate::gate::purge::PurgeScope;

/// More names than this in one request are a mistake.
const MOST_NAMES: usize = 1_000;

/// Reads the body of `POST /cache/purge`: one of `{"all":true}`, `{"user":…}`, `{"realm":…}`, `{"user":…,"realm":…}`,
/// `{"api_key_id":…}` and `{"role":…}`.
pub(super) fn parse_body(body: &[u8]) -> Result<PurgeScope, Problem> {
    let expected = || {
        Problem::bad_request(
            r#"expected {"all":true} or one of {"user":…}, {"realm":…}, {"user":…,"realm":…}, {"api_key_id":…}, {"role":…}"#,
        )
    };
    let value: Value = serde_json::from_slice(body).map_err(|_| expected())?;
    let object = value.as_object().ok_or_else(expected)?;
    read_scope(object).ok_or_else(expected)
}

fn read_scope(object: &Map<String, Value>) -> Option<PurgeScope> {
    let text = |key: &str| {
        let text = object.get(key)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    Some(match keys.as_slice() {
        ["all"] if object.get("all") == Some(&Value::Bool(true)) => PurgeScope::All,
        ["user"] => PurgeScope::User(text("user")?),
        ["realm"] => PurgeScope::Realm(text("realm")?),
        ["realm", "user"] => PurgeScope::UserInRealm {
            user: text("user")?,
            realm: text("realm")?,
        },
        ["api_key_id"] => PurgeScope::ApiKey(text("api_key_id")?),
        ["role"] => PurgeScope::Role(text("role")?),
        _ => return None,
    })
}

/// Reads a `_clear_cache` path of Elasticsearch; `None` when it is none. Names are separated by commas, `*` and `_all` stand for
/// all of them.
pub(super) fn parse_path(path: &str, query: &str) -> Option<Result<Vec<PurgeScope>, Problem>> {
    let inner = path
        .strip_prefix("/_security/")?
        .strip_suffix("/_clear_cache")?;
    let segments: Vec<&str> = inner.split('/').collect();
    let scopes = match segments.as_slice() {
        ["realm", realms] => names(realms).and_then(|realms| in_realms(realms, query)),
        ["role", roles] => names(roles).map(|roles| each(roles, PurgeScope::Role)),
        ["api_key", ids] => names(ids).map(|ids| each(ids, PurgeScope::ApiKey)),
        // An application privilege can be part of anybody's role.
        ["privilege", applications] => names(applications).map(|_| vec![PurgeScope::All]),
        ["service", namespace, service, "credential", "token", _] => {
            // Answers are known by account, not by token.
            decode(namespace)
                .and_then(|namespace| Ok(format!("{namespace}/{}", decode(service)?)))
                .map(|account| vec![PurgeScope::User(account)])
        }
        _ => return None,
    };
    Some(scopes)
}

fn in_realms(realms: Names, query: &str) -> Result<Vec<PurgeScope>, Problem> {
    let usernames: Vec<String> = form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "usernames")
        .flat_map(|(_, value)| split(&value))
        .collect();
    if usernames.is_empty() {
        return Ok(each(realms, PurgeScope::Realm));
    }
    let count = usernames.len();
    let scopes: Vec<PurgeScope> = match realms {
        Names::All => usernames.into_iter().map(PurgeScope::User).collect(),
        Names::Some(realms) if count.saturating_mul(realms.len()) <= MOST_NAMES => realms
            .iter()
            .flat_map(|realm| {
                usernames.iter().map(|user| PurgeScope::UserInRealm {
                    user: user.clone(),
                    realm: realm.clone(),
                })
            })
            .collect(),
        Names::Some(_) => return Err(too_many()),
    };
    if scopes.len() > MOST_NAMES {
        return Err(too_many());
    }
    Ok(scopes)
}

enum Names {
    All,
    Some(Vec<String>),
}

fn names(segment: &str) -> Result<Names, Problem> {
    let names = split(&decode(segment)?);
    if names.is_empty() {
        return Err(Problem::bad_request("expected at least one name"));
    }
    if names.len() > MOST_NAMES {
        return Err(too_many());
    }
    if names.iter().any(|name| name == "*" || name == "_all") {
        return Ok(Names::All);
    }
    Ok(Names::Some(names))
}

fn each(names: Names, scope: impl Fn(String) -> PurgeScope) -> Vec<PurgeScope> {
    match names {
        Names::All => vec![PurgeScope::All],
        Names::Some(names) => names.into_iter().map(scope).collect(),
    }
}

fn split(names: &str) -> Vec<String> {
    let names = names.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(String::from)
        .collect()
}

fn decode(segment: &str) -> Result<Cow<'_, str>, Problem> {
    percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Problem::bad_request("the path is not valid UTF-8"))
}

fn too_many() -> Problem {
    Problem::bad_request(format!("expected at most {MOST_NAMES} names"))
}

/// What Elasticsearch answers when caches were cleared, for one node.
pub(super) fn cleared() -> Value {
    json!({
        "_nodes": {"total": 1, "successful": 1, "failed": 0},
        "cluster_name": "sidegate",
        "nodes": {"sidegate": {"name": "sidegate"}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_exactly_one_scope() {
        for (body, scope) in [
            (r#"{"all":true}"#, PurgeScope::All),
            (r#"{"user":"alice"}"#, PurgeScope::User("alice".into())),
            (r#"{"realm":"ldap1"}"#, PurgeScope::Realm("ldap1".into())),
            (r#"{"api_key_id":"x1"}"#, PurgeScope::ApiKey("x1".into())),
            (r#"{"role":"admin"}"#, PurgeScope::Role("admin".into())),
            (
                r#"{"user":"alice","realm":"ldap1"}"#,
                PurgeScope::UserInRealm {
                    user: "alice".into(),
                    realm: "ldap1".into(),
                },
            ),
        ] {
            assert_eq!(parse_body(body.as_bytes()).unwrap(), scope);
        }
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"all":false}"#,
            r#"{"user":""}"#,
            r#"{"user":7}"#,
            r#"{"usr":"alice"}"#,
            r#"{"all":true,"user":"alice"}"#,
            r#"{"user":"alice","role":"admin"}"#,
            "{\"user\":\"\u{0}",
            "user=alice",
        ] {
            assert!(parse_body(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn the_paths_of_elasticsearch_mean_what_they_mean_there() {
        let user = |user: &str| PurgeScope::User(user.into());
        for (path, query, scopes) in [
            (
                "realm/ldap1,pki1",
                "",
                vec![
                    PurgeScope::Realm("ldap1".into()),
                    PurgeScope::Realm("pki1".into()),
                ],
            ),
            ("realm/*", "", vec![PurgeScope::All]),
            (
                "realm/_all",
                "usernames=alice,bob",
                vec![user("alice"), user("bob")],
            ),
            (
                "realm/ldap1",
                "usernames=J%C3%BCrgen",
                vec![PurgeScope::UserInRealm {
                    user: "Jürgen".into(),
                    realm: "ldap1".into(),
                }],
            ),
            (
                "role/a%2Cb",
                "",
                vec![PurgeScope::Role("a".into()), PurgeScope::Role("b".into())],
            ),
            ("api_key/*", "", vec![PurgeScope::All]),
            ("api_key/x1", "", vec![PurgeScope::ApiKey("x1".into())]),
            ("privilege/shop", "", vec![PurgeScope::All]),
            (
                "service/elastic/fleet-server/credential/token/t1",
                "",
                vec![user("elastic/fleet-server")],
            ),
        ] {
            let path = format!("/_security/{path}/_clear_cache");
            assert_eq!(
                parse_path(&path, query).unwrap().unwrap(),
                scopes,
                "{path}?{query}"
            );
        }
    }

    #[test]
    fn other_paths_are_none_and_bad_names_are_told() {
        for path in [
            "/_security/user/alice",
            "/_security/_clear_cache",
            "/_security/realm/a/b/_clear_cache",
            "/",
        ] {
            assert!(parse_path(path, "").is_none(), "{path}");
        }
        for path in [
            "/_security/realm/%ff/_clear_cache",
            "/_security/role/,/_clear_cache",
            "/_security/role//_clear_cache",
        ] {
            assert!(parse_path(path, "").unwrap().is_err(), "{path}");
        }
        let many = format!(
            "/_security/role/{}/_clear_cache",
            "a,".repeat(MOST_NAMES + 1)
        );
        assert!(parse_path(&many, "").unwrap().is_err());
    }
}
