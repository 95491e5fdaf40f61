//! Accounts with a password: the reserved users and those of the native realm.
//!
//! A reserved name is always answered by the reserved realm, whatever the native realm holds.

use std::sync::Arc;

use crate::authority::builtin::accounts::{self, ReservedUser};
use crate::authority::record::{Principal, Reserved, User};
use crate::authority::store::Tables;
use crate::wire::principals::RealmRef;

/// Name of the native realm.
pub const NATIVE: &str = "default_native";
/// Name of the reserved realm.
pub const RESERVED: &str = "reserved";

/// Somebody who can log in with a password.
#[derive(Clone, Debug)]
pub struct Account {
    /// Who they are.
    pub principal: Principal,
    /// Slow hash of their password; `None`: can't log in.
    pub password: Option<String>,
    /// Whether they may log in.
    pub enabled: bool,
}

/// The program around the authority, when it exchanges credentials for its upstreams. Nobody can log in as it: it has a token
/// that lives in memory only.
pub fn own() -> Principal {
    Principal {
        username: "_sidegate".to_owned(),
        roles: vec!["superuser".to_owned()],
        full_name: None,
        email: None,
        metadata: serde_json::Map::new(),
        realm: realm("__sidegate", "__sidegate"),
    }
}

/// Finds an account by user name, reserved realm first.
pub fn find(tables: &Tables, username: &str) -> Option<Account> {
    match accounts::reserved_user(username) {
        Some(user) => Some(reserved(tables, user)),
        None => tables
            .users
            .find(username)
            .map(|user| native(username, &user)),
    }
}

/// A reserved user with what was changed about them.
pub fn reserved(tables: &Tables, user: &ReservedUser) -> Account {
    let changed = tables.reserved.find(&user.username);
    Account {
        principal: Principal {
            username: user.username.clone(),
            roles: user.roles.clone(),
            full_name: user.full_name.clone(),
            email: user.email.clone(),
            metadata: user.metadata.clone(),
            realm: realm(RESERVED, "reserved"),
        },
        password: changed
            .as_ref()
            .and_then(|changed| changed.password.clone()),
        enabled: changed.map_or(user.enabled, |changed| changed.enabled),
    }
}

/// A user of the native realm.
pub fn native(username: &str, user: &User) -> Account {
    Account {
        principal: Principal {
            username: username.to_owned(),
            roles: user.roles.clone(),
            full_name: user.full_name.clone(),
            email: user.email.clone(),
            metadata: user.metadata.clone(),
            realm: realm(NATIVE, "native"),
        },
        password: Some(user.password.clone()),
        enabled: user.enabled,
    }
}

/// Whether a native or reserved user is gone or disabled, seen through these look-ups. About users of other realms this says
/// no: what became of them only their realm could tell.
pub fn is_out(
    principal: &Principal,
    user: impl FnOnce(&str) -> Option<Arc<User>>,
    changed: impl FnOnce(&str) -> Option<Arc<Reserved>>,
) -> bool {
    let username = principal.username.as_str();
    match principal.realm.kind.as_str() {
        "native" => user(username).is_none_or(|user| !user.enabled),
        "reserved" => accounts::reserved_user(username)
            .is_none_or(|user| !changed(username).map_or(user.enabled, |changed| changed.enabled)),
        _ => false,
    }
}

/// A realm of this node, outside any security domain.
pub fn realm(name: &str, kind: &str) -> RealmRef {
    RealmRef {
        name: name.to_owned(),
        kind: kind.to_owned(),
        domain: None,
    }
}
