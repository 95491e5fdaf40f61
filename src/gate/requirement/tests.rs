use proptest::prelude::*;

use super::*;
use crate::model::identity::Realm;

fn identity(username: &str) -> Identity {
    let realm = Realm {
        name: "native1".into(),
        kind: "native".into(),
    };
    Identity {
        username: username.into(),
        roles: vec!["reader".into()],
        full_name: None,
        email: None,
        metadata: serde_json::from_str(r#"{"team":"blue","size":3,"list":[1]}"#).unwrap(),
        realm: realm.clone(),
        lookup_realm: realm,
        authentication_type: "realm".into(),
        api_key: None,
    }
}

fn resource(parts: Vec<TemplatePart>) -> Requirement {
    Requirement::Application {
        application: "shop".into(),
        privilege: "read".into(),
        resource: Template(parts),
    }
}

fn literal(text: &str) -> TemplatePart {
    TemplatePart::Literal(text.into())
}

fn capture() -> TemplatePart {
    TemplatePart::Capture("space".into())
}

fn compiled(requirement: Requirement) -> (Need, AtomTable) {
    let pattern = PathPattern::parse("/spaces/{space}/**").unwrap();
    let mut table = AtomTable::default();
    match compile(&Access::Require(requirement), &pattern, &mut table) {
        Ok(Rule::Require(need)) => (need, table),
        other => panic!("{other:?}"),
    }
}

/// What the requirement asks the authority about, for a captured value.
fn asked(requirement: Requirement, identity: &Identity, space: &str) -> Vec<Atom> {
    let (need, table) = compiled(requirement);
    let segments = ["spaces".to_owned(), space.to_owned()];
    let facts = Facts {
        call: &[],
        identity,
        granted: &AtomBits::with_capacity(table.atoms().len()),
        segments: &segments,
    };
    let mut missing = Vec::new();
    need.evaluate(facts, &|_| None, &mut missing);
    missing
}

fn resource_of(atoms: &[Atom]) -> Option<&str> {
    match atoms {
        [Atom::Application { resource, .. }] => Some(resource),
        _ => None,
    }
}

#[test]
fn a_capture_is_escaped_so_that_it_stands_for_itself() {
    let ask = |space: &str| {
        asked(
            resource(vec![literal("space:"), capture()]),
            &identity("a"),
            space,
        )
    };
    assert_eq!(resource_of(&ask("one")), Some("space:one"));
    assert_eq!(resource_of(&ask("*")), Some(r"space:\*"));
    assert_eq!(resource_of(&ask(r"a?\b")), Some(r"space:a\?\\b"));
    let bare = |space: &str| asked(resource(vec![capture()]), &identity("a"), space);
    assert_eq!(resource_of(&bare("/.*/")), Some(r"\/.\*/"));
}

#[test]
fn literal_wildcards_of_the_operator_stay_wildcards() {
    let atoms = asked(
        resource(vec![capture(), literal("-*")]),
        &identity("a"),
        "x",
    );
    assert_eq!(resource_of(&atoms), Some("x-*"));
}

#[test]
fn a_hole_that_can_not_be_filled_is_a_no() {
    let field = |field| resource(vec![literal("u:"), TemplatePart::Identity(field)]);
    let nobody = identity("");
    for requirement in [
        field(IdentityField::Email),
        field(IdentityField::ApiKeyId),
        field(IdentityField::Username),
        field(IdentityField::Metadata("list".into())),
        field(IdentityField::Metadata("none".into())),
        resource(vec![capture()]),
    ] {
        assert_eq!(asked(requirement, &nobody, ""), [], "nothing is asked");
    }
    assert_eq!(
        resource_of(&asked(
            field(IdentityField::Metadata("size".into())),
            &nobody,
            ""
        )),
        Some("u:3")
    );
    assert_eq!(
        asked(resource(vec![capture()]), &nobody, &"x".repeat(2_000)),
        []
    );
    assert_eq!(asked(resource(vec![capture()]), &nobody, "a\nb"), []);
}

#[test]
fn an_unknown_capture_is_a_fault() {
    let requirement = resource(vec![TemplatePart::Capture("nobody".into())]);
    let pattern = PathPattern::parse("/a").unwrap();
    let compiled = compile(
        &Access::Require(requirement),
        &pattern,
        &mut AtomTable::default(),
    );
    assert_eq!(compiled, Err("nobody".to_owned()));
}

#[test]
fn static_atoms_are_interned_once() {
    let cluster = || Requirement::Cluster("monitor".into());
    let (need, table) = compiled(Requirement::AllOf(vec![
        cluster(),
        cluster(),
        resource(vec![literal("*")]),
    ]));
    assert_eq!(table.atoms().len(), 2);
    assert!(need.is_static());
}

#[test]
fn unknown_is_never_taken_for_yes_and_decided_lists_ask_nothing() {
    let unknown = || resource(vec![capture()]);
    let role = |name: &str| Requirement::Role(name.into());
    let alice = identity("alice");
    let evaluate = |requirement: Requirement| {
        let (need, _) = compiled(requirement);
        let segments = ["spaces".to_owned(), "x".to_owned()];
        let facts = Facts {
            call: &[],
            identity: &alice,
            granted: &AtomBits::default(),
            segments: &segments,
        };
        let mut missing = Vec::new();
        (need.evaluate(facts, &|_| None, &mut missing), missing.len())
    };
    assert_eq!(
        evaluate(Requirement::AllOf(vec![unknown(), role("reader")])),
        (Answer::Unknown, 1)
    );
    assert_eq!(
        evaluate(Requirement::AllOf(vec![unknown(), role("writer")])),
        (Answer::No, 0)
    );
    assert_eq!(
        evaluate(Requirement::AnyOf(vec![unknown(), role("reader")])),
        (Answer::Yes, 0)
    );
    assert_eq!(
        evaluate(Requirement::AnyOf(vec![unknown(), role("writer")])),
        (Answer::Unknown, 1)
    );
    assert_eq!(evaluate(Requirement::AnyOf(vec![])), (Answer::No, 0));
    assert_eq!(
        evaluate(Requirement::AllOf(vec![unknown(), unknown()])),
        (Answer::Unknown, 1)
    );
}

#[test]
fn what_is_unmet_is_told_in_words() {
    let (need, table) = compiled(Requirement::AllOf(vec![
        Requirement::Cluster("monitor".into()),
        Requirement::Role("reader".into()),
        Requirement::AnyOf(vec![
            Requirement::Role("x".into()),
            resource(vec![capture()]),
        ]),
    ]));
    let alice = identity("alice");
    let segments = ["spaces".to_owned(), "one".to_owned()];
    let facts = Facts {
        call: &[],
        identity: &alice,
        granted: &AtomBits::with_capacity(1),
        segments: &segments,
    };
    let mut words = Vec::new();
    need.unmet(facts, table.atoms(), &|_| Some(false), &mut words);
    assert_eq!(
        words,
        ["cluster:monitor", "role:x", "application:shop:read@one"]
    );
}

proptest! {
    #[test]
    fn no_capture_widens_a_pattern(value in "[a-z*?\\\\/.]{1,12}", prefix in prop_oneof![Just(""), Just("space:")]) {
        let parts = vec![literal(prefix), capture()];
        let atoms = asked(resource(parts), &identity("a"), &value);
        let text = resource_of(&atoms).unwrap();
        prop_assert!(!text.starts_with('/'));
        // Unescaping gives the value back, and no wildcard stands unescaped.
        let mut unescaped = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            prop_assert!(!matches!(c, '*' | '?'));
            unescaped.push(if c == '\\' { chars.next().unwrap() } else { c });
        }
        prop_assert_eq!(unescaped, format!("{prefix}{value}"));
    }
}
