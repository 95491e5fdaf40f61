//! What people suffer from elsewhere and must not suffer from here: one test for each, named after it. Pains that are SAML's
//! alone are in `saml.rs`, under the same kind of name.

use std::thread;

use super::house::{House, Sketch, here, is_here};
use super::oidc;
use crate::harness::client::basic;
use crate::harness::person::Person;
use crate::harness::pki::{Authority, Client, trust};
use crate::harness::ports::free_port;
use crate::harness::process::run_to_end;

#[test]
fn pain_01_parallel_logins_in_tabs_disturb_each_other() {
    let Some(sketch) = oidc::sketch() else { return };
    let house = sketch.build();
    let person = house.person();
    // Seven tabs of one browser are restored at once, and nobody is logged in.
    let mut tabs: Vec<_> = (0..7).map(|_| person.tab()).collect();
    for (n, tab) in tabs.iter_mut().enumerate() {
        tab.open(&house.at(&format!("/tab/{n}")));
    }
    for (n, tab) in tabs.iter_mut().enumerate().rev() {
        let page = oidc::at_provider(tab, "alice");
        is_here(&page, "alice");
        assert_eq!(page.place(), format!("/tab/{n}"));
    }
}

#[test]
fn pain_03_cookies_left_from_before_a_change_send_people_in_circles() {
    let port = free_port();
    let at = |prefix: &str| {
        let mut sketch = Sketch::new().passwords().sso(&format!("prefix: {prefix}"));
        sketch.port = port;
        sketch
    };
    let before = at("/auth/").build();
    let person = before.person();
    let mut tab = person.tab();
    tab.open(&before.at("/"));
    tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    assert_eq!(before.ask(&person).status, 200);
    drop(before);
    let after = at("/login-pages/").build();
    let person = after.person_with(&person);
    let url = url::Url::parse(&after.url).unwrap();
    // Somebody once set cookies of the same kind for a path, too.
    for (name, value) in person.cookies("session") {
        let bare = name.trim_start_matches("__Host-");
        person
            .jar()
            .take(&url, &format!("{bare}={value}; Path=/orders; Secure"));
    }
    let mut tab = person.tab();
    let login = tab.open(&after.at("/orders/7"));
    assert_eq!(login.url.path(), "/login-pages/login", "{}", login.story());
    let page = tab.submit(&[("username", "bob"), ("password", "bob-password")]);
    is_here(&page, "bob");
    assert_eq!(page.place(), "/orders/7");
}

#[test]
fn pain_03_who_goes_in_circles_all_the_same_is_stopped_by_a_page_that_says_so() {
    let house = Sketch::new().passwords().build();
    // A browser that keeps nothing.
    let person = house.person();
    let mut last = None;
    for _ in 0..3 {
        let mut tab = person.tab();
        tab.open(&house.at("/"));
        person.jar().tamper(|_| false);
        let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
        last = Some(page);
    }
    let page = last.unwrap();
    assert_eq!(here(&page), None);
    assert!(page.status() >= 400, "{}", page.story());
    house.logged(&["cookies_blocked"]);
}

#[test]
fn pain_04_instances_on_one_host_overwrite_each_others_cookies() {
    let (one, other) = (
        Sketch::new().passwords().build(),
        Sketch::new().passwords().build(),
    );
    // One browser that knows both certificates.
    let folder = tempfile::tempdir().unwrap();
    let both = folder.path().join("both.pem");
    let pem =
        |house: &House| std::fs::read_to_string(house.gate.folder.path().join("ca.pem")).unwrap();
    std::fs::write(&both, pem(&one) + &pem(&other)).unwrap();
    let person = Person::new(&trust(&both));
    one.log_in(&person, "alice");
    // The cookies of both go to both: browsers know no ports.
    other.log_in(&person, "bob");
    for _ in 0..2 {
        is_here(&person.tab().open(&one.at("/")), "alice");
        is_here(&person.tab().open(&other.at("/")), "bob");
    }
    person.tab().open(&one.own("logout"));
    one.is_stranger(&person);
    is_here(&person.tab().open(&other.at("/")), "bob");
}

