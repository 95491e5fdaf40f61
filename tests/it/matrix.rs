//! Every way in × every way out: what an upstream gets of each, and that it gets nothing else of anybody.
//!
//! One more way in is a line of [`ways_in`], one more way out a line of [`WAYS_OUT`] and an arm of [`expected`].

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use serde_json::json;

use crate::harness::client::{Reply, Target, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch, OWN, Ticket};
use crate::harness::pki::{Authority, Client};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Recorded, Server};

/// Ways out, as written under `forward:`.
const WAYS_OUT: [(Out, &str); 14] = [
    (Out::Nothing, "none"),
    (Out::Nothing, "{ identity_headers: {} }"),
    (Out::Nothing, "{ assertion: {} }"),
    (Out::Passthrough, "passthrough"),
    (
        Out::Passthrough,
        "{ passthrough: true, assertion: {}, identity_headers: {} }",
    ),
    (Out::Token, "{ token: {} }"),
    (Out::Token, "{ token: {}, identity_headers: {} }"),
    (Out::Token, "{ elasticsearch: {}, token: {} }"),
    (Out::ApiKey, "{ api_key: { role_descriptors: {} } }"),
    (
        Out::ApiKey,
        "{ elasticsearch: {}, api_key: { role_descriptors: {} }, assertion: {}, identity_headers: {} }",
    ),
    (Out::Elasticsearch, "{ elasticsearch: {} }"),
    (Out::RunAs, "{ elasticsearch: { run_as: true } }"),
    (
        Out::Beside,
        "{ elasticsearch: { secondary_authorization: true } }",
    ),
    (
        Out::TokenBeside,
        "{ elasticsearch: { secondary_authorization: true }, token: {} }",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    Nothing,
    Passthrough,
    Token,
    ApiKey,
    Elasticsearch,
    RunAs,
    Beside,
    TokenBeside,
}

/// What was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    /// A password or an access token, in `Authorization`.
    Password,
    AccessToken,
    /// What can't be exchanged for a token: a JWT, a service account's token.
    Jwt,
    ServiceToken,
    ApiKey,
    /// An API key in the route's header or parameter.
    ApiKeyElsewhere,
    Certificate,
    Ticket,
    Cookie,
    RunAs,
    /// With `es-secondary-authorization`, which the route lets through.
    Secondary,
    /// Nothing, which stands for a fixed password, or for the authority's anonymous user.
    Fixed,
    Nobody,
}

/// What the upstream sees in `Authorization`, or beside Sidegate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sees {
    /// 403 `not_exchangeable`, and the upstream sees nothing at all.
    Refused,
    Nothing,
    /// The client's credential.
    Shown,
    /// A token: made for the client, or the one that a certificate or a ticket brought.
    Token,
    /// A key made for the client.
    Key,
    /// Sidegate's own, acting as the client.
    OwnActing,
}

fn expected(shown: In, out: Out) -> Sees {
    use In::{
        AccessToken, ApiKey, ApiKeyElsewhere, Certificate, Cookie, Fixed, Jwt, Nobody, Password,
        RunAs, Secondary, ServiceToken, Ticket,
    };
    match (out, shown) {
        (Out::Nothing, _) => Sees::Nothing,
        // What stands in `Authorization`, and nothing that stands elsewhere.
        (Out::Passthrough, ApiKeyElsewhere | Certificate | Cookie | Fixed | Nobody) => {
            Sees::Nothing
        }
        (Out::Passthrough, _) => Sees::Shown,
        (Out::Token | Out::TokenBeside, AccessToken) => Sees::Shown,
        (Out::Token | Out::TokenBeside, Password | Secondary | Fixed) => Sees::Token,
        (Out::Token | Out::TokenBeside, Certificate | Ticket | Cookie) => Sees::Token,
        (Out::Token | Out::TokenBeside, _) => Sees::Refused,
        (Out::ApiKey, ApiKey | ApiKeyElsewhere | Nobody) => Sees::Refused,
        (Out::ApiKey, _) => Sees::Key,
        (Out::Elasticsearch, Nobody) => Sees::Nothing,
        (Out::Elasticsearch | Out::Beside, Certificate | Ticket | Cookie) => Sees::Token,
        (Out::Beside, RunAs | Nobody) => Sees::Refused,
        (Out::Elasticsearch | Out::Beside, Jwt | ServiceToken | _) => Sees::Shown,
        // Its owner may do more than the key does.
        (Out::RunAs, ApiKey | ApiKeyElsewhere) => Sees::Refused,
        (Out::RunAs, _) => Sees::OwnActing,
    }
}

