//! A protected application with single sign-on: Sidegate over HTTPS with its embedded authority, some people, and an
//! application that shows who it was told is there.

use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::harness::client::{Reply, basic};
use crate::harness::page::Page;
use crate::harness::person::{Person, Tab};
use crate::harness::pki::trust;
use crate::harness::plan::{Plan, Running};
use crate::harness::ports::free_port;
use crate::harness::server::{Answer, Recorded, Server};

/// The password of the superuser `elastic`.
pub(super) const SUPERUSER: &str = "elastic-password";

/// Native users, each with the password `NAME-password`, and their roles.
const PEOPLE: [(&str, &[&str]); 4] = [
    ("alice", &["shopper"]),
    ("bob", &["shopper"]),
    ("carla", &["shopper", "keeper"]),
    ("nobody", &[]),
];

/// A house in the making.
#[derive(Clone)]
pub(super) struct Sketch {
    pub(super) port: u16,
    /// Whether somebody else terminates TLS at that port.
    behind: bool,
    host: String,
    providers: Vec<String>,
    sso: Vec<String>,
    realms: String,
    authority: Option<String>,
    plan: Vec<String>,
    clients: Option<String>,
    listener: Vec<String>,
    environment: Vec<(String, String)>,
    recheck: &'static str,
}

impl Sketch {
    /// Without a way to log in yet.
    pub(super) fn new() -> Self {
        Self {
            port: free_port(),
            behind: false,
            host: "localhost".to_owned(),
            providers: Vec::new(),
            sso: Vec::new(),
            realms: String::new(),
            authority: None,
            plan: Vec::new(),
            clients: None,
            listener: Vec::new(),
            environment: Vec::new(),
            recheck: "30s",
        }
    }

    /// How often what lasts is looked at again.
    pub(super) fn recheck(mut self, interval: &'static str) -> Self {
        self.recheck = interval;
        self
    }

    /// A form for user name and password, named `basic`.
    pub(super) fn passwords(self) -> Self {
        self.provider("{ name: basic, login: password }")
    }

    /// One more way to log in, in flow form.
    pub(super) fn provider(mut self, yaml: &str) -> Self {
        self.providers.push(format!("    - {yaml}\n"));
        self
    }

    /// One more key below `sso`.
    pub(super) fn sso(mut self, yaml: &str) -> Self {
        self.sso.push(format!("  {yaml}\n"));
        self
    }

    /// Realms of the embedded authority, in flow form without the braces.
    pub(super) fn realms(mut self, yaml: &str) -> Self {
        if !self.realms.is_empty() {
            self.realms.push_str(", ");
        }
        self.realms.push_str(yaml);
        self
    }

    /// Another authority than the embedded one: what stands under `authority:`.
    pub(super) fn authority(mut self, yaml: &str) -> Self {
        self.authority = Some(yaml.to_owned());
        self
    }

    /// More top-level keys.
    pub(super) fn and(mut self, yaml: &str) -> Self {
        self.plan.push(yaml.to_owned());
        self
    }

    /// Client certificates on the listener, in flow form.
    pub(super) fn clients(mut self, yaml: &str) -> Self {
        self.clients = Some(yaml.to_owned());
        self
    }

    /// A variable of the process's environment.
    pub(super) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Found by browsers under another name.
    pub(super) fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Plain HTTP on a port of its own, behind somebody who terminates TLS at the public one.
    pub(super) fn behind(mut self) -> Self {
        self.behind = true;
        self
    }

    /// `https://localhost:PORT`.
    pub(super) fn url(&self) -> String {
        format!("https://{}:{}", self.host, self.port)
    }

    /// The URL of a page of Sidegate's own.
    pub(super) fn own(&self, path: &str) -> String {
        format!("{}/_sidegate/{path}", self.url())
    }

    /// The file, with the application at this address.
    pub(super) fn plan(&self, app: &Server) -> Plan {
        let realms = if self.realms.is_empty() {
            String::new()
        } else {
            format!(", realms: {{ {} }}", self.realms)
        };
        let authority = self.authority.clone().unwrap_or_else(|| {
            format!(
                "embedded: {{ address: \"127.0.0.1:0\", superuser_password: {SUPERUSER}{realms} }}"
            )
        });
        let mut plan = Plan::with_authority(&authority);
        plan = if self.behind {
            plan.listener("trusted_proxies: [127.0.0.0/8]")
        } else {
            plan.port(self.port).tls()
        };
        plan = plan
            .upstream("app", app)
            .route("open", "/open/**", "allow: everyone")
            .route(
                "vault",
                "/vault/**",
                "require: { cluster: [manage] }, forward: { identity_headers: {} }",
            )
            .route(
                "all",
                "/**",
                &format!(
                    "allow: authenticated, websocket: true, recheck: {}, forward: {{ identity_headers: {{}} }}",
                    self.recheck
                ),
            )
            .and(&format!(
                "sso:\n  public_url: {}\n  providers:\n{}{}",
                self.url(),
                self.providers.concat(),
                self.sso.concat()
            ));
        if let Some(clients) = &self.clients {
            plan = plan.clients(clients);
        }
        for yaml in &self.listener {
            plan = plan.listener(yaml);
        }
        for yaml in &self.plan {
            plan = plan.and(yaml);
        }
        for (name, value) in &self.environment {
            plan = plan.environment(name, value);
        }
        plan
    }

    /// Builds it, with people in it.
    pub(super) fn build(&self) -> House {
        self.build_before(app())
    }

