//! Client certificates: from the handshake, or from another terminator in front.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::harness::client::Target;
use crate::harness::elasticsearch::{Account, FakeElasticsearch, OWN};
use crate::harness::eventually;
use crate::harness::pki::{Authority, Client};
use crate::harness::plan::{Plan, Running};
use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::harness::tools;

/// Two CAs, one below the other, an Elasticsearch with a PKI realm, and an application.
struct Site {
    root: Authority,
    issuing: Authority,
    fake: FakeElasticsearch,
    app: Server,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let root = Authority::new();
        let site = Self {
            issuing: root.intermediate("the tests' issuing CA"),
            root,
            fake: FakeElasticsearch::with_own(),
            app: Server::echoing(),
            folder: tempfile::tempdir().unwrap(),
        };
        site.root.write_ca(site.folder.path());
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client whose certificate the PKI realm knows as its name.
    fn client(&self, name: &str) -> Client {
        let client = Client::of(&self.issuing, name, |_| {});
        let account = Account::new(name, &["machine"], &["cluster:monitor"]);
        self.fake.know_certificate(&client.chain[0], account);
        client
    }

    fn plan(&self) -> Plan {
        Plan::with_authority(&self.fake.yaml_with_own())
            .upstream("app", &self.app)
            .route(
                "all",
                "/**",
                "require: { cluster: [monitor] }, forward: { identity_headers: {} }",
            )
    }

    fn start(&self, mode: &str, more: &str) -> Running {
        let ca = self.path("ca.pem");
        let ca = ca.display();
        self.plan()
            .clients(&format!("{{ mode: {mode}, ca: {ca}{more} }}"))
            .start()
    }
}

/// The gate for somebody with this TLS configuration.
fn with(gate: &Running, config: &Arc<ClientConfig>) -> Target {
    Target::https(&gate.proxy.address.to_string(), Arc::clone(config))
}

fn server_ca(gate: &Running) -> PathBuf {
    gate.folder.path().join("ca.pem")
}

#[test]
fn a_certificate_becomes_its_owner_by_one_exchange() {
    let site = Site::new();
    let client = site.client("robot");
    let gate = site.start("required", "");
    let (config, _) = client.config(&server_ca(&gate));
    for _ in 0..2 {
        let proxy = with(&gate, &config);
        let mut wire = proxy.connect();
        for _ in 0..2 {
            proxy.get("/").send_on(&mut wire).expect(200);
        }
    }
    assert_eq!(site.fake.delegations(), 1);
    assert_eq!(site.fake.authentications(), 1);
    for request in site.app.requests() {
        assert_eq!(request.header("x-forwarded-user"), Some("robot"));
        assert_eq!(request.header("authorization"), None);
    }
    // What was handed in: the leaf and its issuer, in order, with Sidegate's own credential.
    let asked = site.fake.server.requests();
    let asked = asked
        .iter()
        .find(|request| request.target == "/_security/delegate_pki")
        .unwrap();
    assert_eq!(asked.header("authorization"), Some(OWN));
    let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    let chain: Vec<String> = client
        .chain
        .iter()
        .map(|der| STANDARD.encode(der))
        .collect();
    assert_eq!(body["x509_certificate_chain"], serde_json::json!(chain));
}

#[test]
fn a_resumed_session_brings_the_whole_chain_along() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        resumes_with_the_whole_chain(version);
    }
}

fn resumes_with_the_whole_chain(version: &'static rustls::SupportedProtocolVersion) {
    let site = Site::new();
    let client = site.client("robot");
    let gate = site.start("required", "");
    let (config, counting) = client.config_at(&server_ca(&gate), &[version]);
    for _ in 0..3 {
        with(&gate, &config).get("/").send().expect(200);
    }
    assert_eq!(
        counting.asked.load(Ordering::SeqCst),
        1,
        "the others were resumed"
    );
    gate.admin
        .post_json("/cache/purge", &serde_json::json!({"all": true}))
        .send();
    with(&gate, &config).get("/").send().expect(200);
    assert_eq!(counting.asked.load(Ordering::SeqCst), 1);
    // After the purge the certificate was exchanged anew, from what the ticket had kept of it.
    let exchanged: Vec<_> = site
        .fake
        .server
        .requests()
        .into_iter()
        .filter(|request| request.target == "/_security/delegate_pki")
        .map(|request| request.body)
        .collect();
    assert_eq!(exchanged.len(), 2);
    assert_eq!(exchanged[0], exchanged[1]);
}

