//! Kerberos: against a scripted Elasticsearch, and with a real KDC, `kinit` and `curl --negotiate`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::harness::client::{Reply, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Ticket};
use crate::harness::eventually;
use crate::harness::plan::{Plan, Running};
use crate::harness::process::{Process, end_of};
use crate::harness::server::Server;
use crate::harness::tools;

const COOKIE: &str = "__Host-sidegate-kerberos";

fn alice() -> Account {
    Account::new("alice@TEST.LOCAL", &["shopper"], &["cluster:monitor"]).with(
        "authentication_realm",
        json!({"name": "kerb1", "type": "kerberos"}),
    )
}

fn gate(fake: &FakeElasticsearch, app: &Server, kerberos: &str) -> Running {
    forwarding(fake, app, kerberos, "{ identity_headers: {} }")
}

fn forwarding(fake: &FakeElasticsearch, app: &Server, kerberos: &str, forward: &str) -> Running {
    let keys = format!("require: {{ cluster: [monitor] }}, forward: {forward}");
    Plan::with_authority(&fake.yaml_with_own())
        .upstream("app", app)
        .route("all", "/**", &keys)
        .and(&format!("credentials: {{ kerberos: {kerberos} }}"))
        .start()
}

fn negotiate(gate: &Running, ticket: &str) -> Reply {
    let call = gate.proxy.get("/");
    call.authorization(&format!("Negotiate {ticket}")).send()
}

/// `name=value` of the cookie that was set.
fn cookie(reply: &Reply) -> Option<String> {
    let line = reply.header("set-cookie")?;
    for attribute in [
        "Path=/",
        "Secure",
        "HttpOnly",
        "SameSite=Strict",
        "Max-Age=",
    ] {
        assert!(line.contains(attribute), "{line}");
    }
    line.split(';').next().map(str::to_owned)
}

#[test]
fn negotiate_is_offered_and_understood_only_where_configured() {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    let plain = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated")
        .start();
    let refused = plain.proxy.get("/").send().expect(401);
    assert!(
        refused
            .headers_named("www-authenticate")
            .all(|line| !line.contains("Negotiate"))
    );
    negotiate(&plain, "dGlja2V0").expect_refusal(401, "malformed_credential");
    let offering = gate(&fake, &app, "{}");
    let refused = offering.proxy.get("/").send().expect(401);
    assert_eq!(
        refused.headers_named("www-authenticate").next(),
        Some("Negotiate")
    );
    assert_eq!(fake.negotiations(), 0);
}

#[test]
fn an_upstream_that_wants_a_token_gets_the_one_the_ticket_brought() {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    fake.know_ticket("dGlja2V0", Ticket::Of(alice(), "bXV0dWFs"));
    let gate = forwarding(&fake, &app, "{}", "{ token: {} }");
    let first = negotiate(&gate, "dGlja2V0").expect(200);
    let cookie = cookie(&first).expect("a cookie");
    let call = gate.proxy.get("/").header("cookie", &cookie);
    call.send().expect(200);
    let requests = app.requests();
    let given: Vec<_> = requests
        .iter()
        .map(|request| request.header("authorization"))
        .collect();
    assert_eq!(given, [Some("Bearer token-canary-1"); 2]);
    assert_eq!(fake.negotiations(), 1);
}

#[test]
fn a_ticket_is_exchanged_once_and_its_cookie_stands_for_it() {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    fake.know_ticket("dGlja2V0", Ticket::Of(alice(), "bXV0dWFs"));
    let gate = gate(&fake, &app, "{}");
    let first = negotiate(&gate, "dGlja2V0").expect(200);
    assert_eq!(first.header("www-authenticate"), Some("Negotiate bXV0dWFs"));
    let cookie = cookie(&first).expect("a cookie");
    for _ in 0..2 {
        let call = gate
            .proxy
            .get("/")
            .header("Cookie", &format!("a=1; {cookie}; b=2"));
        let reply = call.send().expect(200);
        assert_eq!(reply.header("set-cookie"), None);
    }
    assert_eq!(fake.negotiations(), 1);
    for request in app.requests() {
        assert_eq!(request.header("x-forwarded-user"), Some("alice@TEST.LOCAL"));
        assert!(
            !request
                .headers
                .iter()
                .any(|(_, value)| value.contains(COOKIE))
        );
        assert_eq!(request.header("authorization"), None);
    }
    assert_eq!(app.requests()[1].header("cookie"), Some("a=1; b=2"));
    // The ticket itself is good for nothing any more, and so is a cookie nobody was given.
    negotiate(&gate, "dGlja2V0").expect_refusal(401, "unauthenticated");
    for forged in [
        format!("{COOKIE}=x"),
        format!("{cookie}x"),
        format!("{cookie}; {cookie}"),
    ] {
        let call = gate.proxy.get("/").header("Cookie", &forged);
        call.send().expect_refusal(401, "no_credential");
    }
    // A credential shown on purpose goes before the cookie.
    let call = gate.proxy.get("/").header("Cookie", &cookie);
    call.basic("bob", "bob-password")
        .send()
        .expect_refusal(403, "forbidden");
    // A purge ends the cookie.
    gate.admin
        .post_json("/cache/purge", &json!({"all": true}))
        .send();
    let call = gate.proxy.get("/").header("Cookie", &cookie);
    call.send().expect_refusal(401, "no_credential");
}