/// One way in.
struct WayIn {
    name: &'static str,
    shown: In,
    path: String,
    headers: Vec<(&'static str, String)>,
    /// Who it comes to.
    username: &'static str,
    /// The credential as the upstream may get it where it is passed on.
    passed: String,
    /// What must be nowhere else.
    canaries: Vec<String>,
}

fn way(name: &'static str, shown: In, authorization: &str, username: &'static str) -> WayIn {
    WayIn {
        name,
        shown,
        path: "/".to_owned(),
        headers: match authorization {
            "" => Vec::new(),
            value => vec![("Authorization", value.to_owned())],
        },
        username,
        passed: authorization.to_owned(),
        canaries: vec![
            authorization
                .split(' ')
                .next_back()
                .unwrap_or_default()
                .to_owned(),
        ],
    }
}

const JWT: &str = "eyJhbGciOiJub25lIn0.eyJjYW5hcnkiOiJqd3QifQ.canary-signature";
const HEADER_KEY: &str = "a2V5LWg6Y2FuYXJ5LWhlYWRlci1rZXk=";
const QUERY_KEY: &str = "a2V5LXE6Y2FuYXJ5LXF1ZXJ5LWtleQ==";
const PLAIN_KEY: &str = "a2V5LXA6Y2FuYXJ5LXBsYWluLWtleQ==";

/// Every way in but certificates, which take a listener of their own each.
fn ways_in() -> Vec<WayIn> {
    let alice = basic("alice", "canary-password");
    let mut ways = vec![
        way("password", In::Password, &alice, "alice"),
        way(
            "access token",
            In::AccessToken,
            "Bearer canary-access",
            "tina",
        ),
        way("jwt", In::Jwt, &format!("Bearer {JWT}"), "jwt-user"),
        way(
            "service token",
            In::ServiceToken,
            "Bearer canary-service",
            "elastic/fleet-server",
        ),
        way(
            "api key",
            In::ApiKey,
            &format!("ApiKey {PLAIN_KEY}"),
            "key-owner",
        ),
        way("fixed", In::Fixed, "", "fixed"),
        way("nobody", In::Nobody, "", "_anonymous"),
    ];
    let key = |place: &'static str, key: &str| {
        let mut way = way(place, In::ApiKeyElsewhere, "", "key-owner");
        way.passed = format!("ApiKey {key}");
        way.canaries = vec![key.to_owned()];
        way
    };
    let mut in_header = key("api key in a header", HEADER_KEY);
    in_header.headers = vec![("X-Hook-Key", HEADER_KEY.to_owned())];
    let mut in_query = key("api key in the query", QUERY_KEY);
    in_query.path = format!("/?a=1&key={QUERY_KEY}");
    let mut run_as = way("run as", In::RunAs, &basic("alice", "canary-acting"), "bob");
    run_as
        .headers
        .push(("es-security-runas-user", "bob".to_owned()));
    let mut second = way(
        "secondary",
        In::Secondary,
        &basic("alice", "canary-first"),
        "alice",
    );
    second.path = "/second".to_owned();
    second.headers.push((
        "es-secondary-authorization",
        "Basic canary-second".to_owned(),
    ));
    second.canaries.push("canary-second".to_owned());
    ways.extend([in_header, in_query, run_as, second]);
    for way in &mut ways {
        match way.shown {
            In::Fixed => {
                way.path = "/fixed".to_owned();
                way.passed = basic("fixed", "canary-fixed");
                way.canaries = vec![way.passed["Basic ".len()..].to_owned()];
            }
            In::Nobody => {
                way.path = "/nobody".to_owned();
                way.canaries.clear();
            }
            _ => {}
        }
    }
    ways
}

