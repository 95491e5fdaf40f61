//! Which requests pass: requirements R-01, R-05, R-06, R-16…R-20 and what is asked for them.

use std::collections::BTreeSet;

use serde_json::json;

use super::fixture::{Bench, api_key, basic, head, peer, route, settings, tell};
use crate::config::settings::{
    Access, IdentityField, Requirement, Settings, Template, TemplatePart,
};
use crate::gate::Gate;
use crate::gate::trace::Steps;

fn application(privilege: &str, resource: Vec<TemplatePart>) -> Requirement {
    Requirement::Application {
        application: "shop".into(),
        privilege: privilege.into(),
        resource: Template(resource),
    }
}

fn literal(text: &str) -> TemplatePart {
    TemplatePart::Literal(text.into())
}

fn orders_read() -> Access {
    Access::Require(application("orders_read", vec![literal("*")]))
}

/// `/public` for everyone, `/me` for anybody, `/app` for alice, `/admin` for nobody, `/spaces/{space}` by its own privilege.
fn shop() -> Settings {
    settings(vec![
        route("public", "/public/**", Access::Everyone),
        route("me", "/me", Access::Authenticated),
        route("app", "/app/**", orders_read()),
        route(
            "admin",
            "/admin/**",
            Access::Require(Requirement::Cluster("manage".into())),
        ),
        route(
            "spaces",
            "/spaces/{space}/**",
            Access::Require(application(
                "space_read",
                vec![literal("space:"), TemplatePart::Capture("space".into())],
            )),
        ),
        route(
            "mine",
            "/mine",
            Access::Require(application(
                "home",
                vec![
                    literal("user:"),
                    TemplatePart::Identity(IdentityField::Username),
                ],
            )),
        ),
    ])
}

#[tokio::test]
async fn the_right_request_passes_and_the_rest_is_refused_for_its_reason() {
    let bench = Bench::new(&shop());
    let (alice, bob) = (basic("alice", "secret"), basic("bob", "secret"));
    assert_eq!(bench.told("/app/1", &alice).await, "permitted miss");
    assert_eq!(bench.told("/app/2", &alice).await, "permitted hit");
    assert_eq!(bench.told("/app/1", &bob).await, "forbidden");
    assert_eq!(bench.told("/me", &bob).await, "permitted hit");
    assert_eq!(
        bench.told("/app/1", &basic("alice", "wrong")).await,
        "unauthenticated"
    );
    assert_eq!(bench.told("/nowhere", &alice).await, "no_route");
    assert_eq!(
        tell(&bench.decide(&head("/app/1", &[])).await),
        "no_credential"
    );
    assert_eq!(
        tell(&bench.decide(&head("/public/x", &[])).await),
        "permitted bypass"
    );
}

#[tokio::test]
async fn a_cached_authentication_never_implies_an_authorisation() {
    let bench = Bench::new(&shop());
    let alice = basic("alice", "secret");
    assert_eq!(bench.told("/me", &alice).await, "permitted miss");
    assert_eq!(bench.told("/admin/x", &alice).await, "forbidden");
    assert_eq!(bench.told("/app/x", &alice).await, "permitted hit");
    assert_eq!(bench.told("/admin/x", &alice).await, "forbidden");
}

#[tokio::test]
async fn one_pair_of_asks_per_credential_whatever_the_number_of_routes() {
    let routes = (0..50)
        .map(|at| {
            let need = application(&format!("p{at}"), vec![literal("*")]);
            route(
                &format!("r{at}"),
                &format!("/r{at}/**"),
                Access::Require(need),
            )
        })
        .collect();
    let bench = Bench::new(&settings(routes));
    let privileges: Vec<String> = (0..50).map(|at| format!("p{at}")).collect();
    let privileges: Vec<&str> = privileges.iter().map(String::as_str).collect();
    for user in 0..200 {
        bench.fake.add(&format!("u{user}"), "pw", &[], &privileges);
    }
    for user in 0..200 {
        let credential = basic(&format!("u{user}"), "pw");
        for at in 0..50 {
            assert!(bench.get(&format!("/r{at}/x"), &credential).await.is_ok());
        }
    }
    assert_eq!(bench.fake.asks(), (200, 200));
}

