//! `sidegate check` and `sidegate schema`: the config judged before it runs.

use std::fs;

use serde_json::Value;

use crate::harness::client::basic;
use crate::harness::elasticsearch::{Account, FakeElasticsearch};
use crate::harness::plan::Plan;
use crate::harness::process::{Ended, end_of, run_to_end, sidegate};
use crate::harness::server::Server;

fn check(yaml: &str, more: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidegate.yaml");
    fs::write(&path, yaml).unwrap();
    let mut args = vec!["check", "--config", path.to_str().unwrap()];
    args.extend(more);
    run_to_end(&args)
}

#[test]
fn a_privilege_that_a_way_in_needs_is_named_when_it_is_missing() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let own = basic("own", "own-password");
    let online = |credentials: &str, own: &str| {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::with_authority(&format!(
            "elasticsearch: {{ nodes: [\"{}\"]{own} }}",
            fake.url()
        ))
        .listener("trusted_proxies: [127.0.0.1/32]")
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated");
        let plan = match credentials {
            "certificates" => plan.listener("forwarded_client_certificates: client_cert"),
            other => plan.and(&format!("credentials: {{ {other}: {{}} }}")),
        };
        let path = plan.write(folder.path());
        run_to_end(&["check", "--online", "--config", path.to_str().unwrap()])
    };
    let with_own = ", credential: { basic: { username: own, password: own-password } }";
    let grants = |granted: &[&str]| fake.know(&own, Account::new("own", &[], granted));
    for (way, needed) in [
        ("certificates", &["delegate_pki", "manage_token"][..]),
        ("kerberos", &["manage_token"]),
    ] {
        grants(&["cluster:monitor"]);
        let ended = online(way, with_own);
        assert_eq!(ended.code, 1, "{ended:?}");
        for privilege in needed {
            assert!(
                ended.stdout.contains(&format!("{privilege} (")),
                "{ended:?}"
            );
        }
        grants(&[
            "cluster:monitor",
            "cluster:delegate_pki",
            "cluster:manage_token",
        ]);
        assert_eq!(online(way, with_own).code, 0, "{way}");
        let without = online(way, "");
        assert_eq!(without.code, 1, "{without:?}");
        assert!(without.stdout.contains("there is none"), "{without:?}");
    }
}