#[test]
fn without_cookies_every_request_takes_a_ticket_and_the_owner_is_remembered() {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    let gate = gate(&fake, &app, "{ cookie_lifetime: 0s }");
    for ticket in ["MQ==", "Mg==", "Mw=="] {
        fake.know_ticket(ticket, Ticket::Of(alice(), "bXV0dWFs"));
        let reply = negotiate(&gate, ticket).expect(200);
        assert_eq!(reply.header("set-cookie"), None);
    }
    assert_eq!((fake.negotiations(), fake.privilege_questions()), (3, 1));
}

#[test]
fn a_negotiation_goes_on_leg_by_leg() {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    fake.know_ticket("MQ==", Ticket::Unfinished("b25l"));
    fake.know_ticket("Mg==", Ticket::Of(alice(), "dHdv"));
    let gate = gate(&fake, &app, "{}");
    let first = negotiate(&gate, "MQ==").expect_refusal(401, "negotiation_unfinished");
    let challenges: Vec<_> = first.headers_named("www-authenticate").collect();
    assert_eq!(challenges, ["Negotiate b25l"]);
    let second = negotiate(&gate, "Mg==").expect(200);
    assert_eq!(second.header("www-authenticate"), Some("Negotiate dHdv"));
}

/// A realm `TEST.LOCAL` with `alice` and `bob`, and a keytab for `HTTP/localhost`.
pub(crate) struct Kdc {
    pub(crate) folder: TempDir,
    _process: Process,
}

impl Kdc {
    pub(crate) fn start() -> Option<Self> {
        for program in ["krb5kdc", "kdb5_util", "kadmin.local", "kinit", "curl"] {
            tools::find(program, "a real KDC")?;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let d = folder.path().display();
        fs::write(
            folder.path().join("krb5.conf"),
            format!(
                "[libdefaults]
 default_realm = TEST.LOCAL
 dns_lookup_realm = false
 dns_lookup_kdc = false
 rdns = false
 dns_canonicalize_hostname = false
 udp_preference_limit = 1
 qualify_shortname = \"\"
[realms]
 TEST.LOCAL = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = TEST.LOCAL
"
            ),
        )
        .unwrap();
        fs::write(
            folder.path().join("kdc.conf"),
            format!(
                "[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 TEST.LOCAL = {{
  database_name = {d}/principal
  key_stash_file = {d}/stash
  acl_file = {d}/acl
 }}
[logging]
 kdc = FILE:{d}/kdc.log
 default = FILE:{d}/library.log
"
            ),
        )
        .unwrap();
        let run = |program: &str, args: &[&str]| {
            let program = tools::find(program, "a real KDC").expect("found before");
            let ended = end_of(environment(Command::new(program).args(args), folder.path()));
            assert_eq!(ended.code, 0, "{ended:?}");
        };
        run(
            "kdb5_util",
            &["create", "-s", "-r", "TEST.LOCAL", "-P", "master"],
        );
        for query in [
            "addprinc -pw alicepass alice",
            "addprinc -pw bobpass bob",
            "addprinc -randkey HTTP/localhost",
            &format!("ktadd -k {d}/http.keytab HTTP/localhost"),
        ] {
            run("kadmin.local", &["-r", "TEST.LOCAL", "-q", query]);
        }
        let kdc = tools::find("krb5kdc", "a real KDC").expect("found before");
        let pid = folder.path().join("kdc.pid");
        let process = Process::spawn(environment(
            Command::new(kdc)
                .args(["-n", "-r", "TEST.LOCAL", "-P"])
                .arg(pid),
            folder.path(),
        ));
        assert!(
            eventually(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()),
            "the KDC does not listen\n{}",
            process.output()
        );
        Some(Self {
            folder,
            _process: process,
        })
    }

    pub(crate) fn keytab(&self) -> PathBuf {
        self.folder.path().join("http.keytab")
    }

    /// Runs a script with a ticket of `alice`.
    pub(crate) fn as_alice(&self, script: &str) -> String {
        let script = format!("set -eu\necho alicepass | kinit alice >/dev/null\n{script}");
        let ended = end_of(environment(
            Command::new("sh").arg("-c").arg(script),
            self.folder.path(),
        ));
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stdout
    }
}