#[test]
fn a_bad_certificate_ends_the_handshake_in_either_mode() {
    let site = Site::new();
    let stranger = Authority::new();
    let revoked = Client::of(&site.issuing, "revoked", |_| {});
    let lists = format!(
        "{}{}",
        site.issuing.revocation_list(&[&revoked.serial]),
        site.root.revocation_list(&[])
    );
    fs::write(site.path("crl.pem"), lists).unwrap();
    let day = rcgen::date_time_ymd;
    let old = site.root.intermediate_with("an old CA", |params| {
        params.not_after = day(2020, 1, 1);
    });
    let no_ca = site.root.intermediate_with("a leaf that signs", |params| {
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
    });
    let mut alone = Client::of(&site.issuing, "alone", |_| {});
    alone.chain.truncate(1);
    let bad = [
        Client::of(&old, "of an old CA", |_| {}),
        Client::of(&no_ca, "of no CA", |_| {}),
        alone,
        Client::of(&site.issuing, "expired", |params| {
            params.not_after = day(2020, 1, 1)
        }),
        Client::of(&site.issuing, "early", |params| {
            params.not_before = day(2080, 1, 1)
        }),
        Client::of(&site.issuing, "server", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        Client::of(&stranger, "stranger", |_| {}),
        revoked,
    ];
    let crl = format!(", crl: {}", site.path("crl.pem").display());
    for mode in ["required", "optional"] {
        let gate = site.start(mode, &crl);
        for (at, client) in bad.iter().enumerate() {
            let (config, _) = client.config(&server_ca(&gate));
            let proxy = with(&gate, &config);
            let mut wire = proxy.connect();
            let _ = wire.send(&proxy.get("/").bytes());
            assert!(wire.reply().is_err(), "{mode} {at}");
        }
        let good = site.client("good");
        let (config, _) = good.config(&server_ca(&gate));
        with(&gate, &config).get("/").send().expect(200);
    }
    assert_eq!(
        site.fake.delegations(),
        2,
        "only the good ones were exchanged"
    );
}

#[test]
fn lists_that_have_run_out_or_are_missing_let_nobody_in() {
    let site = Site::new();
    let client = site.client("robot");
    let outdated = site.issuing.revocation_list_until(2021, &[]);
    let lists = [
        format!("{outdated}{}", site.root.revocation_list(&[])),
        // The issuing CA has no list at all.
        site.root.revocation_list(&[]),
    ];
    for list in lists {
        fs::write(site.path("crl.pem"), list).unwrap();
        let crl = format!(", crl: {}", site.path("crl.pem").display());
        let gate = site.start("optional", &crl);
        let (config, _) = client.config(&server_ca(&gate));
        let proxy = with(&gate, &config);
        let mut wire = proxy.connect();
        let _ = wire.send(&proxy.get("/").bytes());
        assert!(wire.reply().is_err());
    }
    assert_eq!(site.fake.delegations(), 0);
}

#[test]
fn without_a_certificate_required_refuses_and_optional_asks_for_another_credential() {
    let site = Site::new();
    let gate = site.start("required", "");
    let mut wire = gate.proxy.connect();
    let _ = wire.send(&gate.proxy.get("/").bytes());
    assert!(wire.reply().is_err());

    let gate = site.start("optional", "");
    gate.proxy
        .get("/")
        .send()
        .expect_refusal(401, "no_credential");
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    // A credential shown on purpose goes before the certificate.
    let client = site.client("robot");
    let (config, _) = client.config(&server_ca(&gate));
    with(&gate, &config)
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    let last = site.app.requests().pop().unwrap();
    assert_eq!(last.header("x-forwarded-user"), Some("alice"));
    assert_eq!(site.fake.delegations(), 0);
}

#[test]
fn a_certificate_no_realm_knows_is_refused_and_no_trouble() {
    let site = Site::new();
    let client = Client::of(&site.issuing, "nobody", |_| {});
    let gate = site.start("required", "");
    let (config, _) = client.config(&server_ca(&gate));
    with(&gate, &config)
        .get("/")
        .send()
        .expect_refusal(401, "unauthenticated");
    // Where Sidegate's own credential is at fault, it is trouble and no refusal.
    site.fake.forget(OWN);
    let other = site.client("robot");
    let (config, _) = other.config(&server_ca(&gate));
    with(&gate, &config)
        .get("/")
        .send()
        .expect_refusal(503, "authority_unavailable");
}

#[test]
fn a_certificate_revoked_later_is_refused_on_open_connections_and_resumed_sessions() {
    let site = Site::new();
    let client = site.client("robot");
    let write = |revoked: &[&rcgen::SerialNumber]| {
        let lists = format!(
            "{}{}",
            site.issuing.revocation_list(revoked),
            site.root.revocation_list(&[])
        );
        fs::write(site.path("crl.pem"), lists).unwrap();
    };
    write(&[]);
    let gate = site.start(
        "required",
        &format!(", crl: {}", site.path("crl.pem").display()),
    );
    let (config, counting) = client.config(&server_ca(&gate));
    let proxy = with(&gate, &config);
    let mut wire = proxy.connect();
    proxy.get("/").send_on(&mut wire).expect(200);
    write(&[&client.serial]);
    gate.wait_for_reload("applied");
    proxy
        .get("/")
        .send_on(&mut wire)
        .expect_refusal(401, "malformed_credential");
    proxy
        .get("/")
        .send()
        .expect_refusal(401, "malformed_credential");
    assert_eq!(
        counting.asked.load(Ordering::SeqCst),
        1,
        "the second was resumed"
    );
}

#[test]
fn a_token_that_died_early_is_fetched_again() {
    let site = Site::new();
    let client = site.client("robot");
    let ca = site.path("ca.pem");
    let gate = site
        .plan()
        .clients(&format!("{{ mode: required, ca: {} }}", ca.display()))
        .and("cache: { ttl: 1ms, refresh_ahead: 1 }")
        .start();
    let (config, _) = client.config(&server_ca(&gate));
    with(&gate, &config).get("/").send().expect(200);
    site.fake.forget("Bearer token-canary-1");
    with(&gate, &config).get("/").send().expect(200);
    assert_eq!(site.fake.delegations(), 2);
}

#[test]
fn headers_of_a_terminator_count_only_from_listed_peers_and_never_travel_on() {
    let site = Site::new();
    let client = site.client("robot");
    let rfc9440 = |der: &[u8]| format!(":{}:", STANDARD.encode(der));
    let (leaf, chain) = (rfc9440(&client.chain[0]), rfc9440(&client.chain[1]));
    let ask = |gate: &Running| {
        let call = gate.proxy.get("/").header("Client-Cert", &leaf);
        call.header("Client-Cert-Chain", &chain).send()
    };
    let listed = site
        .plan()
        .listener("trusted_proxies: [127.0.0.0/8]")
        .listener("forwarded_client_certificates: client_cert")
        .start();
    ask(&listed).expect(200);
    let other = site
        .plan()
        .listener("trusted_proxies: [10.0.0.0/8]")
        .listener("forwarded_client_certificates: client_cert")
        .start();
    ask(&other).expect_refusal(401, "no_credential");
    let unasked = site
        .plan()
        .listener("trusted_proxies: [127.0.0.0/8]")
        .start();
    ask(&unasked).expect_refusal(401, "no_credential");
    // With a credential of its own the request passes, and the headers stay behind all the same.
    for gate in [&listed, &other, &unasked] {
        let call = gate.proxy.get("/").header("Client-Cert", &leaf);
        let call = call.header("X-Forwarded-Client-Cert", "Hash=ab");
        call.basic("alice", "alice-password").send().expect(200);
    }
    for request in site.app.requests() {
        for name in [
            "client-cert",
            "client-cert-chain",
            "x-forwarded-client-cert",
        ] {
            assert_eq!(request.header(name), None);
        }
    }
    // Two certificates in one request are nobody's.
    let call = listed.proxy.get("/").header("Client-Cert", &leaf);
    call.header("Client-Cert", &leaf)
        .send()
        .expect_refusal(401, "malformed_credential");
}

/// A gate with an embedded authority that maps the owner of the certificate `CN=robot` to the role `machine`.
fn with_pki_realm(site: &Site, routes: &[(&str, &str, &str)]) -> Running {
    let ca = site.path("ca.pem");
    let ca = ca.display();
    let plan = Plan::with_authority(&format!(
        "embedded: {{ address: \"127.0.0.1:0\", superuser_password: elastic-password, realms: {{ pki: {{ pki1: {{ order: 5, certificate_authorities: [{ca}], delegation: {{ enabled: true }} }} }} }} }}"
    ))
    .upstream("app", &site.app)
    .clients(&format!("{{ mode: required, ca: {ca} }}"));
    let gate = routes
        .iter()
        .fold(plan, |plan, (name, path, keys)| {
            plan.route(name, path, keys)
        })
        .start();
    let authority = gate.authority.as_ref().unwrap();
    authority
        .put_json(
            "/_security/role_mapping/machines",
            &serde_json::json!({"enabled": true, "roles": ["machine"], "rules": {"field": {"dn": "CN=robot"}}}),
        )
        .basic("elastic", "elastic-password")
        .send()
        .expect(200);
    gate
}

#[test]
fn the_embedded_authoritys_pki_realm_knows_whose_certificate_it_is() {
    let site = Site::new();
    let client = Client::of(&site.issuing, "robot", |_| {});
    let keys = "allow: authenticated, forward: { identity_headers: {} }";
    let gate = with_pki_realm(&site, &[("all", "/**", keys)]);
    let (config, _) = client.config(&server_ca(&gate));
    with(&gate, &config).get("/").send().expect(200);
    let request = site.app.only_request();
    assert_eq!(request.header("x-forwarded-user"), Some("robot"));
    assert_eq!(request.header("x-forwarded-roles"), Some("machine"));
    assert_eq!(request.header("authorization"), None);
}

#[test]
fn an_upstream_gets_a_token_or_a_key_of_the_certificates_owner() {
    let site = Site::new();
    let client = Client::of(&site.issuing, "robot", |_| {});
    let gate = with_pki_realm(
        &site,
        &[
            (
                "token",
                "/token",
                "allow: authenticated, forward: { token: {} }",
            ),
            (
                "key",
                "/key",
                "allow: authenticated, forward: { api_key: { role_descriptors: {} } }",
            ),
        ],
    );
    let authority = gate.authority.as_ref().unwrap();
    // A key is granted to whoever may make one.
    authority
        .put_json(
            "/_security/role/machine",
            &serde_json::json!({"cluster": ["manage_own_api_key"]}),
        )
        .basic("elastic", "elastic-password")
        .send()
        .expect(200);
    let (config, _) = client.config(&server_ca(&gate));
    for (path, scheme) in [
        ("/token", "Bearer "),
        ("/token", "Bearer "),
        ("/key", "ApiKey "),
    ] {
        with(&gate, &config).get(path).send().expect(200);
        let requests = site.app.requests();
        let given = requests.last().unwrap().header("authorization").unwrap();
        assert!(given.starts_with(scheme), "{path}");
        let who = authority
            .get("/_security/_authenticate")
            .authorization(given)
            .send()
            .expect(200);
        assert_eq!(who.json()["username"], "robot", "{path}");
    }
}

#[test]
fn nginx_in_front_terminates_tls_and_tells_the_certificate() {
    let forms = [
        (
            "x_forwarded_client_cert",
            "X-Forwarded-Client-Cert",
            "'Cert=\"$ssl_client_escaped_cert\"'",
        ),
        ("client_cert_pem", "Client-Cert", "$ssl_client_escaped_cert"),
    ];
    for (setting, header, value) in forms {
        behind_nginx(setting, header, value);
    }
}

/// nginx writes `value` into `header`, and the gate has `setting`.
fn behind_nginx(setting: &str, header: &str, value: &str) {
    let Some(nginx) = tools::find("nginx", "a TLS terminator in front") else {
        return;
    };
    let site = Site::new();
    let client = Client::of(&site.root, "robot", |_| {});
    let account = Account::new("robot", &[], &["cluster:monitor"]);
    site.fake.know_certificate(&client.chain[0], account);
    let gate = site
        .plan()
        .listener("trusted_proxies: [127.0.0.0/8]")
        .listener(&format!("forwarded_client_certificates: {setting}"))
        .start();
    site.root
        .write_leaf(site.folder.path(), "nginx", &["localhost"]);
    let port = free_port();
    let folder = site.folder.path().display();
    let config = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr info;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/nginx.crt; ssl_certificate_key {folder}/nginx.key;
    ssl_client_certificate {folder}/ca.pem; ssl_verify_client optional;
    location / {{ proxy_pass {}; proxy_set_header {header} {value}; }}
  }} }}
