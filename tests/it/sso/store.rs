//! Sessions in a real Redis, plain and with TLS and ACL: what is in it, and what happens when it goes away.

use super::house::{House, Sketch, is_here};
use crate::harness::eventually;
use crate::harness::redis::Redis;

/// What seals sessions.
const KEY: &str = "sso-key-one-sso-key-one-sso-key-1";

fn sketch(redis: &Redis) -> Sketch {
    Sketch::new().passwords().sso(&format!(
        "session: {{ keys: [{KEY}], store: {{ redis: {} }} }}",
        redis.yaml()
    ))
}

/// What a replica has read of a session counts for a few seconds; asks until that is over.
fn is_noticed(house: &House, person: &crate::harness::person::Person, status: u16) {
    let mut last = (0, None);
    let noticed = eventually(|| {
        last = told(house, person);
        last.0 == status
    });
    assert!(noticed, "never {status}: {last:?}");
}

/// A call of a script, told by status and reason.
fn told(house: &House, person: &crate::harness::person::Person) -> (u16, Option<String>) {
    let reply = house.ask(person);
    (reply.status, reply.refusal().map(str::to_owned))
}

#[test]
fn nothing_in_redis_is_of_use_to_who_reads_it() {
    let Some(redis) = Redis::secured() else {
        return;
    };
    let house = sketch(&redis).build();
    let person = house.person();
    house.log_in(&person, "alice");
    let everything = redis.everything();
    assert!(everything.contains("sidegate:"), "it is in use");
    for (name, value) in person.cookies("") {
        for piece in value.split(['.', '~']).filter(|piece| piece.len() > 10) {
            assert!(!everything.contains(piece), "{name} is in Redis");
        }
    }
    for plain in ["alice", "shopper", "access_token", "native"] {
        assert!(!everything.contains(plain), "{plain} is in Redis");
    }
    let size: usize = person
        .cookies("session")
        .iter()
        .map(|(_, value)| value.len())
        .sum();
    assert!(
        size < 400,
        "the cookie holds little more than an id: {size}"
    );
}

#[test]
fn a_redis_that_is_gone_is_a_polite_refusal_and_never_a_logout() {
    let Some(mut redis) = Redis::plain() else {
        return;
    };
    let house = sketch(&redis).build();
    let person = house.person();
    house.log_in(&person, "alice");
    let before = person.cookies("session");
    redis.kill();
    is_noticed(&house, &person, 503);
    let mut tab = person.tab();
    let page = tab.open(&house.at("/orders/1"));
    assert_eq!(page.status(), 503, "{}", page.story());
    assert!(
        page.reply.header("retry-after").is_some(),
        "{}",
        page.story()
    );
    assert!(
        page.text().contains("<html"),
        "a page for people\n{}",
        page.story()
    );
    // Nobody's cookie was taken away, and a header credential needs no store.
    assert_eq!(person.cookies("session"), before);
    let call = house.gate.proxy.get("/api").basic("bob", "bob-password");
    call.send().expect(200);
    // Logging in now is refused politely, too.
    let stranger = house.person();
    let mut other = stranger.tab();
    other.open(&house.at("/"));
    let page = other.submit(&[("username", "bob"), ("password", "bob-password")]);
    assert_eq!(page.status(), 503, "{}", page.story());
    house.logged(&["store_unavailable"]);
    redis.restart();
    is_noticed(&house, &person, 200);
    let page = tab.open(&house.at("/orders/1"));
    is_here(&page, "alice");
    let page = other.open(&house.at("/"));
    assert_eq!(page.url.path(), "/_sidegate/login");
    let page = other.submit(&[("username", "bob"), ("password", "bob-password")]);
    is_here(&page, "bob");
}

#[test]
fn a_redis_that_hangs_is_given_up_on_in_time() {
    let Some(redis) = Redis::plain() else { return };
    let house = Sketch::new()
        .passwords()
        .sso(&format!(
            "session: {{ keys: [{KEY}], store: {{ redis: {{ address: \"{}\", timeout: 300ms }} }} }}",
            redis.address()
        ))
        .build();
    let person = house.person();
    house.log_in(&person, "alice");
    redis.freeze();
    is_noticed(&house, &person, 503);
    redis.thaw();
    let page = person.tab().open(&house.at("/"));
    is_here(&page, "alice");
}

