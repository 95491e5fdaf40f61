//! The reserved and the native realm: accounts of the store.

use super::account::{self, Account, NATIVE, RESERVED};
use super::contract::{Presented, Realm, Token};
use super::login::Memory;
use crate::authority::builtin::accounts;
use crate::authority::store::Tables;
use crate::config::realms::RealmCache;
use crate::wire::principals::RealmRef;

/// The users that come with Elasticsearch. Asked first, and finally.
pub struct ReservedRealm {
    reference: RealmRef,
    memory: Memory,
}

impl Default for ReservedRealm {
    fn default() -> Self {
        Self {
            reference: account::realm(RESERVED, "reserved"),
            memory: Memory::new(RealmCache::default()),
        }
    }
}

/// The token of a realm that checks passwords.
pub fn password_token(presented: &Presented<'_>) -> Option<Token> {
    let (username, password) = presented.basic?;
    Some(Token::Password {
        username: username.to_owned(),
        password: password.clone(),
    })
}

impl Realm for ReservedRealm {
    fn reference(&self) -> &RealmRef {
        &self.reference
    }

    fn token(&self, presented: &Presented<'_>) -> Option<Token> {
        password_token(presented)
    }

    fn passwords(&self) -> Option<&Memory> {
        Some(&self.memory)
    }

    fn look_up(&self, tables: &Tables, username: &str) -> Option<Account> {
        accounts::reserved_user(username).map(|user| account::reserved(tables, user))
    }

    fn is_final(&self) -> bool {
        true
    }

    fn forget(&self, usernames: &[String]) {
        self.memory.forget(usernames);
    }
}

/// The users the API makes.
pub struct NativeRealm {
    reference: RealmRef,
    memory: Memory,
}

impl NativeRealm {
    /// The realm under this name.
    pub fn new(name: &str, cache: RealmCache) -> Self {
        Self {
            reference: account::realm(name, NATIVE_TYPE),
            memory: Memory::new(cache),
        }
    }
}

const NATIVE_TYPE: &str = "native";

impl Realm for NativeRealm {
    fn reference(&self) -> &RealmRef {
        &self.reference
    }

    fn token(&self, presented: &Presented<'_>) -> Option<Token> {
        password_token(presented)
    }

    fn passwords(&self) -> Option<&Memory> {
        Some(&self.memory)
    }

    fn look_up(&self, tables: &Tables, username: &str) -> Option<Account> {
        let user = tables.users.find(username)?;
        let mut account = account::native(username, &user);
        if self.reference.name != NATIVE {
            account.principal.realm = self.reference.clone();
        }
        Some(account)
    }

    fn holds_users(&self) -> bool {
        true
    }

    fn forget(&self, usernames: &[String]) {
        self.memory.forget(usernames);
    }
}
