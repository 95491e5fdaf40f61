//! The body of a search over API keys: query, sort, aggregations, `search_after`. Planning and running end, in their budgets.

use std::borrow::Cow;

use serde_json::Value;
use sidegate::authority::api::api_key_query::SCHEMA;
use sidegate::authority::query::datum::{Datum, Document, date, text};
use sidegate::authority::query::schema::Field;
use sidegate::authority::query::search::{Plan, Request};

/// Has the same two texts and one moment in whatever field is asked for that takes them.
struct Row(usize);

impl Document for Row {
    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(self.0.to_string())
    }

    fn visit(&self, field: &Field, each: &mut dyn FnMut(Datum<'_>)) {
        use sidegate::authority::query::schema::Kind;
        match field.kind {
            Kind::Date => each(date(1_700_000_000_000 + self.0 as u64)),
            Kind::Boolean => each(Datum::Bool(self.0.is_multiple_of(2))),
            _ => {
                each(text("alice"));
                each(text(if self.0.is_multiple_of(2) {
                    "the quick brown fox"
                } else {
                    ""
                }));
            }
        }
    }
}

/// Any bytes.
pub(crate) fn check(data: &[u8]) {
    let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let number = |value: Option<Value>| {
        value
            .and_then(|value| value.as_u64())
            .map(|number| number as usize)
    };
    let request = Request {
        query: body.remove("query"),
        sort: body.remove("sort"),
        aggregations: body.remove("aggs"),
        search_after: body
            .remove("search_after")
            .and_then(|after| after.as_array().cloned()),
        from: number(body.remove("from")),
        size: number(body.remove("size")),
    };
    let Ok(plan) = Plan::new(&request, &SCHEMA, false, 1_700_000_000_000) else {
        return;
    };
    if let Ok(found) = plan.run((0..8).map(Row).collect()) {
        assert!(found.total <= 8 && found.hits.len() <= 8);
    }
}
