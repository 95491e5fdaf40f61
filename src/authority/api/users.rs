//! Users: put, get, delete, enable, disable, change password (`/_security/user`).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::role_indices;
use super::write::write;
use crate::authority::authorize::{self, Granted};
use crate::authority::body::Grammar;
use crate::authority::builtin::accounts;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::names;
use crate::authority::password::{self, HashingError};
use crate::authority::profile::identity::profile_uid_of;
use crate::authority::realm::account::{self, Account};
use crate::authority::record::{Reserved, User};
use crate::authority::state::State;
use crate::authority::subject::{Means, Subject};
use crate::config::default::ANONYMOUS_USERNAME;
use crate::model::secret::Secret;
use crate::wire::principals;

/// The body of `PUT /_security/user/{username}`.
#[derive(Default)]
struct Fields {
    password: Option<Password>,
    roles: Option<Vec<String>>,
    full_name: Option<String>,
    email: Option<String>,
    metadata: Map<String, Value>,
    enabled: Option<bool>,
}

enum Password {
    Plain(Secret),
    Hash(String),
}

const MIN_PASSWORD: usize = 6;

/// `PUT|POST /_security/user/{username}`
pub async fn put(state: &State, call: Call) -> Result<Reply, Failure> {
    let username = call.path("username").unwrap_or_default().to_owned();
    call.check_refresh()?;
    let fields = parse_user(&call, &username)?;
    check_fields(&fields)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    check_names(state, &username, &fields)?;
    let hash = match fields.password {
        Some(password) => Some(hash_password(state, password).await?),
        None => None,
    };
    let created = write(&granted, state, move |drafts| {
        let before = drafts.users.find(&username);
        let kept = || before.map(|user| user.password.clone());
        let Some(password) = hash.or_else(kept) else {
            return Err(Failure::validation(
                "password must be specified unless you are updating an existing user",
            ));
        };
        let user = User {
            password,
            roles: fields.roles.unwrap_or_default(),
            full_name: fields.full_name,
            email: fields.email,
            metadata: fields.metadata,
            enabled: fields.enabled.unwrap_or(true),
        };
        Ok(drafts.users.put(&username, user))
    })
    .await?;
    granted.reply(&json!({"created": created}))
}

fn parse_user(call: &Call, username: &str) -> Result<Fields, Failure> {
    let object = call.object(Grammar::Hand("add user request"))?;
    let mut fields = Fields::default();
    for field in object.fields() {
        match field.name {
            "password" => set_password(
                &mut fields.password,
                Password::Plain(Secret::from(field.string()?)),
            )?,
            "password_hash" => set_password(&mut fields.password, Password::Hash(field.string()?))?,
            "roles" if field.token() == "VALUE_STRING" => {
                fields.roles = Some(field.comma_strings()?);
            }
            "roles" => {
                let roles = role_indices::strings(&field, false).map_err(Failure::parse)?;
                fields.roles = Some(roles);
            }
            "full_name" => fields.full_name = field.optional_string()?,
            "email" => fields.email = field.optional_string()?,
            "metadata" if field.token() == "START_OBJECT" => fields.metadata = field.map()?,
            "metadata" => {
                return Err(Failure::parse(format!(
                    "expected field [metadata] to be of type object, but found [{}] instead",
                    field.token()
                )));
            }
            "enabled" => fields.enabled = Some(field.boolean()?),
            "username" => {
                let given = field.string()?;
                if given != username {
                    return Err(Failure::illegal_argument(format!(
                        "[username] in source does not match the username provided [{username}]"
                    )));
                }
            }
            _ => return Err(field.unknown()),
        }
    }
    Ok(fields)
}

fn set_password(slot: &mut Option<Password>, password: Password) -> Result<(), Failure> {
    if slot.is_some() {
        return Err(Failure::validation("password_hash has already been set"));
    }
    match &password {
        Password::Plain(secret) => {
            let characters = secret.expose_str().map_or(0, |text| text.chars().count());
            if characters < MIN_PASSWORD {
                return Err(Failure::validation(&format!(
                    "passwords must be at least [{MIN_PASSWORD}] characters long"
                )));
            }
        }
        Password::Hash(hash) if !password::is_supported(hash) => {
            return Err(Failure::illegal_argument(
                "The provided password hash is not a hash or it could not be resolved to a supported hash algorithm. The \
                 supported password hash algorithms are [bcrypt, bcrypt10, bcrypt11, bcrypt12, bcrypt13, bcrypt14, bcrypt4, \
                 bcrypt5, bcrypt6, bcrypt7, bcrypt8, bcrypt9, pbkdf2, pbkdf2_1000, pbkdf2_10000, pbkdf2_100000, \
                 pbkdf2_1000000, pbkdf2_50000, pbkdf2_500000, pbkdf2_stretch, pbkdf2_stretch_1000, pbkdf2_stretch_10000, \
                 pbkdf2_stretch_100000, pbkdf2_stretch_1000000, pbkdf2_stretch_50000, pbkdf2_stretch_500000]",
            ));
        }
        Password::Hash(_) => {}
    }
    *slot = Some(password);
    Ok(())
}