#[test]
fn pain_05_deep_links_lose_their_fragment_their_length_or_their_spaces() {
    let Some(sketch) = oidc::sketch() else { return };
    let house = sketch.passwords().build();
    let long = format!("/search?q={}&sort=a%20b+c%2Bd", "x".repeat(3_000));
    for way in ["basic", "oidc1"] {
        let person = house.person();
        let mut tab = person.tab();
        let login = tab.open(&house.at(&long));
        assert_eq!(login.url.path(), "/_sidegate/login", "{}", login.story());
        let next = login.url.query().unwrap_or_default().to_owned();
        // What the page's script adds to the link, or fills into the form.
        let begin = format!("login/{way}?{next}&fragment=%2Fview%3Fx%3D1%262");
        tab.open(&house.own(&begin));
        let page = if way == "basic" {
            tab.submit(&[
                ("username", "alice"),
                ("password", "alice-password"),
                ("fragment", "/view?x=1&2"),
            ])
        } else {
            oidc::at_provider(&mut tab, "alice")
        };
        is_here(&page, "alice");
        assert_eq!(page.place(), format!("{long}#/view?x=1&2"));
    }
}

#[test]
fn pain_07_refreshes_race_and_sign_people_out() {
    let house = Sketch::new()
        .passwords()
        .authority("embedded: { address: \"127.0.0.1:0\", superuser_password: elastic-password, token_timeout: 1s }")
        .build();
    let person = house.person();
    house.log_in(&person, "alice");
    // Tokens die every second, in the middle of whatever eight tabs do; each must be refreshed once, and nobody sees it.
    let tokens = || {
        let gate = &house.gate;
        gate.metric("sidegate_session_renewals_total", &["result=\"renewed\""])
    };
    let mut rounds = 0;
    while tokens() < 3.0 {
        rounds += 1;
        assert!(rounds < 2_000, "it never refreshes");
        thread::scope(|scope| {
            let tabs: Vec<_> = (0..8).map(|_| scope.spawn(|| house.ask(&person))).collect();
            for tab in tabs {
                let reply = tab.join().unwrap();
                assert_eq!(reply.status, 200, "{:?} {}", reply.headers, reply.text());
            }
        });
    }
    // A day later, without a request in between, the refresh token still stands for the person.
    is_here(&person.tab().open(&house.at("/")), "alice");
}

#[test]
fn pain_08_polling_keeps_sessions_alive_and_work_does_not() {
    let house = Sketch::new()
        .passwords()
        .sso("session: { idle_timeout: 2s, lifespan: 1h }")
        .build();
    let (idler, worker) = (house.person(), house.person());
    house.log_in(&idler, "alice");
    house.log_in(&worker, "bob");
    let mut tab = worker.tab();
    let ended = loop {
        // A dashboard polls; somebody else clicks.
        is_here(&tab.open(&house.at("/")), "bob");
        let reply = house.ask(&idler);
        if reply.status != 200 {
            break reply;
        }
    };
    assert_eq!(ended.status, 401);
    assert_eq!(
        ended.header("x-sidegate-session"),
        Some("session_idle"),
        "{:?}",
        ended.headers
    );
    house.logged(&["session_idle", "alice"]);
    is_here(&tab.open(&house.at("/")), "bob");
    // A navigation leads to the login, which says why.
    let mut tab = idler.tab();
    let page = tab.open(&house.at("/orders"));
    assert_eq!(page.url.path(), "/_sidegate/login");
    assert!(page.text().contains("session_idle"), "{}", page.story());
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders");
}

#[test]
fn pain_09_work_is_lost_on_expiry_and_every_tab_wants_its_own_login() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let editor = house.log_in(&person, "alice");
    let others: Vec<_> = (0..3).map(|_| house.log_in_again(&person)).collect();
    house.end_sessions("alice");
    // The editor's save is told, as JSON with the way to log in, and nothing navigates.
    let save = || editor.fetch_with("POST", "/draft", &[], Some("the draft"));
    let refused = save();
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert!(refused.header("location").is_none());
    assert!(
        refused.text().contains("/_sidegate/login"),
        "{}",
        refused.text()
    );
    assert!(
        refused.header("x-sidegate-session").is_some(),
        "{:?}",
        refused.headers
    );
    // One login in a window of its own brings all tabs back.
    house.log_in(&person, "alice");
    assert_eq!(save().status, 200);
    for tab in others {
        assert_eq!(tab.fetch("GET", "/api", &[]).status, 200);
    }
    let saved = house.app.requests();
    assert!(saved.iter().any(|request| request.body == b"the draft"));
}

