//! Answers as YAML (`format=yaml`, `Accept: application/yaml`), in the form Elasticsearch writes: block style, every text quoted.
//!
//! JSON text is valid in a double-quoted YAML scalar, so texts are written as JSON strings and nothing has to be guessed.

use serde_json::Value;

/// Writes a document, its `---` and last line break included.
pub fn document(value: &Value) -> Vec<u8> {
    let mut out = "---".to_owned();
    node(&mut out, value, 0, false);
    out.push('\n');
    out.into_bytes()
}

/// Writes a value after its key, dash or the document's start. `in_list`: after a dash, where an object begins on the same line.
fn node(out: &mut String, value: &Value, depth: usize, in_list: bool) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, value)) in map.iter().enumerate() {
                if index == 0 && in_list {
                    out.push(' ');
                } else {
                    line(out, depth);
                }
                out.push_str(&name(key));
                out.push(':');
                // A list in an object stands under its key, not further in.
                let deeper = depth + usize::from(!value.is_array());
                node(out, value, deeper, false);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                line(out, depth);
                out.push('-');
                node(out, item, depth + 1, true);
            }
        }
        scalar => {
            out.push(' ');
            out.push_str(&scalar.to_string());
        }
    }
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// A key stands bare when nothing in it could be taken for anything else.
fn name(key: &str) -> String {
    let plain = key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&key.to_ascii_lowercase().as_str());
    if plain {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_lists_and_scalars_take_block_style() {
        let value = json!({"a": {"b": [1, {"c": "x: y", "d": []}, [true]]}, "no": null, "e\n": {}});
        let text = String::from_utf8(document(&value)).unwrap();
        let expected = "---\na:\n  b:\n  - 1\n  - c: \"x: y\"\n    d: []\n  -\n    - true\n\"no\": null\n\"e\\n\": {}\n";
        assert_eq!(text, expected);
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, value);
    }
}