/// What is checked before anybody is asked whether the caller may.
fn check_fields(fields: &Fields) -> Result<(), Failure> {
    let mut faults = Vec::new();
    if fields.roles.is_none() {
        faults.push("roles are missing");
    }
    if fields.metadata.keys().any(|key| key.starts_with('_')) {
        faults.push("metadata keys may not start with [_]");
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::request_validation(&faults))
}

/// What is checked after that.
fn check_names(state: &State, username: &str, fields: &Fields) -> Result<(), Failure> {
    let mut faults = Vec::new();
    if is_anonymous(state, username) {
        faults.push(format!(
            "user [{username}] is anonymous and cannot be modified via the API"
        ));
    } else if accounts::reserved_user(username).is_some() {
        faults.push(format!(
            "user [{username}] is reserved and only the password can be changed"
        ));
    } else if accounts::INTERNAL_USERS.contains(&username) {
        faults.push(format!("user [{username}] is internal"));
    } else {
        faults.extend(names::check_user(username).err());
    }
    let roles = fields.roles.iter().flatten();
    faults.extend(roles.filter_map(|role| names::check_role(role).err()));
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::request_validation(&faults))
}

/// Whether this is the name everybody has who shows no credential.
fn is_anonymous(state: &State, username: &str) -> bool {
    let anonymous = state.anonymous.as_ref();
    // The default name is nobody's either, whatever the configured one, so that turning anonymous access on meets no user.
    username == ANONYMOUS_USERNAME
        || anonymous.is_some_and(|anonymous| anonymous.username == username)
}

async fn hash_password(state: &State, password: Password) -> Result<String, Failure> {
    match password {
        Password::Hash(hash) => Ok(hash),
        Password::Plain(secret) => {
            let hashed = state.logins.passwords().hash(secret).await;
            hashed.map_err(|error: HashingError| {
                Failure::dispatch(StatusCode::TOO_MANY_REQUESTS, error.to_string())
                    .with_header("Retry-After", "1")
            })
        }
    }
}

/// `GET /_security/user[/{usernames}]`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    let with_profile = call.query.flag("with_profile_uid")?;
    let wanted = call.path_list("username");
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let tables = state.tables();
    let mut users = Map::new();
    let mut add = |account: Account| {
        let user = &account.principal;
        let uid = with_profile.then(|| profile_uid_of(tables, &user.username, &user.realm));
        users.insert(user.username.clone(), render(account, uid.flatten()));
    };
    if wanted.is_empty() {
        for user in accounts::reserved_users() {
            add(account::reserved(tables, user));
        }
        for (username, user) in tables.users.select(|_, _| true) {
            add(account::native(&username, &user));
        }
    } else {
        wanted
            .iter()
            .filter_map(|username| account::find(tables, username))
            .for_each(&mut add);
    }
    let status = if users.is_empty() && !wanted.is_empty() {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    granted.reply_with(status, &users)
}

fn render(account: Account, profile_uid: Option<String>) -> Value {
    let principal = account.principal;
    json!(principals::User {
        username: principal.username,
        roles: principal.roles,
        full_name: principal.full_name,
        email: principal.email,
        metadata: principal.metadata,
        enabled: account.enabled,
        profile_uid,
    })
}

/// `DELETE /_security/user/{username}`
pub async fn delete(state: &State, call: Call) -> Result<Reply, Failure> {
    let username = call.path("username").unwrap_or_default().to_owned();
    call.check_refresh()?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let undeletable = if is_anonymous(state, &username) {
        Some("anonymous")
    } else {
        accounts::reserved_user(&username).map(|_| "reserved")
    };
    if let Some(why) = undeletable {
        return Err(Failure::illegal_argument(format!(
            "user [{username}] is {why} and cannot be deleted"
        )));
    }
    let found = write(&granted, state, move |drafts| {
        Ok(drafts.users.remove(&username))
    })
    .await?;
    granted.reply_found(found)
}

/// `PUT|POST /_security/user/{username}/_enable`
pub async fn enable(state: &State, call: Call) -> Result<Reply, Failure> {
    set_enabled(state, call, true).await
}