#[test]
fn pain_10_a_401_of_the_application_logs_people_out() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let mut tab = house.log_in(&person, "alice");
    let before = person.cookies("");
    let page = tab.open(&house.at("/refuses"));
    // The application's own page, as it is, and nothing of ours with it.
    assert_eq!(
        (page.status(), here(&page).as_deref()),
        (401, Some("alice"))
    );
    assert_eq!(page.reply.refusal(), None);
    assert_eq!(page.reply.header("x-sidegate-session"), None);
    let script = tab.fetch("GET", "/refuses", &[]);
    assert_eq!((script.status, script.refusal()), (401, None));
    assert_eq!(person.cookies(""), before);
    assert_eq!(house.ask(&person).status, 200);
}

#[test]
fn pain_11_failed_logins_and_missing_roles_are_dead_ends() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let mut tab = house.log_in(&person, "alice");
    let page = tab.open(&house.at("/vault/gold"));
    assert_eq!(page.status(), 403, "{}", page.story());
    // Who one is, what it is called, where to look, and ways on.
    for part in ["alice", "default_native", "forbidden"] {
        assert!(page.text().contains(part), "no {part}\n{}", page.story());
    }
    let id = page.reply.header("x-request-id").expect("an id").to_owned();
    assert!(page.text().contains(&id), "{}", page.story());
    let recorded = house.gate.process.stdout.find(|line| line.contains(&id));
    assert!(recorded.is_some(), "{id} is in the access log");
    let page = tab.click("another account");
    assert!(page.status() < 400, "{}", page.story());
    house.is_stranger(&person);
    tab.open(&house.at("/vault/gold"));
    let page = tab.submit(&[("username", "carla"), ("password", "carla-password")]);
    is_here(&page, "carla");
    assert_eq!(page.place(), "/vault/gold");
    // A script is told as JSON.
    let other = house.person();
    house.log_in(&other, "bob");
    let reply = other.tab().fetch("GET", &house.at("/vault/gold"), &[]);
    assert_eq!(reply.status, 403);
    reply.json();
}

#[test]
fn pain_12_who_logs_out_is_logged_in_again_at_once() {
    let Some(sketch) = oidc::sketch() else { return };
    let house = sketch.build();
    let person = house.person();
    let mut tab = person.tab();
    tab.open(&house.at("/"));
    is_here(&oidc::at_provider(&mut tab, "alice"), "alice");
    tab.open(&house.own("logout"));
    // Comes back without a logout at the provider, where the browser is still known.
    let page = tab.open(&house.own("logged-out"));
    assert_eq!(page.status(), 200, "{}", page.story());
    assert_eq!(page.refresh(), None);
    assert_eq!(page.url.path(), "/_sidegate/logged-out");
    house.is_stranger(&person);
}

#[test]
fn pain_13_certificates_do_not_get_past_a_terminator_or_want_a_whole_chain() {
    let root = Authority::new();
    let issuing = root.intermediate("issuing");
    let folder = tempfile::tempdir().unwrap();
    let ca = root.write_ca(folder.path());
    let ca = ca.display();
    let house = Sketch::new()
        .realms(&format!("pki: {{ pki1: {{ order: 5, certificate_authorities: [{ca}], delegation: {{ enabled: true }} }} }}"))
        .clients(&format!("{{ mode: optional, ca: {ca} }}"))
        .provider("{ name: cards, login: pki, in_selector: false }")
        .passwords()
        .build();
    let client = Client::of(&issuing, "robot", |_| {});
    let (tls, _) = client.config(&house.gate.folder.path().join("ca.pem"));
    let person = Person::new(&tls);
    let mut tab = person.tab();
    // Each request of its own is let in by the certificate that it comes with.
    is_here(&tab.open(&house.at("/orders/7")), "robot");
    assert_eq!(person.cookies("session"), Vec::new());
    // A login makes it a session, so that the certificate is exchanged once.
    let page = tab.open(&house.own("login/cards?next=/orders/7"));
    is_here(&page, "robot");
    assert_eq!(page.place(), "/orders/7");
    assert!(!person.cookies("session").is_empty());
    // Without the certificate the stolen cookie is nothing.
    let thief = house.person_with(&person);
    house.is_stranger(&thief);
    // Somebody without a certificate has the other way.
    let mut tab = house.person().tab();
    tab.open(&house.at("/"));
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    is_here(&page, "alice");
}

