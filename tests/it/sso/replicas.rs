//! Two replicas that share a Redis, behind an nginx that sends every request to either at random.

use std::thread;

use super::house::{Sketch, app, is_here};
use super::registry::Registry;
use crate::harness::balancer::Balancer;
use crate::harness::client::Target;
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
        let redis = Redis::secured()?;
        let registry = Registry::start(authority);
        let app = app();
        let sketch = Sketch::new()
            .behind()
            .passwords()
            .authority(&registry.yaml())
            .sso(&format!(
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
        let asks = (0..20_000).find(|_| (0..4).all(|_| site.ask(&thief) == 401));
        assert!(asks.is_some(), "it never holds");
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
    assert!((0..20_000).any(|_| good()), "it never comes back");
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