/// `PUT|POST /_security/user/{username}/_disable`
pub async fn disable(state: &State, call: Call) -> Result<Reply, Failure> {
    set_enabled(state, call, false).await
}

async fn set_enabled(state: &State, call: Call, enabled: bool) -> Result<Reply, Failure> {
    let username = call.path("username").unwrap_or_default().to_owned();
    call.check_refresh()?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    if call.subject.effective.username == username && is_local(&call.subject) {
        return Err(Failure::illegal_argument(
            "users may not update the enabled status of their own account",
        ));
    }
    if is_anonymous(state, &username) {
        return Err(Failure::illegal_argument(format!(
            "user [{username}] is anonymous and cannot be modified using the api"
        )));
    }
    write(&granted, state, move |drafts| {
        if accounts::reserved_user(&username).is_some() {
            let password = drafts.reserved.find(&username);
            let password = password.and_then(|reserved| reserved.password.clone());
            drafts
                .reserved
                .put(&username, Reserved { password, enabled });
            return Ok(());
        }
        let Some(user) = drafts.users.find(&username) else {
            let verb = if enabled { "enabled" } else { "disabled" };
            return Err(Failure::validation(&format!(
                "only existing users can be {verb}"
            )));
        };
        let user = User {
            enabled,
            ..(*user).clone()
        };
        drafts.users.put(&username, user);
        Ok(())
    })
    .await?;
    granted.reply(&json!({}))
}

/// `PUT|POST /_security/user[/{username}]/_password`
pub async fn change_password(state: &State, call: Call) -> Result<Reply, Failure> {
    let own = &call.subject.effective.username;
    let username = call.path("username").unwrap_or(own).to_owned();
    call.check_refresh()?;
    let object = call.object(Grammar::Hand("change password request"))?;
    let mut password = None;
    for field in object.fields() {
        match field.name {
            "password" => set_password(
                &mut password,
                Password::Plain(Secret::from(field.string()?)),
            )?,
            "password_hash" => set_password(&mut password, Password::Hash(field.string()?))?,
            _ => return Err(field.unknown()),
        }
    }
    let Some(password) = password else {
        return Err(Failure::request_validation(&["password is missing"]));
    };
    let is_self = username == *own && call.subject.means == Means::Realm && is_local(&call.subject);
    let granted = authorize::for_self(state, &call, is_self).await?;
    check_is_ours(state, &username)?;
    check_cost(state, &granted, &call, &password)?;
    let hash = hash_password(state, password).await?;
    write(&granted, state, move |drafts| {
        if let Some(user) = accounts::reserved_user(&username) {
            let enabled = drafts.reserved.find(&username);
            let enabled = enabled.map_or(user.enabled, |reserved| reserved.enabled);
            drafts.reserved.put(
                &username,
                Reserved {
                    password: Some(hash),
                    enabled,
                },
            );
            return Ok(());
        }
        let Some(user) = drafts.users.find(&username) else {
            return Err(Failure::validation(
                "user must exist in order to change password",
            ));
        };
        let user = User {
            password: hash,
            ..(*user).clone()
        };
        drafts.users.put(&username, user);
        Ok(())
    })
    .await?;
    granted.reply(&json!({}))
}

/// Whoever may set other people's passwords chooses the cost of hashes; everybody else could make each login a long one.
fn check_cost(
    state: &State,
    granted: &Granted,
    call: &Call,
    password: &Password,
) -> Result<(), Failure> {
    let Password::Hash(hash) = password else {
        return Ok(());
    };
    if granted.permissions().allows_cluster_action(call.action)
        || state.logins.passwords().is_cheap(hash)
    {
        return Ok(());
    }
    Err(Failure::illegal_argument(
        "The provided password hash is costlier than those that users may set for themselves",
    ))
}

/// Only users kept here have a password to change.
fn check_is_ours(state: &State, username: &str) -> Result<(), Failure> {
    if is_anonymous(state, username) {
        return Err(Failure::illegal_argument(format!(
            "user [{username}] is anonymous and cannot be modified via the API"
        )));
    }
    let tables = state.tables();
    if accounts::reserved_user(username).is_some() || tables.users.find(username).is_some() {
        return Ok(());
    }
    match state.realms.look_up(tables, username) {
        Some(account) => {
            let realm = account.principal.realm;
            Err(Failure::validation(&format!(
                "user [{username}] is a(n){}/{} user and cannot be managed via this API.",
                realm.kind, realm.name
            )))
        }
        None => Ok(()),
    }
}

/// Whether the effective user is one this node keeps, so that rules about one's own account apply.
fn is_local(subject: &Subject) -> bool {
    matches!(subject.effective.realm.kind.as_str(), "native" | "reserved")
}
