//! What may I do: the listing of `GET /_security/user/_privileges`, straight from the caller's role descriptors.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::permissions;
use crate::authority::state::State;
use crate::authority::subject::Subject;
use crate::wire::roles::{FieldSecurity, IndexPrivileges, RoleDescriptor};

/// `GET /_security/user/_privileges`
pub async fn list(state: &State, call: Call) -> Result<Reply, Failure> {
    let own = &call.subject.effective.username;
    let asked = call.query.non_empty("username").unwrap_or(own);
    let granted = authorize::for_self(state, &call, asked == own).await?;
    if asked != own {
        return Err(Failure::illegal_argument(
            "users may only list the privileges of their own account",
        ));
    }
    let roles = roles_of(state, &call.subject)?;
    let mut answer = Map::new();
    answer.insert(
        "cluster".to_owned(),
        json!(union(&roles, |role| &role.cluster)),
    );
    answer.insert("global".to_owned(), global(&roles));
    answer.insert("indices".to_owned(), indices(&roles));
    let application = call.query.non_empty("application");
    let privilege = call.query.non_empty("priviledge");
    answer.insert(
        "applications".to_owned(),
        applications(&roles, application, privilege),
    );
    answer.insert(
        "run_as".to_owned(),
        json!(union(&roles, |role| &role.run_as)),
    );
    for (name, list) in [
        ("remote_indices", remote_indices(&roles)),
        ("remote_cluster", remote_cluster(&roles)),
    ] {
        if !list.is_empty() {
            answer.insert(name.to_owned(), json!(list));
        }
    }
    granted.reply(&answer)
}

/// The caller's roles; an API key with roles of its own has an intersection, which no list can show.
fn roles_of(state: &State, subject: &Subject) -> Result<Vec<RoleDescriptor>, Failure> {
    let Some(key) = subject.acting_key() else {
        let roles = permissions::resolve(state.tables(), &subject.effective.roles);
        return Ok(roles.found.into_iter().map(|(_, role)| role).collect());
    };
    if key.roles.is_empty() {
        return Ok(key
            .limited_by
            .values()
            .map(|role| RoleDescriptor::clone(role))
            .collect());
    }
    Err(Failure::illegal_argument(
        "Cannot retrieve privileges for API keys with assigned role descriptors. Please use the Get API key information API \
         https://ela.st/es-api-get-api-key",
    ))
}

/// The names all roles list together, sorted.
fn union(roles: &[RoleDescriptor], of: fn(&RoleDescriptor) -> &Vec<String>) -> BTreeSet<&String> {
    roles.iter().flat_map(of).collect()
}

/// One object per request-conditional privilege, each with all categories.
fn global(roles: &[RoleDescriptor]) -> Value {
    let mut listed: Vec<Value> = Vec::new();
    for name in ["application", "profile", "role"] {
        for role in roles {
            let category = role.global.as_ref().and_then(|global| global.get(name));
            let Some(category) = category.filter(|category| **category != json!({})) else {
                continue;
            };
            let mut object = json!({"application": {}, "profile": {}, "role": {}});
            object[name] = category.clone();
            if !listed.contains(&object) {
                listed.push(object);
            }
        }
    }
    json!(listed)
}

/// Index privileges on the same names, merged.
struct Group<'r> {
    privileges: BTreeSet<&'r String>,
    /// `None` once somebody has the names without document level security.
    queries: Option<BTreeSet<&'r String>>,
    /// `None` once somebody has the names without field level security.
    fields: Option<Vec<&'r FieldSecurity>>,
}

impl Default for Group<'_> {
    fn default() -> Self {
        Self {
            privileges: BTreeSet::new(),
            queries: Some(BTreeSet::new()),
            fields: Some(Vec::new()),
        }
    }
}

impl<'r> Group<'r> {
    fn add(&mut self, item: &'r IndexPrivileges) {
        self.privileges.extend(&item.privileges);
        match (&item.query, &mut self.queries) {
            (Some(query), Some(queries)) => {
                queries.insert(query);
            }
            (Some(_) | None, _) => self.queries = None,
        }
        let restricting = item
            .field_security
            .as_ref()
            .filter(|fields| is_restricting(fields));
        match (restricting, &mut self.fields) {
            (Some(security), Some(fields)) if !fields.contains(&security) => fields.push(security),
            (Some(_), _) => {}
            (None, _) => self.fields = None,
        }
    }