#[test]
fn a_redis_that_forgot_everything_asks_for_a_login_and_says_why() {
    let Some(mut redis) = Redis::plain() else {
        return;
    };
    let house = sketch(&redis).build();
    let person = house.person();
    house.log_in(&person, "alice");
    redis.forget();
    is_noticed(&house, &person, 401);
    let mut tab = person.tab();
    let mut page = tab.open(&house.at("/orders/1"));
    // A connection that broke may cost one polite refusal.
    if page.status() == 503 {
        page = tab.open(&house.at("/orders/1"));
    }
    assert_eq!(page.url.path(), "/_sidegate/login", "{}", page.story());
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders/1");
}

#[test]
fn sessions_outlive_a_restart_of_sidegate() {
    let Some(redis) = Redis::plain() else { return };
    let data = tempfile::tempdir().unwrap();
    let sketch = Sketch::new()
        .passwords()
        .sso(&format!(
            "session: {{ keys: [{KEY}], store: {{ redis: {} }} }}",
            redis.yaml()
        ))
        .authority(&format!(
            "embedded: {{ address: \"127.0.0.1:0\", superuser_password: elastic-password, data: {} }}",
            data.path().display()
        ));
    let house = sketch.build();
    let person = house.person();
    house.log_in(&person, "alice");
    drop(house);
    let again = sketch.build();
    // The throwaway certificate is another one now.
    let person = again.person_with(&person);
    assert_eq!(again.ask(&person).status, 200);
}

#[test]
fn a_password_that_redis_refuses_is_told_at_once() {
    let Some(redis) = Redis::secured() else {
        return;
    };
    let wrong = redis
        .yaml()
        .replace("redis-password-canary", "wrong-password");
    let house = Sketch::new()
        .passwords()
        .sso(&format!(
            "session: {{ keys: [{KEY}], store: {{ redis: {wrong} }} }}"
        ))
        .build();
    let mut tab = house.person().tab();
    tab.open(&house.at("/"));
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    assert_eq!(page.status(), 503, "{}", page.story());
    house.logged(&["store_unavailable"]);
    let output = house.gate.process.output();
    assert!(!output.contains("wrong-password"), "{output}");
}

#[test]
fn a_drain_ends_sessions_where_that_was_asked() {
    for (asked, ended) in [(true, true), (false, false)] {
        let mut house = Sketch::new()
            .passwords()
            .sso(&format!(
                "session: {{ keys: [{KEY}], end_on_drain: {asked} }}"
            ))
            .build();
        for name in ["alice", "bob"] {
            house.log_in(&house.person(), name);
        }
        house.gate.process.signal("TERM");
        assert!(house.gate.process.wait().success());
        let output = house.gate.process.output();
        let told =
            output.contains("sessions ended by the drain") && output.contains("session_drained");
        assert_eq!(told, ended, "{output}");
        assert!(!output.contains("were not given back"), "{output}");
    }
}

#[test]
fn new_pages_and_new_keys_are_noticed_without_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let pages = folder.path().join("pages");
    std::fs::write(&key, KEY).unwrap();
    std::fs::create_dir(&pages).unwrap();
    let house = Sketch::new()
        .passwords()
        .sso(&format!(
            "session: {{ keys: [\"file:{}\"] }}",
            key.display()
        ))
        .sso(&format!("pages: {{ templates: {} }}", pages.display()))
        .build();
    let person = house.person();
    house.log_in(&person, "alice");
    // A file where there was none.
    std::fs::write(pages.join("done.html"), "<h1>It is done</h1>").unwrap();
    let reloads = |result: &'static str, least: f64| {
        let label = format!("result=\"{result}\"");
        let name = "sidegate_config_reloads_total";
        house
            .gate
            .wait_for_metric(name, &[&label], |count| count >= least);
    };
    reloads("applied", 1.0);
    let page = house.person().tab().open(&house.own("done"));
    assert!(page.text().contains("It is done"), "{}", page.story());
    assert_eq!(house.ask(&person).status, 200);
    // A page that would not work is told, and the former one stays.
    std::fs::write(pages.join("done.html"), "{{ nobody.name }}").unwrap();
    reloads("refused", 1.0);
    let page = house.person().tab().open(&house.own("done"));
    assert!(page.text().contains("It is done"), "{}", page.story());
    std::fs::remove_file(pages.join("done.html")).unwrap();
    reloads("applied", 2.0);
    // Another key: what the former one sealed is no session any more.
    std::fs::write(&key, "another-key-another-key-another-k").unwrap();
    reloads("applied", 3.0);
    house.is_stranger(&person);
}
