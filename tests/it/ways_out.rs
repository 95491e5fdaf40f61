//! What upstreams get in place of the client's credential: tokens, API keys, assertions, Elasticsearch's own ways.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::client::{Target, basic};
use crate::harness::plan::{Plan, Running};
use crate::harness::process::{Dev, end_of, run_to_end};
use crate::harness::server::{Answer, Recorded, Server};
use crate::harness::tools;

const READER: &str = "{ r: { indices: [{ names: [\"logs-*\"], privileges: [read] }] } }";

/// An authority in a process of its own, with the people that the tests need.
fn authority() -> Dev {
    let dev = Dev::start(&[]);
    for (path, body) in [
        (
            "role/logs",
            json!({"cluster": ["monitor", "manage_own_api_key"], "indices": [{"names": ["logs-*"], "privileges": ["all"]}]}),
        ),
        (
            "user/ann",
            json!({"password": "ann-password", "roles": ["logs"]}),
        ),
        (
            "user/weak",
            json!({"password": "weak-password", "roles": ["logs"]}),
        ),
    ] {
        ask(&dev.authority, "PUT", path, &body);
    }
    dev
}

fn ask(authority: &Target, method: &str, path: &str, body: &Value) -> Value {
    let call = authority
        .call(method, &format!("/_security/{path}"))
        .json(body);
    call.basic("elastic", "changeme").send().expect(200).json()
}

/// Status of `_authenticate` with this credential.
fn accepted(authority: &Target, authorization: &str) -> u16 {
    let call = authority.get("/_security/_authenticate");
    call.authorization(authorization).send().status
}

/// A gate before `app`, whose authority is `dev` and whose own credential is this user's.
fn plan(dev: &Dev, app: &Server, own: (&str, &str)) -> Plan {
    Plan::with_authority(&format!(
        "elasticsearch: {{ nodes: [\"{}\"], timeout: 20s, credential: {{ basic: {{ username: {}, password: {} }} }} }}",
        dev.authority.url(),
        own.0,
        own.1
    ))
    .upstream("app", app)
}

fn gate(dev: &Dev, app: &Server, forward: &str) -> Running {
    plan(dev, app, ("elastic", "changeme"))
        .route(
            "all",
            "/**",
            &format!("allow: authenticated, forward: {forward}"),
        )
        .start()
}

fn last(app: &Server) -> Recorded {
    app.requests().last().expect("a request").clone()
}

fn authorization(app: &Server) -> String {
    last(app)
        .header("authorization")
        .expect("Authorization")
        .to_owned()
}

fn exchanges(gate: &Running, kind: &str, outcome: &str) -> f64 {
    let labels = [format!("kind=\"{kind}\""), format!("outcome=\"{outcome}\"")];
    gate.metric("sidegate_exchanges_total", &[&labels[0], &labels[1]])
}

fn asks(gate: &Running) -> f64 {
    gate.metric("sidegate_es_requests_total", &[])
}

#[test]
fn a_password_becomes_a_token_once_and_a_warm_cache_asks_nobody() {
    let (dev, app) = (authority(), Server::echoing());
    let gate = gate(&dev, &app, "{ token: {}, identity_headers: {} }");
    let call = gate.proxy.get("/a").basic("ann", "ann-password");
    call.clone().send().expect(200);
    let token = authorization(&app);
    assert!(token.starts_with("Bearer "), "{token}");
    assert_eq!(last(&app).header("x-forwarded-user"), Some("ann"));
    assert_eq!(accepted(&dev.authority, &token), 200);

    let before = asks(&gate);
    for _ in 0..20 {
        call.clone().send().expect(200);
        assert_eq!(authorization(&app), token);
    }
    assert_eq!(asks(&gate), before, "asks on a warm cache");
    assert_eq!(exchanges(&gate, "token", "made"), 1.0);

    let other = gate.proxy.get("/a").authorization(&token).send();
    other.expect(200);
    assert_eq!(authorization(&app), token, "who brings a token keeps it");
}

