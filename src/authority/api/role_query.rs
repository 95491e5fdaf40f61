//! `_query/role`: searching roles, the reserved ones included.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::role_body;
use super::search::{self, Search};
use crate::authority::authorize;
use crate::authority::body::Grammar;
use crate::authority::builtin::roles as reserved;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::query::datum::{Datum, Document, text, visit_metadata};
use crate::authority::query::schema::{Definition, Field, Kind, Schema};
use crate::authority::state::State;
use crate::wire::roles::RoleDescriptor;

const GRAMMAR: Grammar = Grammar::Strict("query_role_request_payload");

/// What roles can be asked about.
pub static SCHEMA: Schema = Schema(&[
    field("name", "name", Kind::Keyword),
    field("description", "description", Kind::Text),
    field(
        "applications.application",
        "applications.application",
        Kind::Keyword,
    ),
    field(
        "applications.resources",
        "applications.resources",
        Kind::Keyword,
    ),
    field(
        "applications.privileges",
        "applications.privileges",
        Kind::Keyword,
    ),
    field("metadata", "metadata_flattened", Kind::Flattened),
]);

const fn field(name: &'static str, index_name: &'static str, kind: Kind) -> Definition {
    Definition {
        name,
        index_name,
        kind,
    }
}

/// A role that is searched for.
struct RoleDocument {
    name: String,
    role: Role,
}

/// Where a role comes from.
enum Role {
    Reserved(&'static RoleDescriptor),
    Stored(Arc<RoleDescriptor>),
}

impl RoleDocument {
    fn role(&self) -> &RoleDescriptor {
        match &self.role {
            Role::Reserved(role) => role,
            Role::Stored(role) => role,
        }
    }
}

impl Document for RoleDocument {
    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("role-{}", self.name))
    }

    fn visit(&self, field: &Field, each: &mut dyn FnMut(Datum<'_>)) {
        let role = self.role();
        let mut every = |texts: &[String]| texts.iter().for_each(|it| each(text(it)));
        match field.name {
            "name" => every(std::slice::from_ref(&self.name)),
            "description" => every(role.description.as_slice()),
            "applications.application" => role
                .applications
                .iter()
                .for_each(|it| every(std::slice::from_ref(&it.application))),
            "applications.resources" => {
                role.applications.iter().for_each(|it| every(&it.resources));
            }
            "applications.privileges" => {
                role.applications
                    .iter()
                    .for_each(|it| every(&it.privileges));
            }
            _ => visit_metadata(&role.metadata, field.path.as_deref(), each),
        }
    }
}

/// `GET|POST /_security/_query/role`
pub async fn query(state: &State, call: Call) -> Result<Reply, Failure> {
    let request = search::parse(&call, GRAMMAR, false)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let search = Search {
        request,
        schema: &SCHEMA,
        typed_keys: false,
        now_millis: call.now.unix_millis(),
    };
    let found = search::run(state, search, documents(state)).await?;
    let roles: Vec<Value> = found
        .hits
        .into_iter()
        .map(|(document, sort)| describe(&document, sort))
        .collect();
    granted.reply(&json!({"total": found.total, "count": roles.len(), "roles": roles}))
}

/// Every role by name; a reserved one hides a stored one of its name, as it does when roles are resolved.
fn documents(state: &State) -> Vec<RoleDocument> {
    let stored = state
        .tables()
        .roles
        .select(|name, _| reserved::reserved_role(name).is_none());
    let stored = stored.into_iter().map(|(name, role)| RoleDocument {
        name,
        role: Role::Stored(role),
    });
    let reserved = reserved::reserved_roles().map(|(name, role)| RoleDocument {
        name: name.to_owned(),
        role: Role::Reserved(role),
    });
    let mut documents: Vec<RoleDocument> = stored.chain(reserved).collect();
    documents.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    documents
}

fn describe(document: &RoleDocument, sort: Vec<Value>) -> Value {
    let mut shown = Map::from_iter([("name".to_owned(), json!(document.name))]);
    if let Value::Object(fields) = json!(role_body::render(document.role())) {
        shown.extend(fields);
    }
    if !sort.is_empty() {
        shown.insert("_sort".to_owned(), Value::Array(sort));
    }
    Value::Object(shown)
}