#[tokio::test]
async fn without_static_privileges_only_the_identity_is_asked() {
    let bench = Bench::new(&settings(vec![route("me", "/me", Access::Authenticated)]));
    assert_eq!(
        bench.told("/me", &basic("alice", "secret")).await,
        "permitted miss"
    );
    assert_eq!(bench.fake.asks(), (1, 0));
}

#[tokio::test]
async fn no_credential_uses_no_cache_and_asks_nobody() {
    let bench = Bench::new(&shop());
    for _ in 0..3 {
        assert_eq!(
            tell(&bench.decide(&head("/me", &[])).await),
            "no_credential"
        );
    }
    assert_eq!(bench.fake.asks(), (0, 0));
    assert_eq!(bench.gate.stats().entries, 0);
}

#[tokio::test]
async fn undecodable_credentials_ask_nobody() {
    let bench = Bench::new(&shop());
    for line in [
        "",
        "Basic",
        "Basic !!",
        "Basic YQ==",
        "Basic  YTpi",
        "Basic AGE6Yg==",
        "Bearer",
        "Digest a",
        "ApiKey x",
    ] {
        assert_eq!(
            bench.told("/me", line).await,
            "malformed_credential",
            "{line}"
        );
    }
    for lines in [
        &["Basic YTpi", "Basic YTpi"][..],
        &["Basic YTpi", "Bearer x"],
        &["Basic YTpi, Bearer y"],
    ] {
        for path in ["/me", "/app/x"] {
            assert_eq!(
                tell(&bench.decide(&head(path, lines)).await),
                "ambiguous_credentials"
            );
        }
    }
    assert_eq!(bench.fake.asks(), (0, 0));
}

#[tokio::test]
async fn spellings_of_a_scheme_share_one_entry() {
    let bench = Bench::new(&shop());
    let line = basic("alice", "secret");
    assert_eq!(bench.told("/me", &line).await, "permitted miss");
    assert_eq!(
        bench.told("/me", &line.replace("Basic", "bAsIc")).await,
        "permitted hit"
    );
}

#[tokio::test]
async fn the_same_bytes_under_another_scheme_are_another_credential() {
    let bench = Bench::new(&shop());
    bench.fake.add_key("k1", "pw", &[], None);
    assert_eq!(
        bench.told("/me", &api_key("k1", "pw")).await,
        "permitted miss"
    );
    assert_eq!(
        bench.told("/me", &basic("k1", "pw")).await,
        "permitted miss"
    );
    bench.fake.add("ab", "c", &[], &[]);
    bench.fake.add("a", "bc", &[], &[]);
    assert_eq!(bench.told("/me", &basic("ab", "c")).await, "permitted miss");
    assert_eq!(bench.told("/me", &basic("a", "bc")).await, "permitted miss");
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_around_its_route() {
    let bench = Bench::new(&shop());
    let alice = basic("alice", "secret");
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/.%2e/admin",
        "/./admin",
        "/admin/",
        "/%61dmin",
        "/admin?x=/public",
        "/admin?/public/",
    ] {
        assert_eq!(bench.told(path, &alice).await, "forbidden", "{path}");
    }
    for path in [
        "/public/..%2fadmin",
        "/public/..%5cadmin",
        "//admin",
        "/public//../admin",
        "/public;/../admin",
        "/public/..;/admin",
        "/admin;jsessionid=1",
        "/public/%00",
        "/public/%0d%0a",
        "/public/%23",
        "/public/%3F",
        "/public/%C0%AF",
        "/public/a\\b",
    ] {
        assert_eq!(bench.told(path, &alice).await, "ambiguous_path", "{path}");
    }
    for path in ["/ADMIN", "/admin.", "/%252e%252e/admin"] {
        assert_eq!(bench.told(path, &alice).await, "no_route", "{path}");
    }
}

