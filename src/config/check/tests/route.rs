//! Routes: access, requirements, templates, forwarding, shadows.

use super::*;
use crate::config::forwards::{Claim, Combined, Conveyed};
use crate::config::settings::{Access, Forward, IdentityField, Requirement};

#[test]
fn a_route_needs_exactly_one_of_allow_and_require() {
    let path = "match: { path: / }\n";
    assert_eq!(
        fault(&with_route(path)).1,
        "it has neither `allow` nor `require`"
    );
    assert_eq!(
        fault(&with_route(&format!(
            "{path}allow: everyone\nrequire: {{ roles: [a] }}"
        )))
        .1,
        "it has both `allow` and `require`"
    );
    for nothing in ["require:", "require: {}", "require: { any_of: [{}] }"] {
        let (_, problem) = fault(&with_route(&format!("{path}{nothing}")));
        assert_eq!(
            problem, "it requires nothing, so it would let everybody in",
            "{nothing}"
        );
    }
    for empty in [
        "roles: []",
        "any_of: []",
        "all_of: []",
        "cluster: []",
        "index: []",
    ] {
        let (_, problem) = fault(&with_route(&format!("{path}require: {{ {empty} }}")));
        assert_eq!(problem, "found an empty list", "{empty}");
    }
    assert_eq!(
        fault(&with_route(&format!("{path}allow:"))).1,
        "found nothing"
    );
}

#[test]
fn a_requirement_becomes_a_tree_of_atoms() {
    let checked = taken(&with_route(
        "match: { path: '/{space}/**' }
require:
  cluster: [monitor]
  index: [{ names: [a, b], privileges: [read, write], allow_restricted_indices: true }]
  application: [{ application: shop, privileges: [read], resources: ['space:{space}'] }]
  roles: [clerk, manager]
  any_of: [{ roles: [x] }, { all_of: [{ roles: [y] }, { roles: [z] }] }]",
    ));
    let Access::Require(Requirement::AllOf(parts)) = &checked.settings.routes[0].access else {
        panic!()
    };
    assert_eq!(parts.len(), 1 + 4 + 1 + 1 + 1);
    assert!(matches!(&parts[0], Requirement::Cluster(name) if name == "monitor"));
    assert!(
        matches!(&parts[2], Requirement::Index { privilege, allow_restricted: true, .. } if privilege == "write")
    );
    assert!(matches!(&parts[6], Requirement::AnyOf(roles) if roles.len() == 2));
    let Requirement::AnyOf(any) = &parts[7] else {
        panic!()
    };
    assert!(matches!(&any[0], Requirement::Role(role) if role == "x"));
    assert!(matches!(&any[1], Requirement::AllOf(all) if all.len() == 2));
}

#[test]
fn templates_only_use_what_the_path_captures() {
    let route = |resource: &str| {
        with_route(&format!(
            "match: {{ path: '/{{space}}/**' }}\nrequire: {{ application: [{{ application: shop, privileges: [r], resources: ['{resource}'] }}] }}"
        ))
    };
    taken(&route("space:{space}-{identity.username}"));
    taken(&route("/a.*/"));
    for (resource, problem) in [
        ("{spaces}", "the route's path does not capture `spaces`"),
        (
            "{identity.mail}",
            "`{identity.mail}`: the identity has no field `mail`",
        ),
        (
            "/a",
            "it begins with `/` like a regular expression, but does not end with one",
        ),
        (
            "/{space}/",
            "a hole stands inside a regular expression, where what fills it can't be made safe",
        ),
    ] {
        assert_eq!(fault(&route(resource)).1, problem, "{resource}");
    }
}

#[test]
fn the_privileges_of_one_route_are_bounded() {
    let names = (0..100)
        .map(|n| format!("i{n}"))
        .collect::<Vec<_>>()
        .join(", ");
    let privileges = (0..100)
        .map(|n| format!("indices:p{n}"))
        .map(|p| format!("'{p}'"))
        .collect::<Vec<_>>()
        .join(", ");
    let (path, problem) = fault(&with_route(&format!(
        "match: {{ path: / }}\nrequire: {{ index: [{{ names: [{names}], privileges: [{privileges}] }}] }}"
    )));
    assert_eq!(
        (path.as_str(), problem.as_str()),
        ("routes[0].require", "it asks for 1001 privileges")
    );
}

