//! What the three query endpoints share: reading the body of a search, and running it away from the runtime's threads.

use serde_json::Value;

use crate::authority::body::{Field, Grammar};
use crate::authority::call::Call;
use crate::authority::failure::Failure;
use crate::authority::query::datum::Document;
use crate::authority::query::fault::Fault;
use crate::authority::query::schema::Schema;
use crate::authority::query::search::{Found, Plan, Request};
use crate::authority::state::State;

use std::sync::Arc;

/// A search, and what it is made of.
pub struct Search {
    /// As it was written.
    pub request: Request,
    /// The fields there are.
    pub schema: &'static Schema,
    /// Whether names of results tell their types.
    pub typed_keys: bool,
    /// The present, milliseconds since the Unix epoch.
    pub now_millis: u64,
}

/// Reads the body of a search; without one it asks for everything. Only some endpoints can count (`with_aggregations`).
///
/// # Errors
/// What doesn't fit the grammar, and pages that can't be.
pub fn parse(call: &Call, grammar: Grammar, with_aggregations: bool) -> Result<Request, Failure> {
    let mut request = Request::default();
    if call.body.is_empty() {
        return Ok(request);
    }
    let (mut from, mut size) = (None, None);
    for field in call.object(grammar)?.fields() {
        match field.name {
            "query" if field.token() != "START_OBJECT" => return Err(field.mistyped("object")),
            "query" => request.query = Some(field.value()?),
            "aggs" | "aggregations" if with_aggregations => {
                if request.aggregations.is_some() {
                    return Err(Failure::illegal_argument(
                        "Duplicate 'aggs' or 'aggregations' field",
                    ));
                }
                request.aggregations = Some(field.value()?);
            }
            "from" => from = Some(integer(&field)?),
            "size" => size = Some(integer(&field)?),
            "sort" => request.sort = Some(field.value()?),
            "search_after" => match field.value()? {
                Value::Array(values) => request.search_after = Some(values),
                _ => return Err(field.mistyped("array")),
            },
            _ => return Err(field.unknown()),
        }
    }
    let mut faults = Vec::new();
    for (name, value) in [("from", from), ("size", size)] {
        if let Some(value) = value.filter(|value| *value < 0) {
            faults.push(format!(
                "[{name}] parameter cannot be negative but was [{value}]"
            ));
        }
    }
    if request.search_after.is_some() && from.is_some_and(|from| from > 0) {
        faults.push("[from] parameter must be set to 0 when [search_after] is used".to_owned());
    }
    if !faults.is_empty() {
        return Err(Failure::request_validation(&faults));
    }
    request.from = from.and_then(|from| usize::try_from(from).ok());
    request.size = size.and_then(|size| usize::try_from(size).ok());
    Ok(request)
}

/// A whole number, also as text; 32 bits, as Elasticsearch's.
fn integer(field: &Field<'_>) -> Result<i64, Failure> {
    let number = match field.value()? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => return Err(field.mistyped("integer")),
    };
    let number = number.filter(|number| i32::try_from(*number).is_ok());
    number.ok_or_else(|| {
        let given = field.text().chars().take(32).collect::<String>();
        field.failed(
            "illegal_argument_exception",
            format!("Value [{given}] is out of range for an integer"),
        )
    })
}

/// Makes a plan of a search and runs it. A scan takes milliseconds for every ten thousand documents, so it happens off the runtime's threads and a
/// few at a time.
///
/// # Errors
/// What is malformed, not allowed, or too much.
pub async fn run<D: Document>(
    state: &State,
    search: Search,
    documents: Vec<D>,
) -> Result<Found<D>, Failure> {
    let permit = Arc::clone(&state.scans).acquire_owned().await;
    let stopping = || Failure::server("the search was stopped");
    let permit = permit.map_err(|_| stopping())?;
    let scan = tokio::task::spawn_blocking(move || {
        let Search {
            request,
            schema,
            typed_keys,
            now_millis,
        } = search;
        // Patterns are compiled here, too.
        let found = Plan::new(&request, schema, typed_keys, now_millis)
            .and_then(|plan| plan.run(documents));
        drop(permit);
        found
    });
    scan.await.map_err(|_| stopping())?.map_err(refuse)
}

/// The answer to a search that can't be run. Where in the body it is wrong is not told; what is, is.
fn refuse(fault: Fault) -> Failure {
    match fault {
        Fault::Grammar(reason) => Failure::query_parsing(reason),
        Fault::Refused(reason) => Failure::illegal_argument(reason),
        Fault::Buckets(limit) => Failure::too_many_buckets(limit),
    }
}
