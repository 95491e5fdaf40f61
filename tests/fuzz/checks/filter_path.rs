//! `filter_path` (the first line) on any JSON (the rest): what is left was there before.

use serde_json::Value;
use sidegate::authority::filter_path::FilterPath;

fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.values().map(leaves).sum(),
        Value::Array(items) => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

/// Any bytes that are text.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((paths, json)) = text.split_once('\n') else {
        return;
    };
    let Ok(filter) = FilterPath::parse(paths) else {
        return;
    };
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        return;
    };
    let before = leaves(&value);
    let left = filter.apply(value.clone());
    assert!(leaves(&left) <= before.max(1));
    if filter.is_empty() {
        assert_eq!(left, value);
    }
}