#[test]
fn identity_headers_have_defaults_can_be_left_out_and_never_collide() {
    let forward = |headers: &str| {
        with_route(&format!(
            "match: {{ path: / }}\nallow: authenticated\nforward: {{ identity_headers: {{ {headers} }} }}"
        ))
    };
    let checked = taken(&forward(
        "email: none, username: Remote-User, metadata: { team: X-Team }",
    ));
    let Forward::IdentityHeaders(headers) = &checked.settings.routes[0].forward else {
        panic!()
    };
    assert_eq!(headers.len(), 8);
    assert_eq!(
        headers[0],
        ("Remote-User".to_owned(), IdentityField::Username)
    );
    assert_eq!(
        headers[7],
        (
            "X-Team".to_owned(),
            IdentityField::Metadata("team".to_owned())
        )
    );
    assert_eq!(
        fault(&forward("email: x-forwarded-user")).1,
        "another field travels in `X-Forwarded-User` already"
    );
    assert_eq!(
        fault(&forward("email: Cookie")).1,
        "`Cookie`: HTTP or Sidegate itself uses this header"
    );
    assert_eq!(
        fault(&forward("metadata: { a: X_A }")).1,
        "`X_A`: it holds `_`"
    );
}

/// A route with this `forward`, and a signer of assertions.
fn forwarding(written: &str) -> String {
    before_a_cluster(&format!(
        "match: {{ path: / }}\nallow: authenticated\nforward: {written}"
    )) + "assertion: { keys: [{ key: /etc/sidegate/tls.key }] }\n"
}

/// A route like any other, with a cluster as authority and a credential for it.
fn before_a_cluster(body: &str) -> String {
    with_route(body).replace(
        "authority: { embedded: {} }",
        "authority: { elasticsearch: { nodes: ['https://es-1:9200'], credential: { api_key: '${SIDEGATE_API_KEY}' } } }",
    )
}

#[test]
fn ways_to_forward_stand_together() {
    let combined = |written: &str| {
        let checked = taken(&forwarding(written));
        let Forward::Combined(combined) = &checked.settings.routes[0].forward else {
            panic!("{written}")
        };
        Combined::clone(combined)
    };
    let token = combined("{ token: {}, identity_headers: {} }");
    assert!(token.credential == Conveyed::Token && token.headers.len() == 8);
    let key = combined("{ api_key: { role_descriptors: { r: { cluster: [monitor] } } } }");
    let Conveyed::ApiKey(grant) = key.credential else {
        panic!()
    };
    assert_eq!(grant.expiration.as_secs(), 3_600);
    assert_eq!(grant.role_descriptors["r"]["cluster"][0], "monitor");
    let asserted = combined(
        "{ passthrough: true, assertion: { claims: { team: '{identity.metadata.team}', plan: gold } } }",
    );
    assert_eq!(asserted.credential, Conveyed::Client);
    let assertion = asserted.assertion.unwrap();
    assert_eq!(assertion.audience, "shop");
    assert_eq!(
        assertion.claims[1].1,
        Claim::Field(IdentityField::Metadata("team".into()))
    );
    let elasticsearch = combined("{ elasticsearch: {} }");
    assert!(elasticsearch.elasticsearch && elasticsearch.credential == Conveyed::Client);
    let secondary = combined("{ elasticsearch: { secondary_authorization: true }, token: {} }");
    assert!(secondary.secondary && secondary.credential == Conveyed::Token);
}