const GOOD: &str = "\
listeners: [{ address: 127.0.0.1:0 }]
authority: { embedded: {} }
upstreams: { app: { url: \"http://127.0.0.1:3000\" } }
routes:
  - { name: all, match: { path: \"/**\" }, upstream: app, allow: authenticated }
";

#[test]
fn a_good_config_is_accepted() {
    let ended = check(GOOD, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn the_uris_for_identity_providers_are_printed_pain_15() {
    let sso = "sso:\n  public_url: https://app.example.com:443\n  providers:\n    - { name: corp, login: { saml: { realm: saml1 } } }\n    - { name: op, login: { oidc: { realm: oidc1 } } }\n";
    let ended = check(&format!("{GOOD}{sso}"), &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for uri in [
        "https://app.example.com/_sidegate/saml/corp/acs",
        "https://app.example.com/_sidegate/saml/corp/logout",
        "https://app.example.com/_sidegate/saml/corp/metadata",
        "https://app.example.com/_sidegate/oidc/op/callback",
    ] {
        assert!(ended.stdout.contains(uri), "{uri}: {}", ended.stdout);
    }
}

#[test]
fn every_fault_is_told_at_once_with_its_place_and_the_nearest_key() {
    let bad = GOOD
        .replace("upstreams:", "upstreans:")
        .replace("allow: authenticated", "allow: everybody")
        .replace("127.0.0.1:0", "nowhere")
        + "cache: { ttl: 5 bananas }\n";
    let ended = check(&bad, &[]);
    assert_eq!(ended.code, 1, "{ended:?}");
    for part in [
        "upstreans",
        "upstreams",
        "everybody",
        "everyone",
        "nowhere",
        "routes[0]",
        "listeners[0].address",
        "cache.ttl",
        "line ",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}

#[test]
fn a_route_that_can_never_match_is_warned_of() {
    let shadowed = format!(
        "{GOOD}  - {{ name: never, match: {{ path: \"/x\" }}, upstream: app, allow: everyone }}\n"
    );
    let ended = check(&shadowed, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("never"), "{}", ended.stderr);
}

#[test]
fn a_missing_secret_is_a_fault_and_a_secret_is_never_shown() {
    let with = |value: &str| {
        GOOD.replace(
            "embedded: {}",
            &format!("embedded: {{ superuser_password: \"{value}\" }}"),
        )
    };
    let missing = check(&with("${SIDEGATE_TEST_UNSET}"), &[]);
    assert!(
        missing.code == 1 && missing.stderr.contains("SIDEGATE_TEST_UNSET"),
        "{missing:?}"
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidegate.yaml");
    fs::write(&path, with("${SIDEGATE_TEST_SECRET}") + "nonsense: 1\n").unwrap();
    let ended = end_of(sidegate().env("SIDEGATE_TEST_SECRET", "canary-4711").args([
        "check",
        "--config",
        path.to_str().unwrap(),
    ]));
    assert_eq!(ended.code, 1);
    assert!(!format!("{ended:?}").contains("canary-4711"), "{ended:?}");
}

#[test]
fn text_that_is_no_yaml_is_a_fault_with_a_place() {
    for bad in [
        "routes: [",
        "\tx: 1",
        "{",
        "",
        "- 1\n- 2\n",
        "routes: &a [*a]\n",
    ] {
        let ended = check(bad, &[]);
        assert_eq!(ended.code, 1, "{bad:?}: {ended:?}");
        assert!(!ended.stderr.is_empty());
    }
    let absent = run_to_end(&["check", "--config", "/no/such/file.yaml"]);
    assert!(
        absent.code == 1 && absent.stderr.contains("/no/such/file.yaml"),
        "{absent:?}"
    );
}

#[test]
fn online_asks_the_authority_and_the_upstreams() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    fake.know(
        &basic("sidegate", "own-password"),
        Account::new("sidegate", &[], &["*"]),
    );
    let folder = tempfile::tempdir().unwrap();
    let with_own = |url: &str, password: &str| {
        Plan::with_authority(&format!(
            "elasticsearch: {{ nodes: [\"{url}\"], timeout: 2s, credential: {{ basic: {{ username: sidegate, password: {password} }} }} }}"
        ))
    };
    let online = |plan: Plan| {
        let path = plan
            .route("all", "/**", "allow: authenticated")
            .write(folder.path());
        run_to_end(&["check", "--online", "--config", path.to_str().unwrap()])
    };
    let good = online(with_own(&fake.url(), "own-password").upstream("app", &app));
    assert_eq!(good.code, 0, "{good:?}");
    let wrong = online(with_own(&fake.url(), "other-password").upstream("app", &app));
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("other-password"));
    let gone = online(
        with_own("http://127.0.0.1:1", "x").upstream_yaml("app", "url: \"http://127.0.0.1:1\""),
    );
    assert_eq!(gone.code, 1, "{gone:?}");
    let told = gone.stdout + &gone.stderr;
    assert!(told.contains("upstream app"), "both are told: {told}");
}

#[test]
fn the_schema_is_json_schema_and_knows_every_section() {
    let ended = run_to_end(&["schema"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let schema: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    for key in [
        "listeners",
        "admin",
        "authority",
        "upstreams",
        "cache",
        "routes",
    ] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

#[test]
fn the_reference_in_docs_is_the_one_the_program_prints() {
    let ended = run_to_end(&["schema", "--markdown"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let written = fs::read_to_string(path).expect("docs/configuration.md");
    assert!(
        written.contains(ended.stdout.trim()),
        "run: sidegate schema --markdown > docs/configuration.md"
    );
}

#[test]
fn the_operators_pages_are_tried_and_their_faults_told_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("done.html");
    let sso = format!(
        "sso:\n  public_url: https://app.example.com\n  providers: [{{ name: form, login: password }}]\n  pages: {{ templates: {} }}\n",
        folder.path().display()
    );
    let config = format!("{GOOD}{sso}");
    fs::write(&page, "<h1>Welcome</h1>").unwrap();
    let ended = check(&config, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    // Good syntax, and it asks for what there is not.
    fs::write(&page, "<h1>\n{{ nobody.name }}</h1>").unwrap();
    let ended = check(&config, &[]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let place = format!("{}: line 2", page.display());
    for part in ["sso.pages.templates", &place] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
}

#[test]
fn online_asks_the_embedded_authority_whether_its_realms_can_begin_logins() {
    let app = Server::echoing();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let realm = |name: &str, order: u8, op: &str, callback: &str| {
        format!(
            "{name}: {{ order: {order}, rp: {{ client_id: shop, client_secret: a-secret-of-the-client, redirect_uri: '{callback}', response_type: code }}, \
             op: {{ {op} }}, claims: {{ principal: sub }} }}"
        )
    };
    let known = format!(
        "issuer: 'https://op.example', authorization_endpoint: 'https://op.example/auth', \
         token_endpoint: 'https://op.example/token', jwkset_path: {}",
        folder.path().join("keys.json").display()
    );
    fs::write(folder.path().join("keys.json"), r#"{"keys": []}"#).unwrap();
    let callback = |name: &str| format!("https://app.example.com/_sidegate/oidc/{name}/callback");
    let realms = [
        realm("good", 5, &known, &callback("good")),
        realm("moved", 6, &known, &callback("other")),
        // Nobody listens there.
        realm("gone", 7, "issuer: 'http://127.0.0.1:1'", &callback("gone")),
    ];
    let providers = ["good", "moved", "gone"]
        .map(|name| format!("{{ name: {name}, login: {{ oidc: {{ realm: {name} }} }} }}"));
    let online = |several: usize| {
        let plan = Plan::with_authority(&format!(
            "embedded: {{ data: {}, realms: {{ oidc: {{ {} }} }} }}",
            data.display(),
            realms[..several].join(", ")
        ));
        let path = plan
            .upstream("app", &app)
            .route("all", "/**", "allow: authenticated")
            .and(&format!(
                "sso: {{ public_url: 'https://app.example.com', providers: [{}] }}",
                providers[..several].join(", ")
            ))
            .write(folder.path());
        run_to_end(&["check", "--online", "--config", path.to_str().unwrap()])
    };
    let good = online(1);
    assert_eq!(good.code, 0, "{good:?}");
    let told = format!("responses come to {}", callback("good"));
    assert!(good.stdout.contains(&told), "{good:?}");
    assert!(!data.exists(), "whoever runs may hold the store");
    let ended = online(3);
    assert_eq!(ended.code, 1, "{ended:?}");
    let line = |name: &str| {
        let subject = format!("sso provider {name} ");
        let mut lines = ended.stdout.lines();
        let line = lines.find(|line| line.contains(&subject));
        line.unwrap_or_else(|| panic!("no {name}: {ended:?}"))
    };
    assert!(line("good").starts_with("ok"), "{ended:?}");
    assert!(line("moved").contains("rp.redirect_uri"), "{ended:?}");
    assert!(line("gone").starts_with("FAULT"), "{ended:?}");
}
