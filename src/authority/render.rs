//! From an outcome to an HTTP response: `pretty`, `filter_path`, media type, and the headers every answer has.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::call::{Query, Reply};
use super::failure::Failure;
use super::media::Media;
use crate::net::http::{Body, Response};

/// Marks every answer; official clients refuse a server without it.
const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");

/// How an answer is to be written.
#[derive(Clone, Debug)]
pub struct Style {
    /// Its media type.
    pub media: Media,
    /// Indented.
    pub pretty: bool,
    /// Patterns of `filter_path`; those that start with `-` take away; empty: everything.
    pub filter: Vec<String>,
}

impl Style {
    /// Compact JSON.
    pub fn plain() -> Self {
        Self {
            media: Media::Json,
            pretty: false,
            filter: Vec::new(),
        }
    }

    /// Reads `pretty` and `filter_path`.
    pub fn of(query: &Query, media: Media) -> Self {
        let filter = query.non_empty("filter_path").unwrap_or_default();
        Self {
            media,
            pretty: query.flag("pretty").unwrap_or(false),
            filter: super::body::split_commas(filter),
        }
    }
}

/// Writes a reply or a failure.
pub fn respond(outcome: Result<Reply, Failure>, style: &Style, method: &Method) -> Response {
    let (status, body, headers) = match outcome {
        Ok(reply) => (reply.status, shape(reply.body, style, true), Vec::new()),
        Err(failure) => {
            let body = serde_json::to_vec(&failure.body()).unwrap_or_default();
            let headers: Vec<_> = failure.headers().collect();
            (failure.status, shape(body, style, false), headers)
        }
    };
    let body = if method == Method::HEAD {
        Vec::new()
    } else {
        body
    };
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    let map = response.headers_mut();
    map.insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
    map.insert(header::CONTENT_TYPE, style.media.content_type());
    for (name, value) in headers {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            map.append(name, value);
        }
    }
    response
}

/// The answer to `OPTIONS` on a path that exists.
pub fn options(allowed: &[Method]) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::OK;
    let map = response.headers_mut();
    map.insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
    map.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=UTF-8"),
    );
    if let Ok(value) = HeaderValue::from_str(&join(allowed, ",")) {
        map.insert(header::ALLOW, value);
    }
    response
}

/// `GET,POST`
pub fn join(methods: &[Method], separator: &str) -> String {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.join(separator)
}

fn shape(body: Vec<u8>, style: &Style, may_filter: bool) -> Vec<u8> {
    let filter = may_filter && !style.filter.is_empty();
    if !filter && !style.pretty {
        return body;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    if filter {
        value = filtered(value, &style.filter);
    }
    let written = if style.pretty {
        serde_json::to_vec_pretty(&value).map(|mut bytes| {
            bytes.push(b'\n');
            bytes
        })
    } else {
        serde_json::to_vec(&value)
    };
    written.unwrap_or(body)
}

/// What `filter_path` leaves of a value: first what is wanted, then without what is not.
pub fn filtered(value: Value, filter: &[String]) -> Value {
    let paths = |negative: bool| -> Vec<Vec<&str>> {
        filter
            .iter()
            .filter(|path| path.starts_with('-') == negative)
            .map(|path| path.trim_start_matches('-').split('.').collect())
            .collect()
    };
    let empty = || Value::Object(serde_json::Map::new());
    let wanted = paths(false);
    let mut value = if wanted.is_empty() {
        value
    } else {
        let wanted: Vec<&[&str]> = wanted.iter().map(Vec::as_slice).collect();
        keep(&value, &wanted).unwrap_or_else(empty)
    };
    let unwanted = paths(true);
    let unwanted: Vec<&[&str]> = unwanted.iter().map(Vec::as_slice).collect();
    if !unwanted.is_empty() {
        remove(&mut value, &unwanted);
    }
    value
}

/// Takes `paths` out of a value. Arrays are looked through.
fn remove(value: &mut Value, paths: &[&[&str]]) {
    match value {
        Value::Object(map) => map.retain(|key, value| {
            let next = advance(paths, key);
            let whole = next.iter().any(|path| path.is_empty());
            if !whole && !next.is_empty() {
                remove(value, &next);
            }
            !whole
        }),
        Value::Array(items) => items.iter_mut().for_each(|item| remove(item, paths)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What remains of a value when only `paths` are wanted. Arrays are looked through.
fn keep(value: &Value, paths: &[&[&str]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    match value {
        Value::Object(map) => {
            let kept: serde_json::Map<String, Value> = map
                .iter()
                .filter_map(|(key, value)| {
                    let next = advance(paths, key);
                    (!next.is_empty())
                        .then(|| keep(value, &next))
                        .flatten()
                        .map(|value| (key.clone(), value))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<Value> = items.iter().filter_map(|item| keep(item, paths)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// What is left of all paths below `key`. The same rest counts once, or many `**` would multiply.
fn advance<'p>(paths: &[&'p [&'p str]], key: &str) -> Vec<&'p [&'p str]> {
    let mut next: Vec<&[&str]> = paths.iter().flat_map(|path| step(path, key)).collect();
    next.sort_unstable_by_key(|path| (path.as_ptr() as usize, path.len()));
    next.dedup_by(|a, b| std::ptr::eq(*a, *b));
    next
}

/// The paths left to walk below `key`; `**` may stay or go.
fn step<'p>(path: &'p [&'p str], key: &str) -> Vec<&'p [&'p str]> {
    match path {
        ["**"] => vec![&[]],
        ["**", rest @ ..] => {
            let mut next = vec![path];
            next.extend(step(rest, key));
            next
        }
        [first, rest @ ..] if matches_wildcard(first.as_bytes(), key.as_bytes()) => vec![rest],
        _ => Vec::new(),
    }
}

/// `*` matches any run of bytes. Linear in the product of lengths, without recursion.
fn matches_wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn after(path: &str) -> Value {
        let value = json!({"a": {"b": 1, "c": [{"d": 2, "e": 3}]}, "f": 4});
        let style = Style {
            filter: super::super::body::split_commas(path),
            ..Style::plain()
        };
        serde_json::from_slice(&shape(serde_json::to_vec(&value).unwrap(), &style, true)).unwrap()
    }

    #[test]
    fn filter_path_keeps_what_it_names() {
        assert_eq!(after("a.c.d"), json!({"a": {"c": [{"d": 2}]}}));
        assert_eq!(after("*.b,f"), json!({"a": {"b": 1}, "f": 4}));
        assert_eq!(after("**.e"), json!({"a": {"c": [{"e": 3}]}}));
        assert_eq!(after("x"), json!({}));
        assert_eq!(after("**")["a"]["b"], 1);
        assert_eq!(after(&(["**"; 200].join(".") + ".f")), json!({"f": 4}));
        assert_eq!(after("-a.c,-f"), json!({"a": {"b": 1}}));
        assert_eq!(after("a,-**.d"), json!({"a": {"b": 1, "c": [{"e": 3}]}}));
    }
}
