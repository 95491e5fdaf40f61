//! Single sign-on with the embedded authority: a form, a session, and an application that knows nothing of logins.

use crate::harness::client::{Call, Reply};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Answer, Server};

const PASSWORD: &str = "correct horse";

fn gate(app: &Server) -> Running {
    Plan::with_authority("embedded: { superuser_password: '${ELASTIC}' }")
        .environment("ELASTIC", PASSWORD)
        .tls()
        .upstream("app", app)
        .route("open", "/open", "allow: everyone")
        .route(
            "all",
            "/**",
            "allow: authenticated, forward: { identity_headers: {} }",
        )
        .and("sso: { public_url: https://localhost, providers: [{ name: local, login: password }, { name: guest, in_selector: false, login: { anonymous: { basic: { username: elastic, password: '${ELASTIC}' } } } }] }")
        .start()
}

/// A browser, as far as cookies go.
#[derive(Default)]
struct Browser(Vec<(String, String)>);

impl Browser {
    fn take(&mut self, reply: &Reply) {
        for line in reply.headers_named("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            if !attributes.contains("Max-Age=0") {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn send(&mut self, call: Call<'_>) -> Reply {
        let line: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let call = if line.is_empty() {
            call
        } else {
            call.header("Cookie", &line.join("; "))
        };
        let reply = call.send();
        self.take(&reply);
        reply
    }

    fn open(&mut self, gate: &Running, path: &str) -> Reply {
        let call = gate.proxy.get(path);
        self.send(
            call.header("Sec-Fetch-Mode", "navigate")
                .header("Sec-Fetch-Site", "none"),
        )
    }

    fn log_in(&mut self, gate: &Running, next: &str) -> Reply {
        let page = self.open(gate, &format!("/_sidegate/login?next={next}"));
        assert_eq!(page.status, 200, "{}", page.text());
        let token = field(&page.text(), "token");
        let form = format!("username=elastic&password=correct+horse&next={next}&token={token}");
        let call = gate
            .proxy
            .post("/_sidegate/login/local", form)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Sec-Fetch-Site", "same-origin");
        self.send(call)
    }
}

fn field(page: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&mark)
        .unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn a_browser_is_sent_to_the_login_and_comes_back_to_its_page() {
    let app = Server::echoing();
    let gate = gate(&app);
    let mut browser = Browser::default();
    let sent = browser.open(&gate, "/orders?page=2");
    assert_eq!(sent.status, 302);
    assert_eq!(
        sent.header("location"),
        Some("/_sidegate/login?next=%2Forders%3Fpage%3D2")
    );
    let answer = browser.log_in(&gate, "%2Forders%3Fpage%3D2");
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("/orders?page=2")),
        "{}",
        answer.text()
    );
    let page = browser.open(&gate, "/orders?page=2");
    assert_eq!(page.status, 200, "{}", page.text());
    let forwarded = app.requests();
    let forwarded = forwarded.last().unwrap();
    assert_eq!(forwarded.header("x-forwarded-user"), Some("elastic"));
    assert!(
        forwarded.header("cookie").is_none(),
        "our cookies never reach an application"
    );
    assert!(forwarded.header("authorization").is_none());
    let told = browser.open(&gate, "/_sidegate/session").json();
    assert_eq!(told["username"], "elastic");
    let out = browser.open(&gate, "/_sidegate/logout");
    assert_eq!(out.header("location"), Some("/_sidegate/logged-out"));
    assert_eq!(browser.open(&gate, "/orders").status, 302);
}

#[test]
fn scripts_and_clients_get_their_401_with_the_way_to_the_login() {
    let app = Server::echoing();
    let gate = gate(&app);
    let reply = gate
        .proxy
        .get("/api")
        .header("Sec-Fetch-Mode", "cors")
        .send();
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json()["login"], "https://localhost/_sidegate/login");
    assert!(
        reply
            .headers_named("www-authenticate")
            .all(|line| !line.starts_with("Basic"))
    );
    let reply = gate.proxy.get("/api").send();
    assert!(
        reply
            .headers_named("www-authenticate")
            .any(|line| line.starts_with("Basic"))
    );
    gate.proxy
        .get("/api")
        .basic("elastic", PASSWORD)
        .send()
        .expect(200);
}

#[test]
fn nothing_below_the_prefix_reaches_an_application() {
    let app = Server::echoing();
    let gate = gate(&app);
    let mut browser = Browser::default();
    browser.log_in(&gate, "%2F");
    let before = app.requests().len();
    for path in [
        "/_sidegate/x",
        "/_sidegate",
        "/%5Fsidegate/login",
        "/x/../_sidegate/session",
        "/_sidegate/assets/nothing",
    ] {
        let reply = browser.open(&gate, path);
        assert!(reply.status != 502, "{path}");
    }
    assert_eq!(app.requests().len(), before);
}

#[test]
fn guests_come_in_as_one_user() {
    let app = Server::echoing();
    let gate = gate(&app);
    let mut browser = Browser::default();
    let answer = browser.open(&gate, "/_sidegate/login/guest?next=%2Fx");
    assert_eq!(answer.header("location"), Some("/x"));
    let page = browser.open(&gate, "/x");
    assert_eq!(page.status, 200, "{}", page.text());
    let forwarded = app.requests();
    assert_eq!(
        forwarded.last().unwrap().header("x-forwarded-user"),
        Some("elastic")
    );
}

#[test]
fn an_upstreams_401_logs_nobody_out_pain_10() {
    let app = Server::start(|_| Answer::Reply(401, Vec::new(), b"no".to_vec()));
    let gate = gate(&app);
    let mut browser = Browser::default();
    browser.log_in(&gate, "%2F");
    let reply = browser.open(&gate, "/x");
    assert_eq!(
        (reply.status, reply.header("x-sidegate-refusal")),
        (401, None)
    );
    assert_eq!(browser.open(&gate, "/_sidegate/session").status, 200);
}