#[test]
fn pain_14_several_providers_hide_each_other_and_the_choice_is_forgotten() {
    let Some(sketch) = oidc::sketch() else { return };
    let house = sketch
        .passwords()
        .provider("{ name: partners, login: { oidc: { realm: oidc1 } }, description: Partner portal, hint: For partners, hosts: [partners.test] }")
        .build();
    let person = house.person();
    let mut tab = person.tab();
    let page = tab.open(&house.at("/orders/7"));
    let entries = page.links();
    assert!(
        entries
            .iter()
            .any(|(href, _)| href.contains("/login/oidc1")),
        "{entries:?}"
    );
    assert!(
        page.forms().iter().any(|form| form.has("password")),
        "{}",
        page.story()
    );
    assert!(
        !page.text().contains("Partner portal"),
        "only on its own host"
    );
    tab.click("oidc1");
    is_here(&oidc::at_provider(&mut tab, "alice"), "alice");
    // The next time, the same way is marked.
    tab.open(&house.own("logout"));
    let page = tab.open(&house.own("login"));
    assert!(page.text().contains("Last used"), "{}", page.story());
    let (_, label) = page
        .links()
        .into_iter()
        .find(|(href, _)| href.contains("oidc1"))
        .unwrap();
    assert!(label.contains("Last used"), "{label}");
    // A header credential still works beside all of them.
    let call = house.gate.proxy.get("/api");
    call.authorization(&basic("bob", "bob-password"))
        .send()
        .expect(200);
}

#[test]
fn pain_15_uris_that_differ_by_a_letter_are_found_by_staring() {
    let Some(sketch) = oidc::plot() else { return };
    let sketch = sketch
        .passwords()
        .provider("{ name: corporate, login: { saml: { realm: saml1 } } }")
        .provider("{ name: partners, login: { oidc: { realm: oidc1 } } }");
    let app = super::house::app();
    let folder = tempfile::tempdir().unwrap();
    let plan = sketch.authority("elasticsearch: { nodes: [\"http://127.0.0.1:1\"], credential: { basic: { username: u, password: p } } }");
    let config = plan.plan(&app).write(folder.path());
    let told = run_to_end(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let told = told.stdout + &told.stderr;
    for uri in [
        sketch_uri(&plan, "saml/corporate/acs"),
        sketch_uri(&plan, "saml/corporate/logout"),
        sketch_uri(&plan, "saml/corporate/metadata"),
        sketch_uri(&plan, "oidc/partners/callback"),
    ] {
        assert!(told.contains(&uri), "no {uri} in\n{told}");
    }
    // The scheme's own port is no part of them.
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(&plan.url(), "https://App.Example.com:443");
    std::fs::write(&config, text).unwrap();
    let told = run_to_end(&["check", "--config", config.to_str().unwrap()]);
    let told = told.stdout + &told.stderr;
    assert!(
        told.contains("https://app.example.com/_sidegate/saml/corporate/acs"),
        "{told}"
    );
}

fn sketch_uri(sketch: &Sketch, path: &str) -> String {
    sketch.own(path)
}

#[test]
fn more_sessions_than_allowed_end_the_oldest_which_says_why() {
    let house = Sketch::new()
        .passwords()
        .sso("session: { max_sessions: 2 }")
        .build();
    let people: Vec<_> = (0..3).map(|_| house.person()).collect();
    for person in &people {
        house.log_in(person, "alice");
    }
    let other = house.person();
    house.log_in(&other, "bob");
    let first = house.ask(&people[0]);
    assert_eq!(first.status, 401);
    assert_eq!(
        first.header("x-sidegate-session"),
        Some("session_limit"),
        "{:?}",
        first.headers
    );
    for person in [&people[1], &people[2], &other] {
        assert_eq!(house.ask(person).status, 200);
    }
}

#[test]
fn an_administrator_ends_sessions_and_their_tokens() {
    let house = Sketch::new().passwords().build();
    let (one, two, other) = (house.person(), house.person(), house.person());
    house.log_in(&one, "alice");
    house.log_in(&two, "alice");
    house.log_in(&other, "bob");
    house.end_sessions("alice");
    for person in [&one, &two] {
        let reply = house.ask(person);
        assert_eq!(reply.status, 401);
        assert_eq!(
            reply.header("x-sidegate-session"),
            Some("session_revoked"),
            "{:?}",
            reply.headers
        );
    }
    assert_eq!(house.ask(&other).status, 200);
    house.logged(&["session_revoked", "alice"]);
}