",
        gate.proxy.url()
    );
    let path = site.path("nginx.conf");
    fs::write(&path, config).unwrap();
    let process = Process::spawn(
        Command::new(nginx)
            .arg("-p")
            .arg(site.folder.path())
            .arg("-c")
            .arg(path),
    );
    let (config, _) = client.config(&site.path("ca.pem"));
    let outer = Target::https(&format!("127.0.0.1:{port}"), config);
    wait_until_it_listens(port, &process);
    let spoofed = outer.get("/").header(header, "Cert=\"x\"");
    spoofed.send().expect(200);
    // Who has no certificate is nobody, and not in trouble.
    let stranger = Target::https(
        &format!("127.0.0.1:{port}"),
        crate::harness::pki::trust(&site.path("ca.pem")),
    );
    let refused = stranger.get("/").header(header, "Cert=\"x\"").send();
    let expected = if setting == "client_cert_pem" {
        "no_credential"
    } else {
        // Envoy leaves the header out; nginx writes an element without a certificate, which proves nothing.
        "malformed_credential"
    };
    refused.expect_refusal(401, expected);
    let request = site.app.only_request();
    assert_eq!(request.header("x-forwarded-user"), Some("robot"));
    assert_eq!(request.header(header), None);
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn wait_until_it_listens(port: u16, process: &Process) {
    assert!(
        eventually(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()),
        "nobody listens on {port}\n{}",
        process.output()
    );
}