/// An authority that knows everybody.
fn authority(robot: &Client) -> FakeElasticsearch {
    let fake = FakeElasticsearch::with_own();
    let who = |name: &str| Account::new(name, &["clerk"], &["*"]);
    let token = |name: &str| who(name).with("authentication_type", json!("token"));
    for way in ways_in() {
        let account = match way.shown {
            In::AccessToken => token(way.username),
            In::ServiceToken => token(way.username).with(
                "authentication_realm",
                json!({"name": "_service_account", "type": "_service_account"}),
            ),
            In::ApiKey | In::ApiKeyElsewhere => who(way.username)
                .with("authentication_type", json!("api_key"))
                .with("api_key", json!({"id": "k", "name": "k"})),
            In::RunAs => {
                fake.know(&format!("{} as bob", way.passed), who("bob"));
                who("alice")
            }
            _ => who(way.username),
        };
        fake.know(&way.passed, account);
    }
    fake.know(
        "",
        who("_anonymous").with("authentication_type", json!("anonymous")),
    );
    fake.know_certificate(&robot.chain[0], who("robot"));
    fake.know_ticket(TICKET, Ticket::Of(who("kerb"), "bXV0dWFs"));
    fake
}

const TICKET: &str = "dGlja2V0LWNhbmFyeQ==";

/// One gate for each place that a certificate can come from; the first takes all the rest as well.
struct Gates {
    tls: Running,
    rfc9440: Running,
    envoy: Running,
}

struct Bench {
    fake: FakeElasticsearch,
    app: Server,
    folder: tempfile::TempDir,
    robot: Client,
}

