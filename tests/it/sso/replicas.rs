//! Two replicas that share a Redis, behind an nginx that sends every request to either at random.

use std::thread;

use url::Url;

use super::house::{Sketch, app, is_here};
use super::oidc;
use super::registry::Registry;
use crate::harness::balancer::Balancer;
use crate::harness::client::{Reply, Target};
use crate::harness::eventually;
use crate::harness::jar::Sending;
use crate::harness::page::Page;
use crate::harness::person::Person;
use crate::harness::pki::{Authority, trust};
use crate::harness::plan::Running;
use crate::harness::redis::Redis;
use crate::harness::server::Server;

/// The whole set-up.
struct Site {
    url: String,
    front: Target,
    replicas: Vec<Option<Running>>,
    registry: Registry,
    redis: Redis,
    app: Server,
    _balancer: Balancer,
}

impl Site {
    fn start() -> Option<Self> {
        Self::start_with("realms: {}")
    }

    /// With this key of the authority.
    fn start_with(authority: &str) -> Option<Self> {
        Self::start_from(Sketch::new().passwords(), authority)
    }

    /// With these ways to log in.
    fn start_from(sketch: Sketch, authority: &str) -> Option<Self> {
        let redis = Redis::secured()?;
        let registry = Registry::start(authority);
        let app = app();
        let sketch = sketch.behind().authority(&registry.yaml()).sso(&format!(
            "session: {{ keys: [sso-key-one-sso-key-one-sso-key-1], store: {{ redis: {} }} }}",
            redis.yaml()
        ));
        let replicas: Vec<_> = (0..2).map(|_| Some(sketch.plan(&app).start())).collect();
        let addresses: Vec<_> = replicas
            .iter()
            .flatten()
            .map(|one| one.proxy.address)
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new();
        let tls = trust(&ca.write_ca(folder.path()));
        ca.write_leaf(folder.path(), "front", &["localhost"]);
        let balancer = Balancer::start(sketch.port, folder.path(), "front", &addresses)?;
        Some(Self {
            url: sketch.url(),
            front: Target::https(&format!("127.0.0.1:{}", sketch.port), tls),
            replicas,
            registry,
            redis,
            app,
            _balancer: balancer,
        })
    }

    fn person(&self) -> Person {
        Person::new(self.front.tls().expect("TLS in front"))
    }

    fn log_in(&self, person: &Person, name: &str) -> Page {
        let mut tab = person.tab();
        tab.open(&format!("{}/start", self.url));
        tab.submit(&[
            ("username", name),
            ("password", &format!("{name}-password")),
        ])
    }

    /// Asks one of the replicas, whatever the balancer would do, with the cookies in `line`.
    fn ask_one(&self, replica: usize, url: &Url, line: &str) -> Reply {
        let proxy = &self.replicas[replica].as_ref().expect("alive").proxy;
        let host = format!("localhost:{}", url.port().expect("a port"));
        let place = &url[url::Position::BeforePath..];
        let call = proxy.get(place).host(&host);
        call.header("X-Forwarded-Proto", "https")
            .header("Cookie", line)
            .header("Accept", "text/html")
            .send()
    }

    fn ask(&self, person: &Person) -> u16 {
        let tab = person.tab();
        tab.fetch("GET", &format!("{}/api", self.url), &[]).status
    }
}

#[test]
fn logins_finish_and_sessions_live_whichever_replica_is_asked_and_when_one_dies() {
    let Some(mut site) = Site::start() else {
        return;
    };
    let people: Vec<Person> = (0..6).map(|_| site.person()).collect();
    for person in &people {
        is_here(&site.log_in(person, "alice"), "alice");
        for _ in 0..4 {
            assert_eq!(site.ask(person), 200);
        }
    }
    // One more is at the form when a replica dies.
    let late = site.person();
    let mut tab = late.tab();
    tab.open(&format!("{}/late?x=1", site.url));
    site.replicas[0] = None;
    let page = tab.submit(&[("username", "bob"), ("password", "bob-password")]);
    is_here(&page, "bob");
    assert_eq!(page.place(), "/late?x=1");
    for person in people.iter().chain([&late]) {
        for _ in 0..3 {
            assert_eq!(site.ask(person), 200);
        }
    }
    assert!(site.app.requests().len() > 40);
}

#[test]
fn a_logout_at_one_replica_holds_at_the_other_within_seconds() {
    let Some(site) = Site::start() else { return };
    for _ in 0..2 {
        let person = site.person();
        site.log_in(&person, "alice");
        let thief = person.twin();
        for _ in 0..4 {
            assert_eq!(site.ask(&thief), 200);
        }
        person.tab().open(&format!("{}/_sidegate/logout", site.url));
        // What a replica has just read counts for two seconds.
        let holds = || (0..4).all(|_| site.ask(&thief) == 401);
        assert!(eventually(holds), "it never holds");
    }
}

