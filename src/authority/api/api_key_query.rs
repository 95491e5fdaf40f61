//! `_query/api_key`: searching and counting API keys.
//!
//! Who may see only their own keys searches only among these: others are gone before the query is looked at, so no filter,
//! count or aggregation can tell of them.

use std::borrow::Cow;
use std::sync::Arc;

use super::api_key_view::{View, describe};
use super::search::{self, Search};
use crate::authority::authorize;
use crate::authority::body::Grammar;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::query::datum::{Datum, Document, date, text, visit_metadata};
use crate::authority::query::schema::{Definition, Field, Kind, Schema};
use crate::authority::record::ApiKey;
use crate::authority::state::State;
use crate::wire::grants::QueryApiKeysResponse;

const GRAMMAR: Grammar = Grammar::Strict("query_api_key_request_payload");

/// What keys can be asked about.
pub static SCHEMA: Schema = Schema(&[
    field("username", "creator.principal", Kind::Keyword),
    field("realm_name", "creator.realm", Kind::Keyword),
    field("name", "name", Kind::Keyword),
    field("type", "runtime_key_type", Kind::Keyword),
    field("creation", "creation_time", Kind::Date),
    field("expiration", "expiration_time", Kind::Date),
    field("invalidated", "api_key_invalidated", Kind::Boolean),
    field("invalidation", "invalidation_time", Kind::Date),
    field("metadata", "metadata_flattened", Kind::Flattened),
]);

const fn field(name: &'static str, index_name: &'static str, kind: Kind) -> Definition {
    Definition {
        name,
        index_name,
        kind,
    }
}

/// A key that is searched for.
pub struct KeyDocument(pub Arc<ApiKey>);

impl Document for KeyDocument {
    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.id)
    }

    fn visit(&self, field: &Field, each: &mut dyn FnMut(Datum<'_>)) {
        let key = &self.0;
        match field.name {
            "username" => each(text(&key.creator.username)),
            "realm_name" => each(text(&key.creator.realm.name)),
            "name" => each(text(&key.name)),
            "type" => each(text(key.kind.label())),
            "creation" => each(date(key.creation)),
            "expiration" => key.expiration.into_iter().for_each(|at| each(date(at))),
            "invalidated" => each(Datum::Bool(key.invalidation.is_some())),
            "invalidation" => key.invalidation.into_iter().for_each(|at| each(date(at))),
            _ => visit_metadata(&key.metadata, field.path.as_deref(), each),
        }
    }
}

/// `GET|POST /_security/_query/api_key`
pub async fn query(state: &State, call: Call) -> Result<Reply, Failure> {
    let request = search::parse(&call, GRAMMAR, true)?;
    let view = View::of(&call.query)?;
    let typed_keys = call.query.flag("typed_keys")?;
    let subject = &call.subject;
    // What a key is limited by tells more about its owner than the key itself may know.
    let beyond_itself = view.limited_by && subject.acting_key().is_some();
    let granted = authorize::for_own_keys(state, &call, !beyond_itself).await?;
    let sees_all = granted.permissions().allows_cluster_action(call.action);
    let search = Search {
        request,
        schema: &SCHEMA,
        typed_keys,
        now_millis: call.now.unix_millis(),
    };
    let visible = |key: &ApiKey| match subject.acting_key() {
        _ if sees_all => true,
        Some(acting) => acting.id == key.id,
        None => subject.owns(key),
    };
    let rows = state.tables().api_keys.select(|_, key| visible(key));
    let mut keys: Vec<Arc<ApiKey>> = rows.into_iter().map(|(_, key)| key).collect();
    keys.sort_by(|one, other| (one.creation, &one.id).cmp(&(other.creation, &other.id)));
    let documents = keys.into_iter().map(KeyDocument).collect();
    let found = search::run(state, search, documents).await?;
    let api_keys: Vec<_> = found
        .hits
        .into_iter()
        .map(|(KeyDocument(key), sort)| {
            let mut shown = describe(state.tables(), &key, view);
            shown.sort = (!sort.is_empty()).then_some(sort);
            shown
        })
        .collect();
    granted.reply(&QueryApiKeysResponse {
        total: found.total,
        count: api_keys.len(),
        api_keys,
        aggregations: found.aggregations,
    })
}
