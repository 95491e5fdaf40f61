//! Calls of Elasticsearch's security API that revoke something, seen on their way to Elasticsearch itself.
//!
//! Always true: when such a call has succeeded, what is known within its scope is purged before the client gets the answer (R-08);
//! one that may have succeeded, because the answer got lost or tells of trouble, counts as one that has; where the scope can't be
//! told exactly, more is purged, never less. One more call is one more arm in `Revocation::of`.

use std::borrow::Cow;

use http::{Method, Response, StatusCode};
use serde_json::Value;

use super::failure::Failure;
use super::outgoing::Incoming;
use crate::gate::Gate;
use crate::gate::authorize::Permit;
use crate::gate::purge::PurgeScope;
use crate::model::secret::Secret;
use crate::net::http::Body;

/// Where all of them are.
const PREFIX: &str = "/_security/";
/// Bytes of a request's body that are read; a token is far shorter.
const MAX_QUESTION: usize = 64 * 1024;
/// Bytes of an answer that are read: some ten thousand ids.
const MAX_ANSWER: usize = 1024 * 1024;
/// Scopes purged one by one; more are purged as everything.
const MAX_SCOPES: usize = 64;

/// What is to be forgotten when a call succeeds.
#[derive(Debug, PartialEq)]
pub enum Revocation {
    /// Known from method and path.
    Scopes(Vec<PurgeScope>),
    /// API keys that the answer names.
    KeysOfAnswer,
    /// Whoever the request's body names: by token, user name or realm.
    Named(Named),
}

/// What a body named.
#[derive(Debug, Default, PartialEq)]
pub struct Named {
    token: Option<Secret>,
    scopes: Vec<PurgeScope>,
}

/// What method and path tell.
#[derive(Debug, PartialEq)]
enum Told {
    Scopes(Vec<PurgeScope>),
    KeysOfAnswer,
    InBody,
}

impl Revocation {
    /// What a permitted request would revoke; reads its body where that tells.
    ///
    /// # Errors
    /// [`Failure::RequestBody`] when the body can't be read, or is longer than any such body is.
    pub async fn find(permit: &Permit, incoming: &mut Incoming) -> Result<Option<Self>, Failure> {
        let (method, path) = (&incoming.head.method, permit.target().path());
        if !path.starts_with(PREFIX) || matches!(*method, Method::GET | Method::HEAD) {
            return Ok(None);
        }
        let caller = permit.entry().map(|entry| entry.identity.username.as_str());
        let query = permit.target().query().unwrap_or_default();
        Ok(
            match Self::of(method, path, query, caller.unwrap_or_default()) {
                None => None,
                Some(Told::Scopes(scopes)) => Some(Self::Scopes(scopes)),
                Some(Told::KeysOfAnswer) => Some(Self::KeysOfAnswer),
                Some(Told::InBody) => {
                    let body = std::mem::take(&mut incoming.body);
                    let bytes = body
                        .collect_up_to(MAX_QUESTION)
                        .await
                        .map_err(|_| Failure::RequestBody)?;
                    let named = Named::read(&bytes);
                    incoming.body = Body::full(bytes);
                    Some(Self::Named(named))
                }
            },
        )
    }

