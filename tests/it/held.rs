//! Tokens that stand for a certificate or a ticket: taken back when they are held no more.

use serde_json::json;

use crate::harness::client::{Reply, Target};
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Ticket};
use crate::harness::pki::{Authority, Client};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

struct Site {
    fake: FakeElasticsearch,
    app: Server,
    robot: Client,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let (ca, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        ca.write_ca(folder.path());
        let site = Self {
            fake: FakeElasticsearch::with_own(),
            app: Server::echoing(),
            robot: Client::of(&ca, "robot", |_| {}),
            folder,
        };
        let who = |name: &str| Account::new(name, &["machine"], &[]);
        site.fake
            .know_certificate(&site.robot.chain[0], who("robot"));
        for ticket in ["MQ==", "Mg==", "Mw=="] {
            site.fake
                .know_ticket(ticket, Ticket::Of(who("kerb"), "bXV0dWFs"));
        }
        site
    }

    fn plan(&self, kerberos: &str) -> Plan {
        let ca = self.folder.path().join("ca.pem");
        Plan::with_authority(&self.fake.yaml_with_own())
            .upstream("app", &self.app)
            .route("all", "/**", "allow: authenticated, forward: { token: {} }")
            .clients(&format!("{{ mode: optional, ca: {} }}", ca.display()))
            .and(&format!("credentials: {{ kerberos: {kerberos} }}"))
    }

    /// Comes once with the certificate; returns the token that the upstream got.
    fn certificate(&self, gate: &Running) -> String {
        let (config, _) = self.robot.config(&gate.folder.path().join("ca.pem"));
        let target = Target::https(&gate.proxy.address.to_string(), config);
        target.get("/").send().expect(200);
        self.given()
    }

    fn ticket(&self, gate: &Running, ticket: &str) -> (Reply, String) {
        let call = gate.proxy.get("/");
        let reply = call.authorization(&format!("Negotiate {ticket}")).send();
        (reply.expect(200), self.given())
    }

    fn given(&self) -> String {
        let requests = self.app.requests();
        let given = requests.last().unwrap().header("authorization").unwrap();
        given.strip_prefix("Bearer ").unwrap().to_owned()
    }
}

#[test]
fn a_purge_takes_them_back_before_it_is_answered() {
    let site = Site::new();
    let gate = site.plan("{}").start();
    let made = [site.certificate(&gate), site.ticket(&gate, "MQ==").1];
    assert_eq!(site.fake.taken_back(), Vec::<String>::new());
    gate.admin
        .post_json("/cache/purge", &json!({"user": "robot"}))
        .send()
        .expect(200);
    // Whosever they are: a token carries the roles of its moment.
    let mut taken_back = site.fake.taken_back();
    taken_back.sort();
    assert_eq!(taken_back, made);
    let labels = ["kind=\"held\"", "outcome=\"invalidated\""];
    assert_eq!(gate.metric("sidegate_exchanges_total", &labels), 2.0);
    assert_ne!(site.certificate(&gate), made[0]);
}

#[test]
fn a_reload_takes_them_back_and_so_does_a_drain() {
    let site = Site::new();
    let plan = site.plan("{}");
    let mut gate = plan.start();
    let first = site.certificate(&gate);
    plan.and("cache: { ttl: 59s }")
        .write_without_keys(gate.folder.path());
    gate.wait_for_reload("applied");
    site.fake.wait_until_taken_back(&first);
    let second = site.certificate(&gate);
    let (_, third) = site.ticket(&gate, "MQ==");
    gate.process.signal("TERM");
    assert!(gate.process.wait().success());
    let mut taken_back = site.fake.taken_back();
    taken_back.sort();
    assert_eq!(taken_back, [first, second, third]);
}

#[test]
fn a_ticket_without_a_cookie_leaves_no_token_behind() {
    let site = Site::new();
    let mut gate = site.plan("{ cookie_lifetime: 0s }").start();
    let made: Vec<_> = ["MQ==", "Mg==", "Mw=="]
        .map(|ticket| site.ticket(&gate, ticket).1)
        .into();
    assert_eq!(
        gate.metric("sidegate_exchange_leases", &["kind=\"held\""]),
        3.0
    );
    gate.process.signal("TERM");
    assert!(gate.process.wait().success());
    let mut taken_back = site.fake.taken_back();
    taken_back.sort();
    assert_eq!(taken_back, made);
}

#[test]
fn room_for_few_takes_the_least_used_back() {
    let site = Site::new();
    let mut gate = site.plan("{}").and("cache: { max_entries: 1 }").start();
    for ticket in ["MQ==", "Mg==", "Mw=="] {
        site.ticket(&gate, ticket);
    }
    gate.process.signal("TERM");
    assert!(gate.process.wait().success());
    assert_eq!(site.fake.taken_back().len(), 3, "each once");
}
