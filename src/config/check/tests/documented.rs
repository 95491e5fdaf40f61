//! The examples and every documented default load, and say what the code says.

use super::*;
use crate::config::schema;

#[test]
fn every_example_loads_without_a_doubt_worth_a_fault() {
    let mut count = 0;
    for entry in
        std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config")).unwrap()
    {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // Other YAML (Prometheus rules, Kubernetes) may lie here as well.
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
            && text.contains("\nlisteners:")
        {
            check(&text, &given()).unwrap_or_else(|faults| panic!("{}:\n{faults}", path.display()));
            count += 1;
        }
    }
    assert!(count >= 4, "{count}");
}

#[test]
fn production_examples_raise_no_warning() {
    for name in ["sidegate.yaml", "elasticsearch.yaml", "embedded.yaml"] {
        let warnings = taken(&example(name)).warnings;
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}

#[test]
fn every_key_stands_in_the_full_example() {
    let text = example("sidegate.yaml");
    let words = |key: &str| {
        text.match_indices(&format!("{key}:")).any(|(at, _)| {
            !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
        })
    };
    let defs = schema()["$defs"].as_object().unwrap();
    for (name, def) in defs.iter().chain([(&"File".to_owned(), schema())]) {
        for key in def["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
        {
            assert!(
                words(key),
                "{name}.{key} is missing in config/sidegate.yaml"
            );
        }
    }
}

#[test]
fn every_default_in_the_full_example_is_the_codes_default() {
    let full = example("sidegate.yaml");
    let lines = full.lines().map(|line| line.trim_start_matches([' ', '-']));
    let minimal = "
listeners: [{ address: '0.0.0.0:8443', tls: { certificates: [{ certificate: /etc/sidegate/tls.crt, key: /etc/sidegate/tls.key }] } }]
authority:
  elasticsearch: { nodes: ['https://es-1.example.com:9200', 'https://es-2.example.com:9200'], ca: /etc/sidegate/elasticsearch-ca.pem }
upstreams: { shop: { url: 'http://127.0.0.1:3000' } }
routes:
  - { name: assets, match: { path: /static/** }, allow: everyone, upstream: shop }
  - name: orders
    match: { path: '/spaces/{space}/orders/**' }
    require: { application: [{ application: shop, privileges: [orders_read], resources: ['space:{space}'] }] }
    upstream: shop
    forward: { identity_headers: {} }
";
    assert_eq!(
        format!("{:#?}", taken(&full).settings),
        format!("{:#?}", taken(minimal).settings)
    );
    // What only stands in comments can't differ in the settings, so its absence from the active lines is all there is to see.
    assert!(lines.filter(|line| line.starts_with("ttl:")).count() == 1);
}

#[test]
fn every_default_in_the_schema_is_the_codes_default() {
    fn with_defaults(root: &serde_json::Value, schema: &serde_json::Value) -> serde_json::Value {
        let schema = schema::resolved(root, schema);
        let mut out = serde_json::Map::new();
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(default) = property.get("default") {
                out.insert(key.clone(), default.clone());
            } else if schema::type_of(schema::resolved(root, property)) == Some("object")
                && schema::required(schema::resolved(root, property)).is_empty()
                && ![
                    "upstreams",
                    "require",
                    "metadata",
                    "client_certificate",
                    "addresses",
                    "credentials",
                ]
                .contains(&key.as_str())
            {
                out.insert(key.clone(), with_defaults(root, property));
            }
        }
        out.into()
    }
    let root = schema();
    let def = |name: &str| with_defaults(root, &root["$defs"][name]);
    let with = |name: &str, more: serde_json::Value| {
        let mut value = def(name);
        value
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        value
    };
    let mut full = with_defaults(root, root);
    let mut listener = with("Listener", serde_json::json!({"address": "127.0.0.1:8443"}));
    // Of Unix sockets only.
    listener.as_object_mut().unwrap().remove("socket_mode");
    full["listeners"] = serde_json::json!([listener]);
    full["authority"] = serde_json::json!({"embedded": {}});
    let mut upstream = with(
        "Upstream",
        serde_json::json!({"url": "http://127.0.0.1:3000"}),
    );
    upstream.as_object_mut().unwrap().remove("tls");
    full["upstreams"] = serde_json::json!({"shop": upstream});
    full["routes"] = serde_json::json!([with(
        "Route",
        serde_json::json!({"name": "home", "match": {"path": "/**"}, "allow": "authenticated", "upstream": "shop"})
    )]);
    assert_eq!(full["cache"]["ttl"], "60s");
    assert_eq!(full["listeners"][0]["limits"]["max_streams"], 128);
    let full = taken(&full.to_string()).settings;
    assert_eq!(
        format!("{full:#?}"),
        format!("{:#?}", taken(MINIMAL).settings)
    );
}