    fn of(method: &Method, path: &str, query: &str, caller: &str) -> Option<Told> {
        use PurgeScope::{All, ApiKey, Realm, Role, User};
        let segments: Vec<Cow<'_, str>> = path
            .strip_prefix(PREFIX)?
            .trim_end_matches('/')
            .split('/')
            .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy())
            .collect();
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let names = |list: &str, scope: fn(String) -> PurgeScope| match list {
            "*" | "_all" => vec![All],
            list => list.split(',').map(|name| scope(name.to_owned())).collect(),
        };
        let is_deletion = *method == Method::DELETE;
        Some(match segments.as_slice() {
            ["user", "_password"] => Told::Scopes(vec![User(caller.to_owned())]),
            ["user", _, "_has_privileges"] | ["user", "_has_privileges"] => return None,
            ["user", name] | ["user", name, _] => Told::Scopes(vec![User((*name).to_owned())]),
            ["role", roles, "_clear_cache"] => Told::Scopes(names(roles, Role)),
            ["role", name] => Told::Scopes(vec![Role((*name).to_owned())]),
            ["role", ..] | ["role_mapping", ..] | ["privilege", ..] => Told::Scopes(vec![All]),
            ["realm", _, "_clear_cache"] if query.contains("usernames=") => Told::Scopes(vec![All]),
            ["realm", realms, "_clear_cache"] => Told::Scopes(names(realms, Realm)),
            ["api_key", ids, "_clear_cache"] => Told::Scopes(names(ids, ApiKey)),
            ["api_key"] if is_deletion => Told::KeysOfAnswer,
            ["api_key", "_bulk_update"] => Told::Scopes(vec![All]),
            ["api_key", "grant"] | ["api_key", "clone"] => return None,
            ["api_key", id] | ["cross_cluster", "api_key", id] => {
                Told::Scopes(vec![ApiKey((*id).to_owned())])
            }
            ["service", namespace, service, "credential", ..] => {
                Told::Scopes(vec![User(format!("{namespace}/{service}"))])
            }
            ["oauth2", "token"] if is_deletion => Told::InBody,
            ["saml", "logout"] | ["oidc", "logout"] => Told::InBody,
            ["saml", "invalidate"] => Told::Scopes(vec![All]),
            _ => return None,
        })
    }

    /// Whether a call may have taken effect although this is its answer: trouble behind may have come after it.
    pub fn may_have_succeeded(status: StatusCode) -> bool {
        status.is_success() || status.is_server_error()
    }

    /// Purges for a call whose answer never came, so that nobody can tell whether it took effect.
    pub async fn carry_out_blindly(self, gate: &Gate) {
        // Without an answer there are no keys in it, and everything is purged.
        drop(self.carry_out(gate, Response::new(Body::Empty)).await);
    }

    /// Purges, and only then hands the answer on.
    pub async fn carry_out(self, gate: &Gate, response: Response<Body>) -> Response<Body> {
        let (scopes, token, response) = match self {
            Self::Scopes(scopes) => (scopes, None, response),
            Self::Named(Named { token, scopes }) => (scopes, token, response),
            Self::KeysOfAnswer => {
                let (head, body) = response.into_parts();
                // What can't be read breaks off for the client as well: its length stands in the head.
                let bytes = body.collect_up_to(MAX_ANSWER).await.unwrap_or_default();
                let scopes = keys_of(&bytes).unwrap_or_else(|| vec![PurgeScope::All]);
                let response = Response::from_parts(head, Body::full(bytes));
                (scopes, None, response)
            }
        };
        if let Some(token) = token {
            gate.purge_token(token.expose()).await;
        }
        if scopes.len() > MAX_SCOPES {
            gate.purge(PurgeScope::All).await;
        } else {
            for scope in scopes {
                gate.purge(scope).await;
            }
        }
        response
    }
}

impl Named {
    /// Reads the body of a call that names a token, a user or a realm. One that can't be read is refused by Elasticsearch; if it
    /// isn't, everything goes.
    fn read(bytes: &[u8]) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_slice(bytes) else {
            return Self {
                token: None,
                scopes: vec![PurgeScope::All],
            };
        };
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        let user = text("username").map(PurgeScope::User);
        let realm = text("realm_name").map(PurgeScope::Realm);
        let token = text("token").map(Secret::from);
        // Of both, either alone covers what they name together.
        let scopes: Vec<_> = user.or(realm).into_iter().collect();
        // A refresh token, or something that is not known here: nobody can tell whose access ends with it.
        if token.is_none() && scopes.is_empty() {
            return Self {
                token,
                scopes: vec![PurgeScope::All],
            };
        }
        Self { token, scopes }
    }
}