#[test]
fn many_who_come_at_once_get_one_token() {
    let (dev, app) = (authority(), Server::echoing());
    let gate = gate(&dev, &app, "{ token: {} }");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let call = gate.proxy.get("/").basic("ann", "ann-password");
                call.send().expect(200);
            });
        }
    });
    assert_eq!(exchanges(&gate, "token", "made"), 1.0);
}

#[test]
fn a_purge_takes_tokens_and_keys_back_before_it_is_answered() {
    let (dev, app) = (authority(), Server::echoing());
    let gate = plan(&dev, &app, ("elastic", "changeme"))
        .route(
            "token",
            "/token",
            "allow: authenticated, forward: { token: {} }",
        )
        .route(
            "key",
            "/key",
            &format!(
                "allow: authenticated, forward: {{ api_key: {{ role_descriptors: {READER} }} }}"
            ),
        )
        .start();
    let mut made = Vec::new();
    for path in ["/token", "/key"] {
        gate.proxy
            .get(path)
            .basic("ann", "ann-password")
            .send()
            .expect(200);
        made.push(authorization(&app));
        assert_eq!(accepted(&dev.authority, &made[made.len() - 1]), 200);
    }
    gate.admin
        .post_json("/cache/purge", &json!({"user": "ann"}))
        .send()
        .expect(200);
    for credential in &made {
        assert_eq!(accepted(&dev.authority, credential), 401, "{credential}");
    }
    gate.proxy
        .get("/token")
        .basic("ann", "ann-password")
        .send()
        .expect(200);
    assert_ne!(authorization(&app), made[0]);
}

#[test]
fn a_drain_takes_everything_back() {
    let (dev, app) = (authority(), Server::echoing());
    let mut gate = gate(&dev, &app, "{ token: {} }");
    gate.proxy
        .get("/")
        .basic("ann", "ann-password")
        .send()
        .expect(200);
    let token = authorization(&app);
    assert_eq!(accepted(&dev.authority, &token), 200);
    gate.process.signal("TERM");
    assert!(gate.process.wait().success());
    assert_eq!(accepted(&dev.authority, &token), 401);
}

#[test]
fn a_key_has_the_routes_rights_and_is_shared_by_the_credentials_of_one_identity() {
    let (dev, app) = (authority(), Server::echoing());
    let gate = gate(
        &dev,
        &app,
        &format!("{{ api_key: {{ role_descriptors: {READER}, metadata: {{ team: x }} }} }}"),
    );
    let token = |_: usize| {
        let grant =
            json!({"grant_type": "password", "username": "ann", "password": "ann-password"});
        let told = ask(&dev.authority, "POST", "oauth2/token", &grant);
        format!("Bearer {}", told["access_token"].as_str().unwrap())
    };
    let tokens: Vec<String> = (0..2).map(token).collect();
    for token in &tokens {
        gate.proxy.get("/").authorization(token).send().expect(200);
    }
    let keys: Vec<String> = app
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert!(
        keys[0].starts_with("ApiKey ") && keys[0] == keys[1],
        "{keys:?}"
    );
    assert_eq!(exchanges(&gate, "api_key", "made"), 1.0);
    assert_eq!(exchanges(&gate, "api_key", "shared"), 1.0);

    let question = json!({"cluster": ["monitor"], "index": [{"names": ["logs-a"], "privileges": ["read", "write"]}]});
    let call = dev
        .authority
        .post_json("/_security/user/_has_privileges", &question);
    let told = call.authorization(&keys[0]).send().expect(200).json();
    assert_eq!(
        told["index"]["logs-a"],
        json!({"read": true, "write": false})
    );
    assert_eq!(told["cluster"]["monitor"], false);

    let found = dev.authority.get("/_security/api_key?name=sidegate*");
    let found = found.basic("elastic", "changeme").send().expect(200).json();
    let key = &found["api_keys"][0];
    assert_eq!(
        (key["name"].as_str(), key["username"].as_str()),
        (Some("sidegate/all/ann"), Some("ann"))
    );
    assert_eq!(key["metadata"]["team"], "x");
    assert!(key["expiration"].is_u64());
}

