//! What a change is told as: the event's name and its object, made from the call and what it was answered.
//!
//! Fields are copied by name, so a secret in a body has no way in: passwords and hashes appear as `has_password`, tokens not
//! at all. A new writing endpoint is an arm in [`of`]; a test holds that every action that writes has one.

use serde_json::{Map, Value, json};

/// What was called, kept until it is answered.
#[derive(Clone, Debug)]
pub struct Called {
    /// The action.
    pub action: &'static str,
    /// Captured path segments.
    pub path: Vec<(&'static str, String)>,
    /// The body.
    pub body: bytes::Bytes,
}

/// One event: its name, and the object that is its own.
pub type Change = (&'static str, Map<String, Value>);

/// Whether an action changes anything that is told.
pub fn is_change(action: &str) -> bool {
    short(action).is_some_and(|short| CHANGES.contains(&short))
}

/// Actions that are told, without their common beginning.
const CHANGES: &[&str] = &[
    "user/put",
    "user/delete",
    "user/change_password",
    "user/set_enabled",
    "role/put",
    "role/delete",
    "role/bulk_put",
    "role/bulk_delete",
    "role_mapping/put",
    "role_mapping/delete",
    "privilege/put",
    "privilege/delete",
    "api_key/create",
    "api_key/grant",
    "api_key/clone",
    "api_key/update",
    "api_key/bulk_update",
    "api_key/invalidate",
    "cross_cluster/api_key/create",
    "cross_cluster/api_key/update",
    "service_account/token/create",
    "service_account/token/delete",
    "profile/activate",
    "profile/put/data",
    "profile/set_enabled",
    "settings/update",
];

/// Whether the body of such a call holds a credential of its own, which may be bad while the caller's is good.
pub fn holds_credential(action: &str) -> bool {
    short(action).is_some_and(|short| CREDENTIALS.contains(&short))
}

/// Actions that look at a credential in their body.
const CREDENTIALS: &[&str] = &[
    "token/create",
    "token/refresh",
    "api_key/grant",
    "profile/activate",
    "delegate_pki",
];

/// The user that the credential in a body claims to be; nothing else of the body.
pub fn claimed_username(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["username"].as_str().map(str::to_owned)
}

fn short(action: &str) -> Option<&str> {
    action.strip_prefix("cluster:admin/xpack/security/")
}

/// The events of a call that was answered with success.
pub fn of(called: &Called, uri: &str, effective_user: &str, answer: &[u8]) -> Vec<Change> {
    let Some(action) = short(called.action) else {
        return Vec::new();
    };
    let body: Value = serde_json::from_slice(&called.body).unwrap_or(Value::Null);
    let answer: Value = serde_json::from_slice(answer).unwrap_or(Value::Null);
    let name = |key: &str| -> Value {
        let mut path = called.path.iter();
        path.find(|(known, _)| *known == key)
            .map_or(Value::Null, |(_, value)| json!(value))
    };
    let on = !uri.contains("/_disable");
    match action {
        "user/put" => one(
            "put_user",
            "put",
            json!({"user": user(&body, name("username"))}),
        ),
        "user/delete" => one(
            "delete_user",
            "delete",
            json!({"user": {"name": name("username")}}),
        ),
        "user/change_password" => {
            let whose = Some(name("username")).filter(|name| !name.is_null());
            let whose = whose.unwrap_or_else(|| json!(effective_user));
            one(
                "change_password",
                "change",
                json!({"password": {"user": {"name": whose}}}),
            )
        }
        "user/set_enabled" => switched("user", json!({"name": name("username")}), on),
        "role/put" => one(
            "put_role",
            "put",
            json!({"role": role(name("name"), &body)}),
        ),
        "role/delete" => one(
            "delete_role",
            "delete",
            json!({"role": {"name": name("name")}}),
        ),
        "role/bulk_put" => entries(&body["roles"])
            .flat_map(|(name, body)| {
                one("put_role", "put", json!({"role": role(json!(name), body)}))
            })
            .collect(),
        "role/bulk_delete" => items(&body["names"])
            .flat_map(|name| one("delete_role", "delete", json!({"role": {"name": name}})))
            .collect(),
        "role_mapping/put" => {
            let fields = ["roles", "role_templates", "rules", "enabled", "metadata"];
            let mapping = named(name("name"), &body, &fields);
            one("put_role_mapping", "put", json!({"role_mapping": mapping}))
        }
        "role_mapping/delete" => one(
            "delete_role_mapping",
            "delete",
            json!({"role_mapping": {"name": name("name")}}),
        ),
        "privilege/put" => one(
            "put_privileges",
            "put",
            json!({"privileges": privileges(&body)}),
        ),
        "privilege/delete" => {
            let gone =
                json!({"application": name("application"), "privileges": list(&name("name"))});
            one("delete_privileges", "delete", json!({"privileges": gone}))
        }
        "api_key/create" | "cross_cluster/api_key/create" | "api_key/grant" | "api_key/clone" => {
            created_key(action, &body, &answer)
        }
        "api_key/update" | "cross_cluster/api_key/update" => {
            let key = with_id(name("id"), &body);
            one("change_apikey", "change", json!({"apikey": key}))
        }
        "api_key/bulk_update" => {
            let mut keys = picked(&body, KEY_FIELDS);
            keys.insert("ids".to_owned(), body["ids"].clone());
            one("change_apikeys", "change", json!({"apikeys": keys}))
        }
        "api_key/invalidate" => {
            let mut keys = picked(&body, &["ids", "name"]);
            keys.insert(
                "owned_by_authenticated_user".to_owned(),
                json!(body["owner"] == true),
            );
            let user = json!({"name": body["username"], "realm": body["realm_name"]});
            keys.insert("user".to_owned(), user);
            one("invalidate_apikeys", "invalidate", json!({"apikeys": keys}))
        }
        "service_account/token/create" | "service_account/token/delete" => {
            let token = name("name");
            let token = if token.is_null() {
                answer["token"]["name"].clone()
            } else {
                token
            };
            let told = json!({"service_token": {"namespace": name("namespace"), "service": name("service"), "name": token}});
            if action.ends_with("create") {
                one("create_service_token", "create", told)
            } else {
                one("delete_service_token", "delete", told)
            }
        }
        "profile/activate" => one(
            "activate_user_profile",
            "put",
            json!({"user_profile": {"uid": answer["uid"]}}),
        ),
        "profile/put/data" => {
            let mut profile = picked(&body, &["labels"]);
            profile.insert("uid".to_owned(), name("uid"));
            one(
                "update_user_profile_data",
                "put",
                json!({"user_profile": profile}),
            )
        }
        "profile/set_enabled" => switched("user_profile", json!({"uid": name("uid")}), on),
        "settings/update" => one("put_security_settings", "put", json!({"settings": body})),
        _ => Vec::new(),
    }
}

/// What of an API key's body is told.
const KEY_FIELDS: &[&str] = &[
    "name",
    "expiration",
    "role_descriptors",
    "access",
    "metadata",
];

fn one(event: &'static str, verb: &str, what: Value) -> Vec<Change> {
    let mut change = Map::new();
    change.insert(verb.to_owned(), what);
    vec![(event, change)]
}

fn switched(what: &'static str, whom: Value, on: bool) -> Vec<Change> {
    let event = match (what, on) {
        ("user", true) => "change_enable_user",
        ("user", false) => "change_disable_user",
        (_, true) => "change_enable_user_profile",
        (_, false) => "change_disable_user_profile",
    };
    let verb = if on { "enable" } else { "disable" };
    one(event, "change", json!({verb: {what: whom}}))
}

fn picked(body: &Value, fields: &[&str]) -> Map<String, Value> {
    fields
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), body.get(*field)?.clone())))
        .collect()
}