/// The keys that an answer says were invalidated; `None` when it can't be read.
fn keys_of(answer: &[u8]) -> Option<Vec<PurgeScope>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let ids = answer.get("invalidated_api_keys")?.as_array()?;
    ids.iter()
        .map(|id| Some(PurgeScope::ApiKey(id.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &str, path: &str) -> Option<Told> {
        let method: Method = method.parse().unwrap();
        Revocation::of(&method, path, "", "alice")
    }

    #[test]
    fn revoking_calls_are_known_with_their_scope() {
        let scope = |scope: PurgeScope| Some(Told::Scopes(vec![scope]));
        let user = |name: &str| scope(PurgeScope::User(name.into()));
        assert_eq!(told("PUT", "/_security/user/_password"), user("alice"));
        assert_eq!(told("POST", "/_security/user/bob/_password"), user("bob"));
        assert_eq!(told("PUT", "/_security/user/bob/_disable"), user("bob"));
        assert_eq!(told("DELETE", "/_security/user/b%C3%B6b"), user("böb"));
        assert_eq!(
            told("PUT", "/_security/role/clerk"),
            scope(PurgeScope::Role("clerk".into()))
        );
        assert_eq!(
            told("PUT", "/_security/role_mapping/m"),
            scope(PurgeScope::All)
        );
        assert_eq!(
            told("POST", "/_security/realm/native1/_clear_cache"),
            scope(PurgeScope::Realm("native1".into()))
        );
        assert_eq!(
            told("DELETE", "/_security/api_key"),
            Some(Told::KeysOfAnswer)
        );
        assert_eq!(
            told("DELETE", "/_security/oauth2/token"),
            Some(Told::InBody)
        );
        for (method, path) in [
            ("POST", "/_security/api_key"),
            ("POST", "/_security/oauth2/token"),
            ("POST", "/_security/user/_has_privileges"),
            ("POST", "/_security/_query/user"),
            ("POST", "/a/_search"),
        ] {
            assert_eq!(told(method, path), None, "{method} {path}");
        }
    }

    /// Calls that change something, and end nobody's access.
    const HARMLESS: [&str; 18] = [
        "/_security/user/_has_privileges",
        "/_security/user/x/_has_privileges",
        "/_security/api_key/grant",
        "/_security/api_key/clone",
        "/_security/cross_cluster/api_key",
        "/_security/_query/api_key",
        "/_security/_query/user",
        "/_security/_query/role",
        "/_security/profile/_activate",
        "/_security/profile/_suggest",
        "/_security/profile/_has_privileges",
        "/_security/delegate_pki",
        "/_security/settings",
        "/_security/saml/prepare",
        "/_security/saml/authenticate",
        "/_security/saml/complete_logout",
        "/_security/oidc/prepare",
        "/_security/oidc/authenticate",
    ];

    #[test]
    fn every_call_of_the_security_api_purges_or_ends_nobodys_access() {
        for endpoint in crate::authority::api::TABLE {
            let path: String = endpoint
                .path
                .split('/')
                .map(|segment| {
                    if segment.starts_with('{') {
                        "x"
                    } else {
                        segment
                    }
                })
                .collect::<Vec<_>>()
                .join("/");
            for method in endpoint.methods {
                if !path.starts_with(PREFIX) || matches!(*method, Method::GET | Method::HEAD) {
                    continue;
                }
                let makes = *method != Method::DELETE
                    && matches!(&*path, "/_security/api_key" | "/_security/oauth2/token");
                let data = path.starts_with("/_security/profile/x/");
                if HARMLESS.contains(&&*path) || makes || data {
                    continue;
                }
                let told = told(method.as_str(), &path);
                assert!(told.is_some(), "{method} {path}");
            }
        }
    }

    #[test]
    fn bodies_and_answers_name_what_to_forget() {
        let named = Named::read(br#"{"token":"t"}"#);
        assert_eq!(named.token, Some(Secret::from("t")));
        assert_eq!(
            Named::read(br#"{"realm_name":"r","username":"u"}"#).scopes,
            [PurgeScope::User("u".into())]
        );
        assert_eq!(Named::read(b"nonsense").scopes, [PurgeScope::All]);
        let refresh = Named::read(br#"{"refresh_token":"t"}"#);
        assert_eq!(refresh.scopes, [PurgeScope::All]);
        assert_eq!(
            keys_of(br#"{"invalidated_api_keys":["a"]}"#).unwrap(),
            [PurgeScope::ApiKey("a".into())]
        );
        assert!(keys_of(b"\x1f\x8b").is_none());
    }
}