    fn json(&self, names: &BTreeSet<&String>, allow_restricted: bool) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("names".to_owned(), json!(names));
        object.insert("privileges".to_owned(), json!(self.privileges));
        if let Some(fields) = &self.fields {
            object.insert("field_security".to_owned(), json!(fields));
        }
        if let Some(queries) = &self.queries {
            object.insert("query".to_owned(), json!(queries));
        }
        object.insert(
            "allow_restricted_indices".to_owned(),
            json!(allow_restricted),
        );
        object
    }
}

/// `grant: ["*"]` alone hides nothing.
fn is_restricting(fields: &FieldSecurity) -> bool {
    fields.grant != ["*"] || !fields.except.is_empty()
}

fn indices(roles: &[RoleDescriptor]) -> Value {
    let mut groups: BTreeMap<(BTreeSet<&String>, bool), Group<'_>> = BTreeMap::new();
    for item in roles.iter().flat_map(|role| &role.indices) {
        let key = (item.names.iter().collect(), item.allow_restricted_indices);
        groups.entry(key).or_default().add(item);
    }
    let objects = groups
        .iter()
        .map(|((names, restricted), group)| group.json(names, *restricted));
    objects.map(Value::Object).collect()
}

fn remote_indices(roles: &[RoleDescriptor]) -> Vec<Value> {
    type Key<'r> = (BTreeSet<&'r String>, BTreeSet<&'r String>, bool);
    let mut groups: BTreeMap<Key<'_>, Group<'_>> = BTreeMap::new();
    for item in roles.iter().flat_map(|role| &role.remote_indices) {
        let key = (
            item.clusters.iter().collect(),
            item.indices.names.iter().collect(),
            item.indices.allow_restricted_indices,
        );
        groups.entry(key).or_default().add(&item.indices);
    }
    groups
        .iter()
        .map(|((clusters, names, restricted), group)| {
            let mut object = group.json(names, *restricted);
            object.insert("clusters".to_owned(), json!(clusters));
            Value::Object(object)
        })
        .collect()
}

fn remote_cluster(roles: &[RoleDescriptor]) -> Vec<Value> {
    let mut groups: BTreeMap<BTreeSet<&String>, BTreeSet<&String>> = BTreeMap::new();
    for item in roles.iter().flat_map(|role| &role.remote_cluster) {
        let privileges = groups.entry(item.clusters.iter().collect()).or_default();
        privileges.extend(&item.privileges);
    }
    groups
        .into_iter()
        .map(|(clusters, privileges)| json!({"privileges": privileges, "clusters": clusters}))
        .collect()
}

/// Merged first by application and resources, then by application and privileges.
fn applications(
    roles: &[RoleDescriptor],
    application: Option<&str>,
    privilege: Option<&str>,
) -> Value {
    let mut by_resources: BTreeMap<(&String, BTreeSet<&String>), BTreeSet<&String>> =
        BTreeMap::new();
    for item in roles.iter().flat_map(|role| &role.applications) {
        let key = (&item.application, item.resources.iter().collect());
        by_resources
            .entry(key)
            .or_default()
            .extend(&item.privileges);
    }
    let mut by_privileges: BTreeMap<(&String, BTreeSet<&String>), BTreeSet<&String>> =
        BTreeMap::new();
    for ((application, resources), privileges) in by_resources {
        let entry = by_privileges.entry((application, privileges)).or_default();
        entry.extend(resources);
    }
    by_privileges
        .into_iter()
        .filter(|((name, privileges), _)| {
            application.is_none_or(|wanted| wanted == name.as_str())
                && privilege.is_none_or(|wanted| privileges.iter().any(|name| *name == wanted))
        })
        .map(|((application, privileges), resources)| {
            json!({"application": application, "privileges": privileges, "resources": resources})
        })
        .collect()
}
