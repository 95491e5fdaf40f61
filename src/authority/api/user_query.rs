//! `_query/user`: searching the users of the native realm. Reserved users are not found, as in Elasticsearch.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::json;

use super::search::{self, Search};
use crate::authority::authorize;
use crate::authority::body::Grammar;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::profile::identity::profile_uid_of;
use crate::authority::query::datum::{Datum, Document, text};
use crate::authority::query::schema::{Definition, Field, Kind, Schema};
use crate::authority::realm::account;
use crate::authority::record::User;
use crate::authority::state::State;
use crate::wire::principals;

const GRAMMAR: Grammar = Grammar::Strict("query_user_request_payload");

/// What users can be asked about.
pub static SCHEMA: Schema = Schema(&[
    field("username", Kind::Keyword),
    field("roles", Kind::Keyword),
    field("enabled", Kind::Boolean),
    field("full_name", Kind::Text),
    field("email", Kind::Email),
]);

const fn field(name: &'static str, kind: Kind) -> Definition {
    Definition {
        name,
        index_name: name,
        kind,
    }
}

/// A user that is searched for.
struct UserDocument {
    username: String,
    user: Arc<User>,
}

impl Document for UserDocument {
    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("user-{}", self.username))
    }

    fn visit(&self, field: &Field, each: &mut dyn FnMut(Datum<'_>)) {
        let user = &self.user;
        match field.name {
            "username" => each(text(&self.username)),
            "roles" => user.roles.iter().for_each(|role| each(text(role))),
            "enabled" => each(Datum::Bool(user.enabled)),
            "full_name" => user.full_name.iter().for_each(|name| each(text(name))),
            _ => user.email.iter().for_each(|email| each(text(email))),
        }
    }
}

/// `GET|POST /_security/_query/user`
pub async fn query(state: &State, call: Call) -> Result<Reply, Failure> {
    let request = search::parse(&call, GRAMMAR, false)?;
    let with_profile_uid = call.query.flag("with_profile_uid")?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let search = Search {
        request,
        schema: &SCHEMA,
        typed_keys: false,
        now_millis: call.now.unix_millis(),
    };
    let rows = state.tables().users.select(|_, _| true);
    let documents = rows
        .into_iter()
        .map(|(username, user)| UserDocument { username, user })
        .collect();
    let found = search::run(state, search, documents).await?;
    let users: Vec<_> = found
        .hits
        .into_iter()
        .map(|(document, sort)| {
            let native = account::realm(account::NATIVE, "native");
            let uid = || profile_uid_of(state.tables(), &document.username, &native);
            let profile_uid = with_profile_uid.then(uid).flatten();
            let mut shown = json!(describe(document, profile_uid));
            if !sort.is_empty() {
                shown["_sort"] = json!(sort);
            }
            shown
        })
        .collect();
    granted.reply(&json!({"total": found.total, "count": users.len(), "users": users}))
}

fn describe(document: UserDocument, profile_uid: Option<String>) -> principals::User {
    let user = &document.user;
    principals::User {
        username: document.username,
        roles: user.roles.clone(),
        full_name: user.full_name.clone(),
        email: user.email.clone(),
        metadata: user.metadata.clone(),
        enabled: user.enabled,
        profile_uid,
    }
}