#[test]
fn keys_that_a_crash_left_are_swept_by_the_next_start_and_nobody_elses_are() {
    let (dev, app) = (authority(), Server::echoing());
    let foreign = ask(
        &dev.authority,
        "POST",
        "api_key",
        &json!({"name": "other", "metadata": {"sidegate_instance": "another"}}),
    );
    let with_keys = plan(&dev, &app, ("elastic", "changeme")).route(
        "all",
        "/**",
        &format!("allow: authenticated, forward: {{ api_key: {{ role_descriptors: {READER} }} }}"),
    );
    let mut first = with_keys.start();
    first
        .proxy
        .get("/")
        .basic("ann", "ann-password")
        .send()
        .expect(200);
    let key = authorization(&app);
    first.process.signal("KILL");
    first.process.wait();
    assert_eq!(accepted(&dev.authority, &key), 200);

    let second = with_keys.start();
    second.wait_for_metric(
        "sidegate_exchanges_total",
        &["kind=\"api_key\"", "outcome=\"swept\""],
        |swept| swept == 1.0,
    );
    assert_eq!(accepted(&dev.authority, &key), 401);
    let foreign = format!("ApiKey {}", foreign["encoded"].as_str().unwrap());
    assert_eq!(accepted(&dev.authority, &foreign), 200);
}

#[test]
fn what_cannot_be_exchanged_is_refused_and_reaches_nobody() {
    let (dev, app) = (authority(), Server::echoing());
    let gate = gate(&dev, &app, "{ token: {} }");
    let key = ask(&dev.authority, "POST", "api_key", &json!({"name": "k"}));
    let key = format!("ApiKey {}", key["encoded"].as_str().unwrap());
    let reply = gate.proxy.get("/").authorization(&key).send();
    reply.expect_refusal(403, "not_exchangeable");
    assert!(app.requests().is_empty());
}

#[test]
fn a_missing_privilege_of_sidegates_own_is_503_told_by_log_and_check() {
    let (dev, app) = (authority(), Server::echoing());
    let weak = plan(&dev, &app, ("weak", "weak-password")).route(
        "all",
        "/**",
        "allow: authenticated, forward: { token: {} }",
    );
    let gate = weak.start();
    let reply = gate.proxy.get("/").basic("ann", "ann-password").send();
    assert!(reply.header("retry-after").is_some());
    reply.expect_refusal(503, "authority_unavailable");
    let line = gate
        .process
        .stderr
        .find(|line| line.contains("manage_token"));
    assert!(line.is_some_and(|line| line.contains("denied")));
    assert!(app.requests().is_empty());
    gate.proxy.get("/").basic("ann", "wrong").send().expect(401);

    let ended = run_to_end(&[
        "check",
        "--online",
        "--config",
        gate.config.to_str().unwrap(),
    ]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("manage_token (for `forward.token` of route all)"),
        "{ended:?}"
    );
}

