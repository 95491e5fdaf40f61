use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::Mappings;
use super::model::MappedUser;
use super::rule::Rule;
use crate::authority::table::{Draft, Table};
use crate::wire::roles::{RoleMapping, RoleTemplate, TemplateFormat};

fn metadata() -> Map<String, Value> {
    let metadata = json!({"cost": 7, "ratio": 0.5, "on": true, "tags": ["x", "y"], "none": null, "o": {"p": 1}});
    metadata.as_object().unwrap().clone()
}

fn holds_for(rule: &Value, change: impl FnOnce(&mut MappedUser<'_>)) -> bool {
    let groups = [
        "CN=Admins, OU=Groups, DC=example, DC=com".to_owned(),
        "plain".to_owned(),
    ];
    let metadata = metadata();
    let mut user = MappedUser {
        username: "joe",
        dn: Some("CN=Joe,OU=People,DC=Example,DC=com"),
        groups: &groups,
        metadata: &metadata,
        realm: "jwt1",
    };
    change(&mut user);
    Rule::parse(rule, "m").unwrap().matches(&user)
}

fn holds(rule: Value) -> bool {
    holds_for(&rule, |_| {})
}

fn field(name: &str, value: Value) -> Value {
    json!({"field": {name: value}})
}

#[test]
fn fields_match_texts_patterns_lists_numbers_and_nothing() {
    for (name, value) in [
        ("username", json!("joe")),
        ("username", json!("j*")),
        ("username", json!("/jo(e|hn)/")),
        ("username", json!(["ann", "joe"])),
        ("realm.name", json!("jwt1")),
        ("metadata.cost", json!(7)),
        ("metadata.on", json!(true)),
        ("metadata.tags", json!("y")),
        ("metadata.none", json!(null)),
        ("metadata.absent", json!(null)),
        ("nonsense", json!(null)),
    ] {
        assert!(holds(field(name, value.clone())), "{name} {value}");
    }
    for (name, value) in [
        ("username", json!("Joe")),
        ("username", json!("J*")),
        ("username", json!(null)),
        ("metadata.cost", json!("7")),
        ("metadata.cost", json!(8)),
        ("metadata.ratio", json!(0)),
        ("metadata.on", json!("true")),
        ("metadata.tags", json!("z")),
        ("metadata.o", json!(null)),
        ("metadata.o.p", json!(1)),
        ("groups", json!(null)),
        ("nonsense", json!("*")),
    ] {
        assert!(!holds(field(name, value.clone())), "{name} {value}");
    }
}

#[test]
fn distinguished_names_and_groups_match_however_they_are_written() {
    for value in [
        "cn=joe,ou=people,dc=example,dc=com",
        "CN = Joe , OU=people,  DC=example,DC=com",
        "*,dc=example,dc=com",
        "*, DC=Example, DC=com",
        "cn=joe,*",
        "/cn=jo.*/",
    ] {
        assert!(holds(field("dn", json!(value))), "{value}");
    }
    for value in ["cn=joe", "*,dc=example,dc=org", "joe"] {
        assert!(!holds(field("dn", json!(value))), "{value}");
    }
    for value in [
        "cn=admins,ou=groups,dc=example,dc=com",
        "PLAIN",
        "*,ou=groups,dc=example,dc=com",
        "pl*",
    ] {
        assert!(holds(field("groups", json!(value))), "{value}");
    }
    assert!(holds_for(&field("dn", json!(null)), |user| user.dn = None));
    assert!(!holds_for(&field("groups", json!("*")), |user| user
        .groups =
        &[]));
}

#[test]
fn rules_combine_and_empty_ones_are_false_for_any_and_true_for_all() {
    let (yes, no) = (
        field("username", json!("joe")),
        field("username", json!("x")),
    );
    assert!(!holds(json!({"any": []})) && holds(json!({"all": []})));
    assert!(holds(json!({"any": [no, yes]})) && !holds(json!({"all": [no, yes]})));
    assert!(holds(json!({"all": [yes, {"except": no}]})));
    assert!(!holds(json!({"all": [{"except": {"any": [no, yes]}}]})));
}

#[test]
fn what_is_no_rule_is_refused_with_its_words() {
    for (rule, why) in [
        (json!({}), "object [m] does not contain any fields"),
        (
            json!({"any": [], "all": []}),
            "object [m] contains multiple fields",
        ),
        (
            json!({"some": []}),
            "field [some] is not recognised in object [m]",
        ),
        (json!({"any": {}}), "field [any] requires an array"),
        (
            json!({"any": ["x"]}),
            "expected [any] to be an object but found [VALUE_STRING] instead",
        ),
        (
            json!({"except": {"any": []}}),
            "field [except] is not allowed within [m]",
        ),
        (
            json!({"any": [{"except": {"any": []}}]}),
            "field [except] is not allowed within [any]",
        ),
        (
            json!({"all": [{"except": {"except": {}}}]}),
            "field [except] is not allowed within [except]",
        ),
        (
            json!({"field": "x"}),
            "expected an object but found [VALUE_STRING] instead",
        ),
        (
            json!({"field": {}}),
            "object [field] does not contain any fields",
        ),
        (
            json!({"field": {"a": 1, "b": 2}}),
            "object [field] contains multiple fields",
        ),
        (
            json!({"field": {"a": {}}}),
            "expected a field value but found [START_OBJECT] instead",
        ),
        (
            json!({"field": {"a": [[]]}}),
            "expected a field value but found [START_ARRAY] instead",
        ),
    ] {
        let failure = Rule::parse(&rule, "m").unwrap_err();
        let expected = format!("failed to parse rules expression. {why}");
        assert_eq!(
            failure.cause(),
            ("parse_exception", expected.as_str()),
            "{rule}"
        );
    }
    let failure = Rule::parse(&field("a", json!("/x")), "m");
    assert!(
        failure.is_ok(),
        "only a text between two slashes is an expression"
    );
    let failure = Rule::parse(&field("a", json!("/(/")), "m").unwrap_err();
    assert_eq!(failure.cause().0, "illegal_argument_exception");
    let many: Vec<u32> = (0..20_000).collect();
    assert!(Rule::parse(&field("a", json!(many)), "m").is_err());
}

fn mapping(roles: &[&str], rules: Value) -> RoleMapping {
    RoleMapping {
        enabled: true,
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        rules,
        ..RoleMapping::default()
    }
}

fn table(mappings: Vec<(&str, RoleMapping)>) -> Table<RoleMapping> {
    let rows: BTreeMap<_, _> = mappings
        .into_iter()
        .map(|(name, row)| (name.to_owned(), Arc::new(row)))
        .collect();
    Table::of(rows)
}

fn roles(mappings: &Mappings, table: &Table<RoleMapping>) -> Vec<String> {
    let groups = ["ops".to_owned(), "dev".to_owned()];
    let metadata = metadata();
    let user = MappedUser {
        username: "joe",
        dn: None,
        groups: &groups,
        metadata: &metadata,
        realm: "jwt1",
    };
    mappings.roles(table, &user)
}

fn template(text: &str, format: TemplateFormat) -> RoleTemplate {
    RoleTemplate {
        template: json!({"source": text}).to_string(),
        format,
    }
}

#[test]
fn enabled_mappings_add_up_and_change_with_their_table() {
    let everybody = || json!({"all": []});
    let off = RoleMapping {
        enabled: false,
        ..mapping(&["never"], everybody())
    };
    let table = table(vec![
        ("a", mapping(&["z", "b"], everybody())),
        ("b", mapping(&["b", "a"], everybody())),
        ("c", mapping(&["never"], field("username", json!("ann")))),
        ("d", off),
    ]);
    let mappings = Mappings::default();
    assert_eq!(roles(&mappings, &table), ["a", "b", "z"]);
    let mut draft = Draft::new(&table);
    draft.remove("a");
    draft.put("c", mapping(&["c"], everybody()));
    draft.keep();
    let changes = draft.into_settled();
    table.apply(changes);
    assert_eq!(roles(&mappings, &table), ["a", "b", "c"]);
}

#[test]
fn templates_name_roles_from_what_is_known_about_the_user() {
    let with = |templates: Vec<RoleTemplate>| {
        let mapping = RoleMapping {
            role_templates: templates,
            ..mapping(&[], json!({"all": []}))
        };
        roles(&Mappings::default(), &table(vec![("m", mapping)]))
    };
    assert_eq!(
        with(vec![
            template("_user_{{username}}", TemplateFormat::String),
            template("{{#tojson}}groups{{/tojson}}", TemplateFormat::Json),
            template(
                "\"r_{{realm.name}}_{{metadata.cost}}\"",
                TemplateFormat::Json
            ),
        ]),
        ["_user_joe", "dev", "ops", "r_jwt1_7"]
    );
    assert_eq!(
        with(vec![template("{{nothing}}", TemplateFormat::String)]),
        [""; 0]
    );
    assert_eq!(
        with(vec![template("[1]", TemplateFormat::Json)]),
        [""; 0],
        "failed, so nothing"
    );
}

fn rule() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just("joe"), Just("j*"), Just("ann")]
        .prop_map(|name| field("username", json!(name)));
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|rules| json!({"any": rules})),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|rules| json!({"all": rules})),
            inner.prop_map(|rule| json!({"all": [{"except": rule}]})),
        ]
    })
}

/// The language once more, straight from the JSON.
fn naive(rule: &Value) -> bool {
    let (kind, inner) = rule.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "any" => inner.as_array().unwrap().iter().any(naive),
        "all" => inner.as_array().unwrap().iter().all(naive),
        "except" => !naive(inner),
        _ => inner["username"] != json!("ann"),
    }
}

proptest! {
    #[test]
    fn rules_agree_with_a_naive_reading_and_are_written_back_as_they_were(rule in rule()) {
        prop_assert_eq!(holds(rule.clone()), naive(&rule));
        prop_assert_eq!(Rule::parse(&rule, "m").unwrap().json(), rule);
    }
}
