//! The JSON Schema of the config file, made from the types in `file`. `sidegate schema` prints it; `shape` checks by it.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::File;

/// The schema as JSON (draft 2020-12), made once.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let generator = SchemaSettings::draft2020_12().into_generator();
        generator.into_root_schema_for::<File>().to_value()
    });
    &SCHEMA
}

/// The schema as text, indented, with a line break at the end.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented() {
        let defs = schema()["$defs"].as_object().unwrap();
        for (name, def) in defs.iter().chain([(&"File".to_owned(), schema())]) {
            assert!(def["description"].is_string(), "{name}");
            for (key, property) in def["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{name}.{key}");
            }
            if def["properties"].is_object() {
                assert_eq!(def["additionalProperties"], false, "{name}");
            }
        }
    }
}
