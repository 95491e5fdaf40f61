//! Tokens that stand for a certificate or a ticket: taken back when they are held no more.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::harness::client::{Reply, Target};
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Ticket};
use crate::harness::pki::{Authority, Client};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Answer, Server};

struct Site {
    fake: FakeElasticsearch,
    app: Server,
    robot: Client,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self::before(Server::echoing())
    }

    fn before(app: Server) -> Self {
        let (ca, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        ca.write_ca(folder.path());
        let site = Self {
            fake: FakeElasticsearch::with_own(),
            app,
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

    /// Like [`Site::new`], before an application that takes all tokens but those that were named to it.
    fn wary() -> (Self, Arc<Mutex<Vec<String>>>) {
        let refused = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&refused);
        let app = Server::start(move |request| {
            let shown = request.header("authorization").unwrap_or_default();
            let refused: &Vec<String> = &known.lock().unwrap();
            match refused.iter().any(|token| shown.ends_with(token.as_str())) {
                true => Answer::Reply(401, Vec::new(), Vec::new()),
                false => Answer::text("welcome"),
            }
        });
        (Self::before(app), refused)
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

#[test]
fn a_certificates_token_that_died_early_is_replaced_and_the_request_repeated_if_it_can_be() {
    let (site, refused) = Site::wary();
    let gate = site.plan("{}").start();
    let first = site.certificate(&gate);
    let (config, _) = site.robot.config(&gate.folder.path().join("ca.pem"));
    let target = Target::https(&gate.proxy.address.to_string(), config);
    // An upstream's own 401 to a token that is good is its own matter, and asked about once in a while only.
    refused.lock().unwrap().push(first.clone());
    for _ in 0..3 {
        target.get("/").send().expect(401);
    }
    assert_eq!((site.app.requests().len(), site.fake.delegations()), (4, 1));
    drop(gate);

    let (site, refused) = Site::wary();
    let gate = site.plan("{}").start();
    let first = site.certificate(&gate);
    refused.lock().unwrap().push(first.clone());
    site.fake.forget(&format!("Bearer {first}"));
    let (config, _) = site.robot.config(&gate.folder.path().join("ca.pem"));
    let target = Target::https(&gate.proxy.address.to_string(), config);
    target.post("/", "x").send().expect(401);
    assert_eq!(
        site.app.requests().len(),
        2,
        "what can't be repeated is not"
    );
    assert_eq!(target.get("/").send().expect(200).text(), "welcome");
    assert_eq!(site.app.requests().len(), 4);
    assert_ne!(site.given(), first);
    target.get("/").send().expect(200);
    assert_eq!((site.app.requests().len(), site.fake.delegations()), (5, 2));
}

#[test]
fn a_tickets_token_that_died_early_is_renewed_by_its_refresh_token_which_is_taken_back_in_the_end()
{
    let (site, refused) = Site::wary();
    let who = Account::new("kerb", &["machine"], &[]);
    for ticket in ["NA==", "NQ=="] {
        let kind = Ticket::Renewable(who.clone(), "bXV0dWFs");
        site.fake.know_ticket(ticket, kind);
    }
    let mut gate = site.plan("{}").start();
    let (reply, first) = site.ticket(&gate, "NA==");
    let cookie = reply.header("set-cookie").unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let ask = || gate.proxy.get("/").header("Cookie", &cookie).send();
    ask().expect(200);
    assert_eq!(site.given(), first);
    refused.lock().unwrap().push(first.clone());
    site.fake.forget(&format!("Bearer {first}"));
    assert_eq!(ask().expect(200).text(), "welcome");
    let second = site.given();
    assert_ne!(second, first);
    ask().expect(200);
    assert_eq!(site.given(), second, "it stands for the ticket from now on");
    assert_eq!(site.fake.negotiations(), 1);
    // One that nothing can be had for: who comes next has to prove themselves anew.
    let (reply, third) = site.ticket(&gate, "MQ==");
    let cookie = reply.header("set-cookie").unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    refused.lock().unwrap().push(third.clone());
    site.fake.forget(&format!("Bearer {third}"));
    let ask = || gate.proxy.get("/").header("Cookie", &cookie).send();
    ask().expect(401);
    let challenged = ask().expect(401);
    let mut challenges = challenged.headers_named("www-authenticate");
    assert!(challenges.any(|challenge| challenge == "Negotiate"));
    site.ticket(&gate, "NQ==");

    gate.process.signal("TERM");
    assert!(gate.process.wait().success());
    let taken_back = site.fake.taken_back();
    for number in [2, 4] {
        let refresh = format!("refresh-canary-{number}");
        assert!(taken_back.contains(&refresh), "{refresh}: {taken_back:?}");
    }
}