#[tokio::test]
async fn what_was_judged_is_what_is_forwarded() {
    let bench = Bench::new(&shop());
    let permit = bench
        .get("/x/../%61pp/%2a?q=%2F..", &basic("alice", "secret"))
        .await
        .unwrap();
    assert_eq!(permit.target(), "/app/%2A?q=%2F..");
    assert_eq!(permit.host(), "app.example");
    assert_eq!(permit.entry().unwrap().identity.username, "alice");
    assert_eq!(permit.route().name, "app");
}

#[tokio::test]
async fn a_captured_value_is_asked_about_escaped_and_remembered() {
    let bench = Bench::new(&shop());
    bench.fake.add(
        "eve",
        "pw",
        &[],
        &["space_read@space:one", r"space_read@space:\*"],
    );
    let eve = basic("eve", "pw");
    assert_eq!(bench.told("/spaces/one/x", &eve).await, "permitted miss");
    assert_eq!(bench.told("/spaces/one/y", &eve).await, "permitted hit");
    assert_eq!(bench.told("/spaces/two/x", &eve).await, "forbidden");
    // Asked about once each, a no as well as a yes, beside the first pair.
    assert_eq!(bench.told("/spaces/two/y", &eve).await, "forbidden");
    assert_eq!(bench.fake.asks(), (1, 3));
    assert_eq!(bench.told("/spaces/%2A/x", &eve).await, "permitted hit");
    let resources: BTreeSet<String> = bench
        .fake
        .bodies
        .lock()
        .unwrap()
        .iter()
        .filter_map(|body| {
            body.pointer("/application/0/resources/0")?
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert!(
        resources.contains(r"space:\*") && !resources.contains("space:*"),
        "{resources:?}"
    );
}

#[tokio::test]
async fn identity_fields_fill_resources() {
    let bench = Bench::new(&shop());
    bench.fake.add("eve", "pw", &[], &["home@user:eve"]);
    assert_eq!(
        bench.told("/mine", &basic("eve", "pw")).await,
        "permitted miss"
    );
    assert_eq!(
        bench.told("/mine", &basic("alice", "secret")).await,
        "forbidden"
    );
}

#[tokio::test]
async fn many_missing_answers_are_asked_together() {
    let capture = || TemplatePart::Capture("x".into());
    let need = Requirement::AllOf(vec![
        application("a", vec![capture()]),
        application("b", vec![capture()]),
        Requirement::AnyOf(vec![
            Requirement::Role("nobody".into()),
            Requirement::Index {
                name: Template(vec![capture(), literal("-*")]),
                privilege: "read".into(),
                allow_restricted: false,
            },
        ]),
    ]);
    let bench = Bench::new(&settings(vec![route("x", "/{x}", Access::Require(need))]));
    bench.fake.add("eve", "pw", &[], &["a", "b", "read@one-*"]);
    assert_eq!(
        bench.told("/one", &basic("eve", "pw")).await,
        "permitted miss"
    );
    assert_eq!(bench.fake.asks(), (1, 1));
    assert_eq!(bench.told("/two", &basic("eve", "pw")).await, "forbidden");
    assert_eq!(bench.fake.asks(), (1, 2));
}

#[tokio::test]
async fn explain_shows_each_step_without_secrets() {
    let bench = Bench::new(&shop());
    let mut steps = Steps::on();
    let head = head("/app/x", &[&basic("bob", "secret")]);
    let verdict = bench
        .gate
        .decide(&head, &peer("10.0.0.1"), bench.clock.now(), &mut steps)
        .await;
    assert!(verdict.is_err());
    let names: Vec<_> = steps.as_slice().iter().map(|step| step.name).collect();
    assert_eq!(
        names,
        [
            "target",
            "route",
            "credential",
            "cache",
            "identity",
            "atoms",
            "verdict"
        ]
    );
    let detail = |name: &str| {
        steps
            .as_slice()
            .iter()
            .find(|step| step.name == name)
            .unwrap()
            .detail
            .clone()
    };
    assert_eq!(detail("cache"), json!({"result": "miss"}));
    assert_eq!(
        detail("atoms")["missing"],
        json!(["application:shop:orders_read@*"])
    );
    assert_eq!(detail("verdict")["permitted"], false);
    assert!(!format!("{:?}", steps.as_slice()).contains("secret"));
}

#[tokio::test]
async fn decisions_are_counted_by_route_and_reason() {
    let bench = Bench::new(&shop());
    assert!(
        bench
            .registry
            .render()
            .contains(r#"sidegate_authz_total{route="app",result="refused",reason="forbidden"} 0"#)
    );
    bench.told("/app/x", &basic("bob", "secret")).await;
    bench.told("/app/x", &basic("alice", "secret")).await;
    bench.told("/nowhere", &basic("alice", "secret")).await;
    let text = bench.registry.render();
    for line in [
        r#"sidegate_authz_total{route="app",result="refused",reason="forbidden"} 1"#,
        r#"sidegate_authz_total{route="app",result="permitted",reason="none"} 1"#,
        r#"sidegate_authz_total{route="none",result="refused",reason="no_route"} 1"#,
        r#"sidegate_authn_total{scheme="basic",result="accepted"} 2"#,
        r#"sidegate_cache_requests_total{cache="identity",result="miss"} 2"#,
        r#"sidegate_es_requests_total{api="authenticate",code="200"} 2"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("alice") && !text.contains("nowhere"));
}

#[tokio::test]
async fn series_of_routes_that_are_gone_go_away_when_a_gate_is_succeeded() {
    let bench = Bench::new(&shop());
    bench.told("/me", &basic("alice", "secret")).await;
    let fewer = settings(vec![route("me", "/me", Access::Authenticated)]);
    let next = Gate::new(
        &fewer,
        bench.gate.client().clone(),
        &bench.families,
        bench.limiter.clone(),
        bench.clock.clone(),
    );
    let line = r#"sidegate_authz_total{route="me",result="permitted",reason="none"} 1"#;
    assert!(
        bench.registry.render().contains(line)
            && bench.registry.render().contains(r#"route="admin""#)
    );
    next.unwrap().succeeds(&bench.gate);
    assert!(
        bench.registry.render().contains(line)
            && !bench.registry.render().contains(r#"route="admin""#)
    );
}

/// Everything logged while it lives.
#[derive(Clone, Default)]
struct Captured(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_refusal_is_one_line_in_the_log_without_secrets() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // With a single dispatcher alive, tracing lets whichever thread comes first switch a log line off for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let bench = Bench::new(&shop());
    let canary = "canary-4711";
    assert_eq!(
        bench
            .told("/app/x?token=canary-4711", &basic("bob", "secret"))
            .await,
        "forbidden"
    );
    assert_eq!(
        bench.told("/app/x", &basic("alice", canary)).await,
        "unauthenticated"
    );
    assert_eq!(
        bench.told("/app/x", &format!("Bearer {canary}")).await,
        "unauthenticated"
    );
    assert_eq!(
        bench.told("/nowhere", &format!("Bearer {canary}")).await,
        "no_route"
    );
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let refused: Vec<_> = log
        .lines()
        .filter(|line| line.contains(r#""message":"refused""#))
        .collect();
    assert_eq!(refused.len(), 4, "{log}");
    assert!(
        refused[0].contains("application:shop:orders_read@*") && refused[0].contains("bob"),
        "{log}"
    );
    assert!(!log.contains(canary), "{log}");
}
