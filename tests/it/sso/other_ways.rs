//! The ways in that ask nobody anything, and what stands between a login and the application.

use super::house::{Sketch, here, is_here};
use crate::kerberos::Kdc;

#[test]
fn a_ticket_logs_in_without_a_question_and_leaves_a_session() {
    let Some(kdc) = Kdc::start() else { return };
    let cache = format!("file2:{}/rcache", kdc.folder.path().display());
    let krb5 = kdc.folder.path().join("krb5.conf");
    let house = Sketch::new()
        .realms(&format!(
            "kerberos: {{ kerb1: {{ order: 5, keytab: {{ path: {} }} }} }}",
            kdc.keytab().display()
        ))
        .provider("{ name: tickets, login: kerberos, in_selector: false }")
        .passwords()
        .environment("KRB5RCACHENAME", &cache)
        .environment("KRB5_CONFIG", &krb5.display().to_string())
        .build();
    let jar = kdc.folder.path().join("jar");
    let jar = jar.display();
    let curl = format!(
        "curl -sS -k -w '\\n%{{http_code}} %{{redirect_url}}\\n' -c {jar} -b {jar} \
         -H 'Accept: text/html' -H 'Sec-Fetch-Mode: navigate' -H 'Sec-Fetch-Site: none'"
    );
    let login = house.own("login?next=%2Forders%2F7%3Fsort%3Dup");
    let told = kdc.as_alice(&format!("{curl} --negotiate -u : '{login}'"));
    let wanted = format!("302 {}", house.at("/orders/7?sort=up"));
    assert!(
        told.contains(&wanted),
        "{told}\n{}",
        house.gate.process.output()
    );
    // From here on without the ticket: the session alone.
    let told = kdc.as_alice(&format!("{curl} '{}'", house.at("/more")));
    assert!(told.contains("Hello alice@TEST.LOCAL"), "{told}");
    // Who has no ticket is shown the form, and goes on with it.
    let person = house.person();
    let mut tab = person.tab();
    let page = tab.open(&house.at("/orders/7"));
    assert!(
        page.forms().iter().any(|form| form.has("password")),
        "{}",
        page.story()
    );
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    is_here(&page, "alice");
}

#[test]
fn a_guest_enters_by_a_click_and_is_nobody_else() {
    let house = Sketch::new()
        .passwords()
        .provider("{ name: guest, login: { anonymous: { basic: { username: bob, password: bob-password } } }, description: Look around }")
        .build();
    let person = house.person();
    let mut tab = person.tab();
    tab.open(&house.at("/orders/7"));
    let page = tab.click("Look around");
    is_here(&page, "bob");
    assert_eq!(page.place(), "/orders/7");
    tab.open(&house.own("logout"));
    house.is_stranger(&person);
}

#[test]
fn an_access_agreement_stands_before_everything_and_declining_is_a_logout() {
    let house = Sketch::new()
        .provider("{ name: basic, login: password, access_agreement: \"This system is watched.\" }")
        .build();
    let person = house.person();
    let mut tab = person.tab();
    tab.open(&house.at("/orders/7"));
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    assert_eq!(here(&page), None);
    assert!(
        page.text().contains("This system is watched."),
        "{}",
        page.story()
    );
    // Not yet: neither for scripts nor by another address.
    assert!(house.ask(&person).status >= 400);
    let around = person.tab().open(&house.at("/orders/8"));
    assert_eq!(here(&around), None, "{}", around.story());
    let page = tab.click("Accept");
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders/7");
    assert_eq!(house.ask(&person).status, 200);
    let other = house.person();
    let mut tab = other.tab();
    tab.open(&house.at("/"));
    tab.submit(&[("username", "bob"), ("password", "bob-password")]);
    tab.click("Decline");
    house.is_stranger(&other);
    assert!(
        house
            .app
            .requests()
            .iter()
            .all(|seen| seen.header("x-forwarded-user") == Some("alice"))
    );
}