#[test]
fn a_token_that_died_early_is_replaced_and_the_request_repeated_if_it_can_be() {
    let dev = authority();
    let app = Server::start({
        let authority = dev.authority.clone();
        move |request| {
            let credential = request.header("authorization").unwrap_or_default();
            match request.target.as_str() {
                "/never" => Answer::Reply(401, Vec::new(), b"never".to_vec()),
                _ if accepted(&authority, credential) == 200 => Answer::text("welcome"),
                _ => Answer::Reply(401, Vec::new(), Vec::new()),
            }
        }
    });
    let gate = gate(&dev, &app, "{ token: {} }");
    let ann = |call: crate::harness::client::Call<'_>| call.basic("ann", "ann-password").send();
    ann(gate.proxy.get("/")).expect(200);
    let first = authorization(&app);
    let dead = json!({"token": first.strip_prefix("Bearer ").unwrap()});
    ask(&dev.authority, "DELETE", "oauth2/token", &dead);

    ann(gate.proxy.post("/", "x")).expect(401);
    assert_eq!(app.requests().len(), 2, "what can't be repeated is not");
    // The doubt was not looked into for what can't be repeated, so this request does.
    assert_eq!(ann(gate.proxy.get("/")).expect(200).text(), "welcome");
    assert_eq!(app.requests().len(), 4);
    assert_ne!(authorization(&app), first);

    let before = exchanges(&gate, "token", "renewed");
    for _ in 0..3 {
        assert_eq!(ann(gate.proxy.get("/never")).expect(401).text(), "never");
    }
    assert_eq!(
        exchanges(&gate, "token", "renewed"),
        before,
        "a living token is kept"
    );
}

#[test]
fn sidegate_acts_as_the_client_or_beside_them_towards_elasticsearch() {
    let (dev, app) = (authority(), Server::echoing());
    let gate = plan(&dev, &app, ("elastic", "changeme"))
        .route(
            "as",
            "/as",
            "allow: authenticated, forward: { elasticsearch: { run_as: true } }",
        )
        .route(
            "beside",
            "/beside",
            "allow: authenticated, forward: { elasticsearch: { secondary_authorization: true } }",
        )
        .start();
    let own = basic("elastic", "changeme");
    let call = |path: &str| {
        let call = gate.proxy.get(path).basic("ann", "ann-password");
        call.header("es-security-runas-user", "elastic").send()
    };
    call("/as").expect(200);
    let seen = last(&app);
    assert_eq!(seen.header("authorization"), Some(own.as_str()));
    assert_eq!(
        seen.headers_named("es-security-runas-user")
            .collect::<Vec<_>>(),
        ["ann"]
    );
    call("/beside").expect(200);
    let seen = last(&app);
    assert_eq!(seen.header("authorization"), Some(own.as_str()));
    assert_eq!(
        seen.header("es-secondary-authorization"),
        Some(basic("ann", "ann-password").as_str())
    );
    assert_eq!(seen.header("es-security-runas-user"), None);
}

/// A gate in front of the authority itself, in `elasticsearch` mode.
fn before_elasticsearch(dev: &Dev, access: &str, forward: &str) -> Running {
    let url = dev.authority.url();
    Plan::with_authority(&format!(
        "elasticsearch: {{ nodes: [\"{url}\"], credential: {{ basic: {{ username: elastic, password: changeme }} }} }}"
    ))
    .upstream_yaml("app", &format!("url: \"{url}\""))
    .route("all", "/**", &format!("{access}, forward: {forward}"))
    .start()
}