impl Bench {
    fn new() -> Self {
        let (ca, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        ca.write_ca(folder.path());
        let signing = rcgen::KeyPair::generate().unwrap();
        fs::write(folder.path().join("sign.pem"), signing.serialize_pem()).unwrap();
        let robot = Client::of(&ca, "robot", |_| {});
        Self {
            fake: authority(&robot),
            app: Server::echoing(),
            folder,
            robot,
        }
    }

    fn plan(&self, forward: &str) -> Plan {
        let path = self.folder.path().display();
        let route = |credentials: &str| {
            format!("allow: authenticated, forward: {forward}, credentials: {{ {credentials} }}")
        };
        let fixed = "anonymous: { basic: { username: fixed, password: canary-fixed } }";
        let mut plan = Plan::with_authority(&self.fake.yaml_with_own())
            .upstream("app", &self.app)
            .route("fixed", "/fixed", &route(fixed))
            .route("nobody", "/nobody", &route("anonymous: authority"));
        if !forward.contains("secondary") {
            plan = plan.route("second", "/second", &route("secondary_authorization: true"));
        }
        plan.route(
            "all",
            "/**",
            &route("run_as: true, api_key: { header: X-Hook-Key, query_parameter: key }"),
        )
        .and("credentials: { kerberos: {}, jwt: { client_authentication: shared-canary } }")
        .and(&format!(
            "assertion: {{ keys: [{{ key: {path}/sign.pem }}] }}"
        ))
        .environment("RUST_LOG", "trace")
    }

    fn gates(&self, forward: &str) -> Gates {
        let ca = self.folder.path().join("ca.pem");
        let told = |header: &str| {
            self.plan(forward)
                .listener("trusted_proxies: [127.0.0.0/8]")
                .listener(&format!("forwarded_client_certificates: {header}"))
                .start()
        };
        Gates {
            tls: self
                .plan(forward)
                .clients(&format!("{{ mode: optional, ca: {} }}", ca.display()))
                .start(),
            rfc9440: told("client_cert"),
            envoy: told("x_forwarded_client_cert"),
        }
    }

    /// Sends one way in, and judges what came of it.
    fn go(&self, target: &Target, way: &WayIn, out: Out, forward: &str) -> Reply {
        let before = self.app.requests().len();
        let call = way
            .headers
            .iter()
            .fold(target.get(&way.path), |call, (name, value)| {
                call.header(name, value)
            });
        let reply = call.send();
        let told = format!(
            "{} → {forward}: {} {}",
            way.name,
            reply.status,
            reply.text()
        );
        let arrived = self.app.requests().split_off(before);
        let sees = expected(way.shown, out);
        if sees == Sees::Refused {
            assert_eq!(
                (reply.status, reply.refusal()),
                (403, Some("not_exchangeable")),
                "{told}"
            );
            assert!(arrived.is_empty(), "{told}");
            return reply;
        }
        assert_eq!((reply.status, arrived.len()), (200, 1), "{told}");
        self.judge(&arrived[0], way, (out, sees), &told);
        reply
    }

    fn judge(&self, seen: &Recorded, way: &WayIn, (out, sees): (Out, Sees), told: &str) {
        let all = |name| seen.headers_named(name).collect::<Vec<_>>().join("|");
        let (first, second) = (all("authorization"), all("es-secondary-authorization"));
        let beside = matches!(out, Out::Beside | Out::TokenBeside);
        let given = if beside {
            assert_eq!(first, OWN, "{told}");
            &second
        } else {
            let let_through = way.shown == In::Secondary && out != Out::Beside;
            assert_eq!(
                second,
                if let_through {
                    "Basic canary-second"
                } else {
                    ""
                },
                "{told}"
            );
            &first
        };
        match sees {
            Sees::Refused => {}
            Sees::Nothing => assert_eq!(given, "", "{told}"),
            Sees::Shown => assert_eq!(*given, way.passed, "{told}"),
            Sees::Token => assert!(given.starts_with("Bearer token-canary-"), "{told}: {given}"),
            Sees::Key => assert!(is_made_key(given), "{told}: {given}"),
            Sees::OwnActing => assert_eq!(given, OWN, "{told}"),
        }
        let acts_as = match (sees, out, way.shown) {
            (Sees::OwnActing, ..) => way.username,
            (_, Out::Passthrough | Out::Elasticsearch, In::RunAs) => "bob",
            _ => "",
        };
        assert_eq!(all("es-security-runas-user"), acts_as, "{told}");
        if let Some(user) = seen.header("x-forwarded-user") {
            assert_eq!(user, way.username, "{told}");
        }
        // Elasticsearch's JWT realm wants its secret beside a token that is passed on.
        let with_jwt = way.shown == In::Jwt && sees == Sees::Shown;
        let secret = |name, wanted| {
            let wanted = if with_jwt && wanted {
                "SharedSecret shared-canary"
            } else {
                ""
            };
            assert_eq!(all(name), wanted, "{told}: {name}");
        };
        secret("es-client-authentication", out == Out::Elasticsearch);
        secret("es-secondary-x-client-authentication", out == Out::Beside);
        self.judge_the_rest(seen, way, told);
    }

    /// Nothing of any credential stands anywhere but in the two headers that were judged.
    fn judge_the_rest(&self, seen: &Recorded, way: &WayIn, told: &str) {
        let rest: Vec<_> = seen
            .headers
            .iter()
            .filter(|(name, _)| !JUDGED.contains(&name.to_ascii_lowercase().as_str()))
            .collect();
        let rest = format!(
            "{} {rest:?} {}",
            seen.target,
            String::from_utf8_lossy(&seen.body)
        );
        for canary in way.canaries.iter().chain(&self.secrets()) {
            assert!(
                !rest.contains(canary.as_str()),
                "{told}: {canary} in {rest}"
            );
        }
        let rest = rest.to_ascii_lowercase();
        for name in [
            "x-hook-key",
            "key=",
            "client-cert",
            "client-authentication",
            "sidegate-kerberos",
        ] {
            assert!(!rest.contains(name), "{told}: {name} in {rest}");
        }
    }

    /// Everything that is nobody's business.
    fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = ways_in()
            .into_iter()
            .flat_map(|way| way.canaries)
            .chain(
                [
                    "token-canary-",
                    "refresh-canary-",
                    "key-canary-",
                    "shared-canary",
                    "ticket-canary",
                    TICKET,
                    &OWN["ApiKey ".len()..],
                    "canary-password",
                    "canary-acting",
                    "canary-fixed",
                    "canary-first",
                    "canary-header-key",
                    "canary-query-key",
                    "canary-plain-key",
                ]
                .map(str::to_owned),
            )
            .collect();
        secrets.push(STANDARD.encode(&self.robot.chain[0]));
        let made = (1..=20).map(|at| STANDARD.encode(format!("key-{at}:key-canary-{at}")));
        secrets.extend(made);
        secrets
    }
}

