//! The file realm: users and roles from two text files in Elasticsearch's format.
//!
//! Always true: what is in memory came from one whole reading of both files; a line that can't be understood is skipped and
//! logged with its number, never with its text; a file that is gone holds nobody. Read again when the files change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::account::{self, Account};
use super::contract::{Presented, Realm, Token};
use super::login::Memory;
use super::native::password_token;
use super::watch::Watch;
use crate::authority::names;
use crate::authority::password;
use crate::authority::record::Principal;
use crate::authority::store::Tables;
use crate::config::realms::{FileRealm as Settings, RealmFiles};
use crate::wire::principals::RealmRef;

/// Most bytes of a file that are read.
const MAX_BYTES: u64 = 64 << 20;

/// Users by name: hash and roles.
type Users = BTreeMap<String, FileUser>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FileUser {
    hash: String,
    roles: Vec<String>,
}

/// Users from files.
pub struct FileRealm {
    reference: RealmRef,
    memory: Memory,
    users: Arc<ArcSwap<Users>>,
    _watch: Option<Watch>,
}

impl FileRealm {
    /// Reads the files, and again whenever they change. Files that can't be read hold nobody.
    pub fn open(name: &str, settings: &Settings) -> Self {
        let users = Arc::new(ArcSwap::default());
        let watch = settings.files.clone().map(|files| {
            users.store(Arc::new(read(&files)));
            let (shared, watched) = (
                Arc::clone(&users),
                [files.users.clone(), files.users_roles.clone()],
            );
            Watch::start(&watched, move || {
                let now = read(&files);
                if now != **shared.load() {
                    tracing::info!(users = now.len(), "file realm was read again");
                    shared.store(Arc::new(now));
                }
            })
        });
        Self {
            reference: account::realm(name, "file"),
            memory: Memory::new(settings.cache),
            users,
            _watch: watch,
        }
    }
}

impl Realm for FileRealm {
    fn reference(&self) -> &RealmRef {
        &self.reference
    }

    fn token(&self, presented: &Presented<'_>) -> Option<Token> {
        password_token(presented)
    }

    fn passwords(&self) -> Option<&Memory> {
        Some(&self.memory)
    }

    fn look_up(&self, _: &Tables, username: &str) -> Option<Account> {
        let users = self.users.load();
        let user = users.get(username)?;
        Some(Account {
            principal: Principal {
                username: username.to_owned(),
                roles: user.roles.clone(),
                full_name: None,
                email: None,
                metadata: serde_json::Map::new(),
                realm: self.reference.clone(),
            },
            password: Some(user.hash.clone()),
            enabled: true,
        })
    }

    fn holds_users(&self) -> bool {
        !self.users.load().is_empty()
    }

    fn forget(&self, usernames: &[String]) {
        self.memory.forget(usernames);
    }
}

fn read(files: &RealmFiles) -> Users {
    let mut users = parse_users(&read_text(&files.users), &files.users);
    for (role, names) in parse_roles(&read_text(&files.users_roles), &files.users_roles) {
        for name in names {
            if let Some(user) = users.get_mut(&name) {
                user.roles.push(role.clone());
            }
        }
    }
    users
}

fn read_text(path: &Path) -> String {
    let mut text = String::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    match read {
        Ok(_) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "realm file can't be read");
            String::new()
        }
    }
}

/// Lines `name:hash`; blank ones and those that begin with `#` don't count.
fn parse_users(text: &str, path: &Path) -> Users {
    let mut users = Users::new();
    for (number, line) in lines(text) {
        let skip = |why: &str| {
            tracing::warn!(file = %path.display(), line = number, why, "line skipped");
        };
        let Some((name, hash)) = line.split_once(':') else {
            skip("no colon");
            continue;
        };
        let hash = hash.trim();
        if names::check_user(name.trim()).is_err() {
            skip("no user name");
        } else if !password::is_supported(hash) {
            skip("not a password hash this program knows");
        } else {
            let user = FileUser {
                hash: hash.to_owned(),
                roles: Vec::new(),
            };
            users.insert(name.trim().to_owned(), user);
        }
    }
    users
}

/// Lines `role:name,name`, in the order of the role names.
fn parse_roles(text: &str, path: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut roles: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (number, line) in lines(text) {
        let Some((role, names)) = line
            .split_once(':')
            .filter(|(role, _)| !role.trim().is_empty())
        else {
            tracing::warn!(file = %path.display(), line = number, why = "no role", "line skipped");
            continue;
        };
        let names = names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let names = names.map(str::to_owned);
        roles
            .entry(role.trim().to_owned())
            .or_default()
            .extend(names);
    }
    roles
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2a$04$vLNfqyESJTdPVxjgQGb0cOrgLlWpUVSGq2gJ6LvZqkgQ1Zd5mCJfK";

    #[test]
    fn lines_that_mean_nothing_are_skipped_and_the_rest_counts() {
        let text = format!("# head\n\njoe:{HASH}\n ann : {HASH} \nbad\nx:plain\n:{HASH}\n");
        let users = parse_users(&text, Path::new("users"));
        let names: Vec<&str> = users.keys().map(String::as_str).collect();
        assert_eq!(names, ["ann", "joe"]);
        let roles = parse_roles(
            "admin: joe , ann,,\n:x\n#c\nadmin:eve\n",
            Path::new("users_roles"),
        );
        let names: Vec<&str> = roles["admin"].iter().map(String::as_str).collect();
        assert_eq!((roles.len(), names), (1, vec!["ann", "eve", "joe"]));
    }
}