#[test]
fn forwardings_that_contradict_themselves_are_faults() {
    for (written, problem) in [
        (
            "{ token: {}, passthrough: true }",
            "more than one credential is chosen for the upstream",
        ),
        (
            "{ token: {}, elasticsearch: { run_as: true } }",
            "more than one credential is chosen for the upstream",
        ),
        (
            "{ elasticsearch: { run_as: true, secondary_authorization: true } }",
            "there is no credential of the client's to put there",
        ),
        ("{ api_key: {} }", "the key `role_descriptors` is missing"),
        (
            "{ api_key: { role_descriptors: { r: { clutser: [] } } } }",
            "unknown key `clutser`",
        ),
        (
            "{ api_key: { role_descriptors: {}, expiration: 5s } }",
            "the key would be renewed all the time",
        ),
        (
            "{ api_key: { role_descriptors: {}, name: '{space}' } }",
            "`{space}` has no meaning here",
        ),
        (
            "{ api_key: { role_descriptors: {}, metadata: { sidegate_run: x } } }",
            "this name is not free",
        ),
        (
            "{ assertion: { expiration: 5s } }",
            "an assertion is to be short-lived, but of use",
        ),
        (
            "{ assertion: { claims: { sub: x } } }",
            "Sidegate sets this claim itself",
        ),
        (
            "{ assertion: { header: Authorization }, token: {} }",
            "the upstream's credential travels in `Authorization` already",
        ),
        (
            "{ assertion: { header: X-Forwarded-User }, identity_headers: {} }",
            "a field of the identity travels in `X-Forwarded-User` already",
        ),
        ("{}", "at least one key is needed"),
    ] {
        assert_eq!(fault(&forwarding(written)).1, problem, "{written}");
    }
    let unsigned =
        with_route("match: { path: / }\nallow: authenticated\nforward: { assertion: {} }");
    assert_eq!(fault(&unsigned).1, "nobody signs it");
    let twice = before_a_cluster(
        "match: { path: / }\nallow: authenticated\ncredentials: { secondary_authorization: true }\nforward: { elasticsearch: { secondary_authorization: true }, token: {} }",
    );
    assert_eq!(
        fault(&twice).1,
        "`forward.elasticsearch.secondary_authorization` sets the same header"
    );
}

#[test]
fn what_opens_the_embedded_authority_is_shown_to_no_upstream() {
    for way in ["run_as", "secondary_authorization"] {
        let body = format!(
            "match: {{ path: / }}\nallow: authenticated\nforward: {{ elasticsearch: {{ {way}: true }} }}"
        );
        let problem = "with the embedded authority Sidegate has no credential that an upstream could be shown";
        assert_eq!(fault(&with_route(&body)).1, problem, "{way}");
        taken(&before_a_cluster(&body));
    }
}

#[test]
fn a_call_is_not_left_to_a_cluster_that_would_judge_sidegate_in_place_of_the_client() {
    let route = |requirement: &str| {
        before_a_cluster(&format!(
            "match: {{ path: / }}\nrequire: {requirement}\nforward: {{ elasticsearch: {{ secondary_authorization: true }} }}"
        ))
    };
    for requirement in [
        "{ elasticsearch_call: true }",
        "{ any_of: [{ cluster: [monitor] }, { elasticsearch_call: true }] }",
    ] {
        let told = fault(&route(requirement)).1;
        assert!(told.contains("Sidegate's own credential"), "{told}");
    }
    taken(&route("{ cluster: [monitor] }"));
}

#[test]
fn a_route_is_only_shadowed_when_nothing_is_left_for_it() {
    let shadowed = |first: &str, second: &str| {
        let start = MINIMAL.find("routes:").unwrap();
        let text = format!(
            "{}routes:\n  - {{ name: a, upstream: shop, allow: everyone, match: {{ {first} }} }}\n  - {{ name: b, upstream: shop, allow: everyone, match: {{ {second} }} }}\n",
            &MINIMAL[..start]
        );
        warnings(&text)
            .iter()
            .any(|warning| warning.contains("can never match"))
    };
    assert!(shadowed("path: '/**'", "path: /a"));
    assert!(shadowed(
        "path: '/a', methods: [GET, PUT]",
        "path: /a, methods: [GET]"
    ));
    assert!(shadowed(
        "path: '/a', hosts: ['*.b.c']",
        "path: /a, hosts: ['a.b.c', '*.a.b.c']"
    ));
    assert!(!shadowed("path: '/a', methods: [GET]", "path: /a"));
    assert!(!shadowed(
        "path: '/a', hosts: ['*.b.c']",
        "path: /a, hosts: ['b.c']"
    ));
    assert!(!shadowed("path: '/a'", "path: '/a/**'"));
}