/// Headers that were judged one by one.
const JUDGED: [&str; 4] = [
    "authorization",
    "es-secondary-authorization",
    "es-client-authentication",
    "es-secondary-x-client-authentication",
];

/// `ApiKey` with what the authority gives.
fn is_made_key(given: &str) -> bool {
    let decoded = given
        .strip_prefix("ApiKey ")
        .and_then(|key| STANDARD.decode(key).ok());
    decoded.is_some_and(|key| String::from_utf8_lossy(&key).contains(":key-canary-"))
}

fn certificate(name: &'static str, headers: Vec<(&'static str, String)>) -> WayIn {
    let mut way = way(name, In::Certificate, "", "robot");
    way.headers = headers;
    way.canaries.clear();
    way
}

/// Every way in through the gates of one way out; returns all that clients were told.
fn cross(bench: &Bench, gates: &Gates, out: Out, forward: &str) -> String {
    let mut told = String::new();
    let mut go = |target: &Target, way: &WayIn| {
        let reply = bench.go(target, way, out, forward);
        // What a browser keeps is meant for it.
        for (name, value) in reply
            .headers
            .iter()
            .filter(|(name, _)| name != "set-cookie")
        {
            told.push_str(&format!("{name}: {value}\n"));
        }
        told.push_str(&reply.text());
        reply
    };
    let leaf = STANDARD.encode(&bench.robot.chain[0]);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{leaf}\n-----END CERTIFICATE-----\n");
    let escaped: String = pem.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (config, _): (Arc<ClientConfig>, _) =
        bench.robot.config(&gates.tls.folder.path().join("ca.pem"));
    let with = Target::https(&gates.tls.proxy.address.to_string(), config);
    go(&with, &certificate("certificate by TLS", Vec::new()));
    let rfc9440 = vec![("Client-Cert", format!(":{leaf}:"))];
    go(&gates.rfc9440.proxy, &certificate("RFC 9440", rfc9440));
    let envoy = vec![("X-Forwarded-Client-Cert", format!("Cert=\"{escaped}\""))];
    go(&gates.envoy.proxy, &certificate("Envoy", envoy));
    for way in ways_in() {
        if way.shown == In::Secondary && forward.contains("secondary") {
            continue;
        }
        go(&gates.tls.proxy, &way);
    }
    let ticket = way("ticket", In::Ticket, &format!("Negotiate {TICKET}"), "kerb");
    let reply = go(&gates.tls.proxy, &ticket);
    let cookie = reply
        .header("set-cookie")
        .and_then(|line| line.split(';').next());
    if let Some(cookie) = cookie {
        let mut way = way("cookie", In::Cookie, "", "kerb");
        way.headers = vec![("Cookie", cookie.to_owned())];
        way.canaries = vec![cookie.split('=').nth(1).unwrap_or_default().to_owned()];
        go(&gates.tls.proxy, &way);
    } else {
        assert_eq!(
            expected(In::Ticket, out),
            Sees::Refused,
            "{forward}: no cookie"
        );
    }
    told
}

#[test]
fn every_way_in_comes_out_of_every_way_out_as_it_should_and_nothing_else_does() {
    std::thread::scope(|scope| {
        for half in [0, 1] {
            scope.spawn(move || {
                for (out, forward) in WAYS_OUT.iter().skip(half).step_by(2) {
                    one_way_out(*out, forward);
                }
            });
        }
    });
}

fn one_way_out(out: Out, forward: &str) {
    let bench = Bench::new();
    let gates = bench.gates(forward);
    let mut told = cross(&bench, &gates, out, forward);
    for mut gate in [gates.tls, gates.rfc9440, gates.envoy] {
        for page in ["/metrics", "/cache", "/routes"] {
            told.push_str(&gate.admin.get(page).send().text());
        }
        gate.process.signal("TERM");
        assert!(gate.process.wait().success());
        told.push_str(&gate.process.output());
    }
    for secret in bench.secrets() {
        for line in told.lines() {
            assert!(!line.contains(&secret), "{forward}: {secret} in {line}");
        }
    }
    // And what was made or held is good for nothing any more.
    let taken_back = bench.fake.taken_back();
    for made in bench.fake.made() {
        assert!(
            taken_back.contains(&made),
            "{forward}: {made} is still good"
        );
    }
}