#[test]
fn many_tabs_on_two_replicas_that_refresh_at_once_lose_nobody() {
    let Some(site) = Site::start_with("token_timeout: 1s") else {
        return;
    };
    let person = site.person();
    is_here(&site.log_in(&person, "alice"), "alice");
    // Tokens die every second, in the middle of whatever eight tabs do at either replica.
    let refreshed = |replica: &Running| {
        replica.metric("sidegate_session_renewals_total", &["result=\"renewed\""])
    };
    let mut rounds = 0;
    while site.replicas.iter().flatten().map(refreshed).sum::<f64>() < 3.0 {
        rounds += 1;
        assert!(rounds < 2_000, "they never refresh");
        thread::scope(|scope| {
            let tabs: Vec<_> = (0..8).map(|_| scope.spawn(|| site.ask(&person))).collect();
            for tab in tabs {
                assert_eq!(tab.join().unwrap(), 200, "round {rounds}");
            }
        });
    }
}

#[test]
fn a_redis_that_dies_and_comes_back_logs_nobody_out_of_either_replica() {
    let Some(mut site) = Site::start() else {
        return;
    };
    let person = site.person();
    is_here(&site.log_in(&person, "alice"), "alice");
    site.redis.kill();
    for _ in 0..4 {
        let status = site.ask(&person);
        assert!(matches!(status, 200 | 503), "{status}");
    }
    site.redis.restart();
    // Each replica connects again when it is its time to try.
    let good = || (0..6).all(|_| site.ask(&person) == 200);
    assert!(eventually(good), "it never comes back");
}

#[test]
fn an_authority_that_goes_away_ends_no_session() {
    let Some(mut site) = Site::start() else {
        return;
    };
    let person = site.person();
    is_here(&site.log_in(&person, "alice"), "alice");
    let before = person.cookies("");
    site.registry.kill();
    for replica in site.replicas.iter().flatten() {
        let purge = serde_json::json!({"all": true});
        replica.admin.post_json("/cache/purge", &purge).send();
    }
    for _ in 0..4 {
        assert_eq!(site.ask(&person), 503);
    }
    assert_eq!(person.cookies(""), before);
    site.registry.restart();
    let mut tab = person.tab();
    let mut page = tab.open(&site.url);
    for _ in 0..20 {
        if page.status() == 200 {
            break;
        }
        page = tab.open(&site.url);
    }
    is_here(&page, "alice");
}

#[test]
fn a_callback_that_one_replica_has_taken_is_no_second_login_at_the_other() {
    let Some(sketch) = oidc::plot() else { return };
    let realm = oidc::realm(&sketch, oidc::issuer(), "oidc1", "es", "code");
    let sketch = sketch.provider("{ name: oidc1, login: { oidc: { realm: oidc1 } } }");
    let realms = format!("realms: {{ oidc: {{ {realm} }} }}");
    let Some(site) = Site::start_from(sketch, &realms) else {
        return;
    };
    // Everything of a login up to the callback, and the cookies that go with that.
    let halfway = |path: &str| {
        let person = site.person();
        let mut tab = person.tab();
        tab.open(&format!("{}{path}", site.url));
        let form = tab.submitting(&[("login", "alice")]);
        let callback = tab.go_until(form, |pending| pending.url.path().ends_with("/callback"));
        let sending = Sending {
            same_site: false,
            navigation: true,
            safe: true,
        };
        let line = person.jar().line(&callback.url, sending).expect("cookies");
        (callback.url, line)
    };
    let begins_session = |reply: &Reply| {
        let mut lines = reply.headers_named("set-cookie");
        lines.any(|line| line.contains("sidegate-session") && !line.contains("Max-Age=0"))
    };
    let (url, line) = halfway("/mine");
    let first = site.ask_one(0, &url, &line);
    assert!(
        (300..400).contains(&first.status),
        "{} {}",
        first.status,
        first.text()
    );
    assert_eq!(first.header("location"), Some("/mine"));
    assert!(begins_session(&first), "{:?}", first.headers);
    for replica in [1, 0, 1] {
        let again = site.ask_one(replica, &url, &line);
        assert_eq!(again.header("location"), Some("/mine"), "{}", again.text());
        assert!(!begins_session(&again), "{:?}", again.headers);
    }
    // One that led nowhere is used up everywhere.
    let (url, line) = halfway("/mine");
    let mut spoilt = url.clone();
    let changed: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| match &*name {
            "code" => (name.into_owned(), "another".to_owned()),
            _ => (name.into_owned(), value.into_owned()),
        })
        .collect();
    spoilt.query_pairs_mut().clear().extend_pairs(changed);
    let refused = site.ask_one(0, &spoilt, &line);
    assert!(
        refused.text().contains("oidc_response_refused"),
        "{}",
        refused.text()
    );
    // The other replica is told in the background, and waits for that.
    let late = site.ask_one(1, &url, &line);
    assert!(late.text().contains("attempt_used"), "{}", late.text());
    assert!(!begins_session(&late));
}