fn named(name: Value, body: &Value, fields: &[&str]) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("name".to_owned(), name);
    object.extend(picked(body, fields));
    object
}

fn with_id(id: Value, body: &Value) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), id);
    object.extend(picked(body, KEY_FIELDS));
    object
}

fn user(body: &Value, name: Value) -> Map<String, Value> {
    let mut user = named(
        name,
        body,
        &["enabled", "roles", "full_name", "email", "metadata"],
    );
    let has = body.get("password").or(body.get("password_hash")).is_some();
    user.insert("has_password".to_owned(), json!(has));
    user
}

fn role(name: Value, body: &Value) -> Value {
    let fields = [
        "cluster",
        "global",
        "index",
        "indices",
        "application",
        "applications",
        "run_as",
        "remote_indices",
        "remote_cluster",
        "metadata",
        "description",
    ];
    json!({"name": name, "role_descriptor": picked(body, &fields)})
}

fn privileges(body: &Value) -> Vec<Value> {
    let told = |(application, of_application): (&String, &Value)| {
        entries(of_application)
            .map(|(name, body)| {
                let mut privilege = Map::new();
                privilege.insert("application".to_owned(), json!(application));
                privilege.extend(named(json!(name), body, &["actions", "metadata"]));
                Value::Object(privilege)
            })
            .collect::<Vec<_>>()
    };
    entries(body).flat_map(told).collect()
}

fn created_key(action: &str, body: &Value, answer: &Value) -> Vec<Change> {
    let is_grant = action == "api_key/grant";
    let asked = if is_grant { &body["api_key"] } else { body };
    let mut key = with_id(answer["id"].clone(), asked);
    if !key.contains_key("name") {
        key.insert("name".to_owned(), answer["name"].clone());
    }
    let kind = if action.starts_with("cross_cluster") {
        "cross_cluster"
    } else {
        "rest"
    };
    key.insert("type".to_owned(), json!(kind));
    let mut what = Map::new();
    what.insert("apikey".to_owned(), Value::Object(key));
    if is_grant {
        let user =
            json!({"name": body["username"], "has_password": body.get("password").is_some()});
        let has_token = body.get("access_token").is_some();
        let grant =
            json!({"type": body["grant_type"], "user": user, "has_access_token": has_token});
        what.insert("grant".to_owned(), grant);
    }
    one("create_apikey", "create", Value::Object(what))
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A comma list of a path as an array.
fn list(name: &Value) -> Vec<String> {
    super::super::body::split_commas(name.as_str().unwrap_or_default())
}