#[test]
fn revoking_calls_that_pass_through_take_effect_at_once() {
    let dev = authority();
    let gate = before_elasticsearch(&dev, "allow: authenticated", "{ elasticsearch: {} }");
    let through = |method: &str, path: &str, body: &Value| ask(&gate.proxy, method, path, body);
    let status = |credential: &str| accepted(&gate.proxy, credential);

    let key = through("POST", "api_key", &json!({"name": "k"}));
    let bearer = through(
        "POST",
        "oauth2/token",
        &json!({"grant_type": "client_credentials"}),
    );
    let (key_id, key) = (
        key["id"].clone(),
        format!("ApiKey {}", key["encoded"].as_str().unwrap()),
    );
    let token = bearer["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let password = basic("ann", "ann-password");
    for credential in [&key, &bearer, &password] {
        assert_eq!(status(credential), 200, "{credential}");
    }
    through("DELETE", "api_key", &json!({"ids": [key_id]}));
    assert_eq!(status(&key), 401);
    through("DELETE", "oauth2/token", &json!({"token": token}));
    assert_eq!(status(&bearer), 401);
    through(
        "PUT",
        "user/ann/_password",
        &json!({"password": "new-password"}),
    );
    assert_eq!(status(&password), 401);
    let renewed = basic("ann", "new-password");
    assert_eq!(status(&renewed), 200);
    let disabling = gate.proxy.call("PUT", "/_security/user/ann/_disable");
    disabling.basic("elastic", "changeme").send().expect(200);
    assert_eq!(status(&renewed), 401);
    assert!(gate.metric("sidegate_cache_purges_total", &[]) >= 4.0);
}

#[test]
fn calls_that_elasticsearch_would_deny_are_stopped_at_the_edge() {
    let (dev, app) = (authority(), Server::echoing());
    let gate = plan(&dev, &app, ("elastic", "changeme"))
        .route(
            "all",
            "/**",
            "require: { elasticsearch_call: true }, forward: { elasticsearch: {} }",
        )
        .start();
    let status = |method: &str, path: &str| {
        gate.proxy
            .call(method, path)
            .basic("ann", "ann-password")
            .send()
            .status
    };
    for (method, path) in [
        ("GET", "/logs-a/_search"),
        ("PUT", "/logs-a/_doc/1"),
        ("GET", "/_cluster/health"),
        ("GET", "/other*/_search"),
        ("POST", "/_bulk"),
    ] {
        assert_eq!(status(method, path), 200, "{method} {path}");
    }
    let passed = app.requests().len();
    for (method, path) in [
        ("GET", "/other/_search"),
        ("GET", "/logs-a,other/_search"),
        ("PUT", "/_cluster/settings"),
        ("PUT", "/_security/user/eve"),
        ("GET", "/_unheard_of"),
    ] {
        assert_eq!(status(method, path), 403, "{method} {path}");
    }
    assert_eq!(
        app.requests().len(),
        passed,
        "nothing denied reached the upstream"
    );
    let before = asks(&gate);
    assert_eq!(status("GET", "/logs-a/_search"), 200);
    assert_eq!(asks(&gate), before);
}

#[test]
fn the_official_client_works_through_elasticsearch_mode() {
    let Some(python) = tools::python_with_elasticsearch() else {
        return;
    };
    let dev = Dev::start(&[]);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/python/official_client.py"
    );
    for access in [
        "allow: authenticated",
        "require: { elasticsearch_call: true }",
    ] {
        let gate = before_elasticsearch(&dev, access, "{ elasticsearch: {} }");
        let ended = end_of(Command::new(&python).args([script, &gate.proxy.url(), "-"]));
        assert_eq!(ended.code, 0, "{access}: {}{}", ended.stdout, ended.stderr);
    }
}

/// Writes a private key into the folder.
fn signing_key(
    folder: &std::path::Path,
    name: &str,
    algorithm: &'static rcgen::SignatureAlgorithm,
) -> String {
    let path = folder.join(name);
    let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
    fs::write(&path, pair.serialize_pem()).unwrap();
    path.display().to_string()
}

/// The claims of an assertion, unverified.
fn claims(assertion: &str) -> Value {
    use base64::Engine as _;
    let part = |at: usize| {
        let part = assertion.split('.').nth(at).unwrap();
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(part)
            .unwrap()
    };
    let mut claims: Value = serde_json::from_slice(&part(1)).unwrap();
    claims["header"] = serde_json::from_slice(&part(0)).unwrap();
    claims
}

fn asserting(dev: &Dev, app: &Server, keys: &[&str]) -> Plan {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| format!("{{ key: \"{key}\" }}"))
        .collect();
    plan(dev, app, ("elastic", "changeme"))
        .route(
            "shop",
            "/**",
            "allow: authenticated, forward: { assertion: { claims: { mail: \"{identity.email}\", who: \"u:{identity.username}\" } } }",
        )
        .and(&format!(
            "assertion: {{ issuer: here, jwks_path: /.well-known/jwks.json, keys: [{}] }}",
            keys.join(", ")
        ))
}