fn environment<'c>(command: &'c mut Command, folder: &Path) -> &'c mut Command {
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("KRB5_CONFIG", folder.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", folder.join("kdc.conf"))
        .env("KRB5CCNAME", format!("FILE:{}/ccache", folder.display()))
}

#[test]
fn curl_with_a_real_ticket_is_let_in_by_the_embedded_authority() {
    let Some(kdc) = Kdc::start() else { return };
    let app = Server::echoing();
    let keytab = kdc.keytab();
    let gate = Plan::with_authority(&format!(
        "embedded: {{ address: \"127.0.0.1:0\", superuser_password: elastic-password, realms: {{ kerberos: {{ kerb1: {{ order: 5, keytab: {{ path: {} }} }} }} }} }}",
        keytab.display()
    ))
    .upstream("app", &app)
    .route(
        "all",
        "/**",
        "require: { cluster: [monitor] }, forward: { identity_headers: {} }",
    )
    .and("credentials: { kerberos: {} }")
    .environment("KRB5RCACHENAME", &format!("file2:{}/rcache", kdc.folder.path().display()))
    .environment("KRB5_CONFIG", &kdc.folder.path().join("krb5.conf").display().to_string())
    .start();
    let port = gate.proxy.address.port();
    let curl = format!("curl -sS --negotiate -u : -D - -o /dev/null http://localhost:{port}/");

    // Known, but without a role.
    let told = kdc.as_alice(&curl);
    assert!(told.contains("403"), "{told}");
    let authority = gate.authority.as_ref().unwrap();
    let elastic = basic("elastic", "elastic-password");
    for (path, body) in [
        ("/_security/role/watcher", json!({"cluster": ["monitor"]})),
        (
            "/_security/role_mapping/kerberos",
            json!({"enabled": true, "roles": ["watcher"], "rules": {"field": {"realm.name": "kerb1"}}}),
        ),
    ] {
        authority
            .put_json(path, &body)
            .authorization(&elastic)
            .send()
            .expect(200);
    }
    gate.admin
        .post_json("/cache/purge", &json!({"all": true}))
        .send();
    let told = kdc.as_alice(&curl);
    assert!(told.contains("200"), "{told}\n{}", gate.process.output());
    assert!(
        told.to_ascii_lowercase()
            .contains("www-authenticate: negotiate "),
        "{told}"
    );
    let request = app.only_request();
    assert_eq!(request.header("x-forwarded-user"), Some("alice@TEST.LOCAL"));
    assert_eq!(request.header("x-forwarded-roles"), Some("watcher"));
    let cookie = told
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|line| line.split(';').next())
        .expect("a cookie");
    gate.proxy
        .get("/")
        .header("Cookie", cookie)
        .send()
        .expect(200);
    // Garbage is refused, and nobody falls over it.
    negotiate(&gate, "YII=").expect_refusal(401, "unauthenticated");
}

#[test]
fn a_kerberos_realm_without_its_keytab_says_so_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let app = Server::echoing();
    let plan = Plan::with_authority(
        "embedded: { superuser_password: x, realms: { kerberos: { kerb1: { order: 5, keytab: { path: /nonexistent/keytab } } } } }",
    )
    .upstream("app", &app)
    .route("all", "/**", "allow: authenticated");
    let config = plan.write(folder.path());
    let ended = crate::harness::process::run_to_end(&[
        "run".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
    ]);
    assert_ne!(ended.code, 0);
    assert!(
        ended.stderr.contains("/nonexistent/keytab"),
        "{}",
        ended.stderr
    );
}