    /// The same in front of another application.
    pub(super) fn build_before(&self, app: Server) -> House {
        let gate = self.plan(&app).start();
        if let Some(authority) = &gate.authority {
            populate(&|path, body| {
                let call = authority.put_json(path, body);
                call.authorization(&superuser()).send().expect(200).json()
            });
        }
        House {
            tls: trust(&gate.folder.path().join("ca.pem")),
            url: self.url(),
            gate,
            app,
        }
    }
}

/// `Authorization` of the superuser.
pub(super) fn superuser() -> String {
    basic("elastic", SUPERUSER)
}

/// Roles and people, told to an authority by `PUT`. Everybody from an identity provider is a shopper.
pub(super) fn populate(put: &dyn Fn(&str, &Value) -> Value) {
    put("/_security/role/shopper", &json!({"cluster": ["monitor"]}));
    put("/_security/role/keeper", &json!({"cluster": ["all"]}));
    for (name, roles) in PEOPLE {
        let body = json!({"password": format!("{name}-password"), "roles": roles});
        put(&format!("/_security/user/{name}"), &body);
    }
    put(
        "/_security/role_mapping/people",
        &json!({
            "enabled": true,
            "roles": ["shopper"],
            "rules": {"field": {"realm.name": ["oidc1", "saml1", "pki1", "kerb1"]}},
        }),
    );
}

/// Shows who is there, and what was asked for; `/refuses` is refused by the application itself.
pub(super) fn app() -> Server {
    Server::start(page)
}

/// A page of the application.
pub(super) fn page(request: &Recorded) -> Answer {
    let who = request.header("x-forwarded-user").unwrap_or("nobody known");
    let status = if request.target.starts_with("/refuses") {
        401
    } else {
        200
    };
    let script = if request.target.starts_with("/scripted") {
        "<script type=module src=/_sidegate/assets/session.js></script>"
    } else {
        ""
    };
    let page = format!(
        "<!doctype html><html lang=en><title>app</title>{script}<body data-user=\"{who}\"><h1>app</h1>\
             <p>Hello {who}</p><p id=asked>{} {}</p><p id=body>{}</p></body></html>",
        request.method,
        request.target.replace('&', "&amp;").replace('<', "&lt;"),
        String::from_utf8_lossy(&request.body).replace('<', "&lt;")
    );
    Answer::Reply(
        status,
        vec![("content-type", "text/html".to_owned())],
        page.into_bytes(),
    )
}

/// A house that stands.
pub(super) struct House {
    pub(super) gate: Running,
    pub(super) app: Server,
    pub(super) url: String,
    pub(super) tls: Arc<ClientConfig>,
}

impl House {
    /// Somebody with a fresh browser.
    pub(super) fn person(&self) -> Person {
        Person::new(&self.tls)
    }

    /// Somebody who comes from another house at the same address with everything they had.
    pub(super) fn person_with(&self, former: &Person) -> Person {
        let person = self.person();
        person.jar().clone_from(&former.jar());
        person
    }

    /// The URL of a page of the application.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The URL of a page of Sidegate's own.
    pub(super) fn own(&self, path: &str) -> String {
        format!("{}/_sidegate/{path}", self.url)
    }

    /// Logs a native user in through the form, from the front page.
    #[track_caller]
    pub(super) fn log_in(&self, person: &Person, name: &str) -> Tab {
        let mut tab = person.tab();
        tab.open(&self.at("/"));
        let password = format!("{name}-password");
        let page = tab.submit(&[("username", name), ("password", &password)]);
        assert_eq!(here(&page), Some(name.to_owned()), "{}", page.story());
        tab
    }

    /// One more tab of somebody who is logged in.
    pub(super) fn log_in_again(&self, person: &Person) -> Tab {
        let mut tab = person.tab();
        let page = tab.open(&self.at("/"));
        assert!(here(&page).is_some(), "{}", page.story());
        tab
    }

    /// Ends all sessions of a user, as an administrator does.
    pub(super) fn end_sessions(&self, name: &str) {
        let path = format!("/sessions?user={name}");
        self.gate.admin.call("DELETE", &path).send().expect(200);
    }

    /// Calls the authority as its superuser.
    pub(super) fn put(&self, path: &str, body: &Value) -> Value {
        let authority = self.gate.authority.as_ref().expect("an embedded authority");
        let call = authority.put_json(path, body).authorization(&superuser());
        call.send().expect(200).json()
    }

    /// Waits for a line of the log that holds all of these.
    #[track_caller]
    pub(super) fn logged(&self, parts: &[&str]) -> String {
        let wanted = |line: &str| parts.iter().all(|part| line.contains(part));
        let line = self.gate.process.stderr.find(wanted);
        line.unwrap_or_else(|| panic!("no line with {parts:?} in the log"))
    }

    /// Fails unless nobody is logged in with this browser, asked in the way that an API client asks.
    #[track_caller]
    pub(super) fn is_stranger(&self, person: &Person) {
        let reply = self.ask(person);
        assert_eq!(reply.status, 401, "{:?} {}", reply.headers, reply.text());
    }

    /// What the application's API answers a script in this browser.
    pub(super) fn ask(&self, person: &Person) -> Reply {
        person.tab().fetch("GET", &self.at("/api"), &[])
    }
}

/// Who the application says is there; `None` when the page is not the application's.
pub(super) fn here(page: &Page) -> Option<String> {
    page.attribute("data-user")
}

/// Fails unless the page is the application's, seen by this person.
#[track_caller]
pub(super) fn is_here(page: &Page, name: &str) {
    assert_eq!(page.status(), 200, "{}", page.story());
    assert_eq!(here(page).as_deref(), Some(name), "{}", page.story());
}