#[test]
fn an_assertion_tells_who_it_is_and_is_signed_once_while_it_lasts() {
    let (dev, app) = (authority(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let key = signing_key(folder.path(), "a.pem", &rcgen::PKCS_ECDSA_P256_SHA256);
    let gate = asserting(&dev, &app, &[&key]).start();
    let call = gate.proxy.get("/").basic("ann", "ann-password");
    call.clone()
        .header("x-sidegate-assertion", "forged")
        .send()
        .expect(200);
    let seen = last(&app);
    assert_eq!(seen.header("authorization"), None);
    let assertion = seen.header("x-sidegate-assertion").unwrap().to_owned();
    let told = claims(&assertion);
    for (name, value) in [
        ("iss", json!("here")),
        ("sub", json!("ann")),
        ("aud", json!("app")),
        ("roles", json!(["logs"])),
        ("realm", json!("default_native")),
        ("route", json!("shop")),
        ("who", json!("u:ann")),
        ("mail", Value::Null),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    assert_eq!(
        told["exp"].as_u64().unwrap() - told["iat"].as_u64().unwrap(),
        300
    );
    assert_eq!(told["header"]["alg"], "ES256");
    let before = asks(&gate);
    for _ in 0..10 {
        call.clone().send().expect(200);
        assert_eq!(
            last(&app).header("x-sidegate-assertion"),
            Some(assertion.as_str())
        );
    }
    assert_eq!(exchanges(&gate, "assertion", "made"), 1.0);
    assert_eq!(asks(&gate), before);

    let published = gate
        .proxy
        .get("/.well-known/jwks.json")
        .send()
        .expect(200)
        .json();
    assert_eq!(published["keys"][0]["kid"], told["header"]["kid"]);
    let on_admin = gate
        .admin
        .get("/.well-known/jwks.json")
        .send()
        .expect(200)
        .json();
    assert_eq!(on_admin, published);
}

#[test]
fn keys_rotate_by_overlap_when_the_file_is_read_again() {
    let (dev, app) = (authority(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let old = signing_key(folder.path(), "old.pem", &rcgen::PKCS_ECDSA_P256_SHA256);
    let new = signing_key(folder.path(), "new.pem", &rcgen::PKCS_ED25519);
    let gate = asserting(&dev, &app, &[&old]).start();
    let assertion = || {
        gate.proxy
            .get("/")
            .basic("ann", "ann-password")
            .send()
            .expect(200);
        claims(last(&app).header("x-sidegate-assertion").unwrap())
    };
    let first = assertion();
    asserting(&dev, &app, &[&new, &old]).write(gate.folder.path());
    gate.wait_for_reload("applied");
    let second = assertion();
    assert_eq!(second["header"]["alg"], "EdDSA");
    let published = gate
        .proxy
        .get("/.well-known/jwks.json")
        .send()
        .expect(200)
        .json();
    let known: Vec<&Value> = published["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["kid"])
        .collect();
    assert_eq!(known, [&second["header"]["kid"], &first["header"]["kid"]]);
}

/// The verifier in this language that `docs/signed-assertions.md` shows, as a file.
fn verifier(folder: &std::path::Path, tag: &str, name: &str) -> std::path::PathBuf {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/signed-assertions.md");
    let text = fs::read_to_string(page).unwrap();
    let code = text
        .split(&format!("```{tag} verifier\n"))
        .nth(1)
        .expect("a verifier");
    let path = folder.join(name);
    fs::write(&path, code.split("```").next().unwrap()).unwrap();
    path
}

#[test]
fn the_verifiers_in_the_docs_believe_what_is_signed_and_nothing_else() {
    let (dev, app) = (authority(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let python = tools::python_with("jwt");
    let node = tools::find("node", "the verifier for Node");
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
        let key = signing_key(folder.path(), "a.pem", algorithm);
        let gate = asserting(&dev, &app, &[&key]).start();
        gate.proxy
            .get("/")
            .basic("ann", "ann-password")
            .send()
            .expect(200);
        let assertion = last(&app)
            .header("x-sidegate-assertion")
            .unwrap()
            .to_owned();
        let jwks = format!("{}/.well-known/jwks.json", gate.proxy.url());
        let (head, tail) = assertion.rsplit_once('.').unwrap();
        let forged = format!("{head}.{}{}", &tail[1..], &tail[..1]);
        let programs = [
            (&python, verifier(folder.path(), "python", "verify.py")),
            (&node, verifier(folder.path(), "js", "verify.mjs")),
        ];
        for (program, script) in programs {
            let Some(program) = program else { continue };
            let run = |assertion: &str, audience: &str| {
                end_of(
                    Command::new(program)
                        .arg(&script)
                        .args([&jwks, "here", audience, assertion]),
                )
            };
            let good = run(&assertion, "app");
            assert_eq!(
                (good.code, good.stdout.trim()),
                (0, "ann"),
                "{script:?} {}",
                good.stderr
            );
            assert_ne!(run(&forged, "app").code, 0, "{script:?}: forged");
            assert_ne!(
                run(&assertion, "other").code,
                0,
                "{script:?}: for somebody else"
            );
        }
    }
}

#[test]
fn nothing_of_the_clients_credential_reaches_an_upstream_that_is_not_to_have_it() {
    let (dev, app) = (authority(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let key = signing_key(folder.path(), "a.pem", &rcgen::PKCS_ECDSA_P256_SHA256);
    let ways = [
        "none".to_owned(),
        "{ identity_headers: {} }".to_owned(),
        "{ token: {} }".to_owned(),
        format!("{{ api_key: {{ role_descriptors: {READER} }} }}"),
        "{ assertion: {} }".to_owned(),
        "{ elasticsearch: { run_as: true } }".to_owned(),
        "{ elasticsearch: { secondary_authorization: true }, token: {} }".to_owned(),
    ];
    let mut plan = plan(&dev, &app, ("elastic", "changeme"))
        .and(&format!("assertion: {{ keys: [{{ key: \"{key}\" }}] }}"));
    for (at, way) in ways.iter().enumerate() {
        let keys = format!("allow: authenticated, forward: {way}");
        plan = plan.route(&format!("w{at}"), &format!("/w{at}"), &keys);
    }
    let mut gate = plan.start();
    gate.admin.call("PUT", "/log/level").body("trace").send();
    let canary = basic("ann", "ann-password");
    let mut seen = String::new();
    for at in 0..ways.len() {
        let reply = gate
            .proxy
            .get(&format!("/w{at}"))
            .authorization(&canary)
            .send()
            .expect(200);
        seen.push_str(&format!("{:?}\n", reply.headers));
    }
    assert_eq!(app.requests().len(), ways.len());
    seen.push_str(&format!("{}{:?}", app.bytes(), app.requests()));
    for page in ["/metrics", "/cache", "/routes"] {
        seen.push_str(&gate.admin.get(page).send().text());
    }
    gate.process.signal("TERM");
    gate.process.wait();
    let output = gate.process.output();
    for text in [&seen, &output] {
        assert!(!text.contains("ann-password"));
        assert!(!text.contains(canary.strip_prefix("Basic ").unwrap()));
    }
    // Nor does what was made for an upstream get into a log.
    for request in app.requests() {
        for value in request
            .headers_named("authorization")
            .chain(request.headers_named("x-sidegate-assertion"))
        {
            let secret = value.split(' ').next_back().unwrap();
            assert!(!output.contains(secret), "{value}");
        }
    }
}
