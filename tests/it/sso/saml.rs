//! SAML with a real identity provider, SimpleSAMLphp: every way in and out, and what attackers do on these ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::house::{House, Sketch, here, is_here};
use crate::harness::jar::SameSite;
use crate::harness::page::Page;
use crate::harness::person::{Pending, Person, Tab};
use crate::harness::saml_idp::{LogoutBinding, SamlIdp};

/// A house, and the identity provider that knows it.
pub(super) struct Pair {
    pub(super) idp: SamlIdp,
    pub(super) house: House,
}

impl Pair {
    /// With one provider `saml1`, which signs and is signed to. `None` after saying that the test is skipped.
    pub(super) fn start() -> Option<Self> {
        Self::start_with(LogoutBinding::Redirect, "plain", "", |sketch| sketch)
    }

    fn start_with(
        binding: LogoutBinding,
        way: &str,
        login: &str,
        more: impl FnOnce(Sketch) -> Sketch,
    ) -> Option<Self> {
        let sketch = Sketch::new();
        let acs = sketch.own("saml/saml1/acs");
        let logout = sketch.own("saml/saml1/logout");
        let idp = SamlIdp::start_with(&acs, &logout, binding)?;
        let pair = format!(
            "key: {}, certificate: {}",
            idp.sp_key().display(),
            idp.sp_certificate().display()
        );
        let realm = format!(
            "saml: {{ saml1: {{ order: 5, idp: {{ entity_id: '{}', metadata: {{ path: {} }} }}, \
             sp: {{ entity_id: 'urn:sp:{way}', acs: '{acs}', logout: '{logout}' }}, \
             attributes: {{ principal: uid, groups: groups, name: cn, mail: mail }}, \
             signing: {{ {pair} }}, encryption: {{ {pair} }} }} }}",
            idp.entity_id(),
            idp.metadata().display(),
        );
        let house = more(sketch.realms(&realm).provider(&format!(
            "{{ name: saml1, login: {{ saml: {{ realm: saml1{login} }} }} }}"
        )))
        .build();
        Some(Self { idp, house })
    }

    /// From where somebody wants to go up to the response that the identity provider's page is about to post.
    fn until_response(&self, person: &Person, path: &str, name: &str) -> (Tab, Pending) {
        let mut tab = person.tab();
        tab.open(&self.house.at(path));
        self.give_password(&mut tab, name);
        let response = tab.submitting(&[]);
        assert!(response.parameter("SAMLResponse").is_some());
        (tab, response)
    }

    /// Gives name and password at the identity provider, if it asks.
    fn give_password(&self, tab: &mut Tab, name: &str) {
        let page = tab.page();
        assert!(
            page.url.as_str().starts_with(&self.idp.url),
            "{}",
            page.story()
        );
        if page.forms().iter().any(|form| form.has("password")) {
            tab.submit(&[("username", name), ("password", &format!("{name}pass"))]);
        }
    }

    /// A whole login.
    fn log_in(&self, person: &Person, path: &str, name: &str) -> (Tab, Page) {
        let (mut tab, response) = self.until_response(person, path, name);
        let page = tab.go(response);
        (tab, page)
    }

    fn refused(&self, person: &Person, page: &Page, reason: &str) {
        assert!(page.status() >= 400, "{}", page.story());
        assert!(
            page.text().contains(reason),
            "no {reason}\n{}",
            page.story()
        );
        assert_eq!(here(page), None);
        self.house.is_stranger(person);
        self.house.logged(&[reason]);
    }
}

/// Sends forms that send themselves where there is a script, until a page is there that doesn't.
fn settle(tab: &mut Tab) -> Page {
    for _ in 0..6 {
        let message =
            |form: &crate::harness::page::Form| form.has("SAMLRequest") || form.has("SAMLResponse");
        if !tab.page().forms().iter().any(message) {
            return tab.page().clone();
        }
        tab.submit(&[]);
    }
    panic!("it goes on and on\n{}", tab.page().story());
}

/// The XML in a form's `SAMLResponse`, changed.
fn altered(response: &Pending, change: impl FnOnce(String) -> String) -> Pending {
    let text = response.parameter("SAMLResponse").unwrap();
    let xml = String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
    let changed = change(xml.clone());
    assert_ne!(changed, xml, "nothing was changed in\n{xml}");
    response
        .clone()
        .with("SAMLResponse", &STANDARD.encode(changed))
}

/// Without what lies between these two, and without them.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut rest = text.to_owned();
    while let Some((before, after)) = rest
        .split_once(from)
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
    {
        let (_, after) = after.split_once(to).expect("an end");
        rest = before + after;
    }
    rest
}

#[test]
fn pain_02_a_slow_login_loses_its_cookie_on_the_cross_site_post() {
    let Some(pair) = Pair::start() else { return };
    let house = &pair.house;
    let person = house.person();
    let (mut tab, response) = pair.until_response(&person, "/orders/7?sort=up", "alice");
    // This browser has no grace of two minutes: only what says so comes along with another site's POST.
    let attempts: Vec<_> = person
        .jar()
        .all()
        .iter()
        .filter(|one| one.same_site == SameSite::None)
        .cloned()
        .collect();
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert!(attempts[0].secure && attempts[0].http_only && attempts[0].name.starts_with("__Host-"));
    let page = tab.go(response);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders/7?sort=up");
    let seen = house.app.only_request();
    assert_eq!(seen.header("x-forwarded-roles"), Some("shopper"));
    // The attempt is gone, the session is Lax, and everything was believed.
    let jar = person.jar();
    assert!(
        jar.all()
            .iter()
            .all(|one| one.same_site != SameSite::None || !one.name.contains("sidegate"))
    );
    assert_eq!(jar.refused, Vec::new());
}

#[test]
fn pain_02_a_cookie_that_is_lost_all_the_same_is_fetched_by_a_page_of_our_own() {
    let Some(pair) = Pair::start() else { return };
    let house = &pair.house;
    let person = house.person();
    let (mut tab, response) = pair.until_response(&person, "/orders/7", "alice");
    // A browser, or a proxy, that makes all cookies Lax.
    person.jar().tamper(|cookie| {
        cookie.same_site = SameSite::Lax;
        true
    });
    let page = tab.go(response);
    assert_eq!(page.status(), 200, "{}", page.story());
    assert_eq!(here(&page), None);
    let page = tab.submit(&[]);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders/7");
    // Without any cookie it is told, and never goes round.
    let stranger = house.person();
    let (mut tab, response) = pair.until_response(&stranger, "/orders/7", "alice");
    stranger.jar().tamper(|_| false);
    tab.go(response);
    let page = tab.submit(&[]);
    assert!(page.status() >= 400, "{}", page.story());
    house.is_stranger(&stranger);
}

#[test]
fn pain_01_parallel_saml_logins_in_tabs_disturb_each_other() {
    let Some(pair) = Pair::start() else { return };
    let person = pair.house.person();
    let (mut first, one) = pair.until_response(&person, "/one", "alice");
    let (mut second, two) = pair.until_response(&person, "/two", "alice");
    let (mut third, three) = pair.until_response(&person, "/three", "alice");
    for (tab, response, place) in [
        (&mut second, two, "/two"),
        (&mut third, three, "/three"),
        (&mut first, one, "/one"),
    ] {
        let page = tab.go(response);
        is_here(&page, "alice");
        assert_eq!(page.place(), place);
    }
    assert_eq!(pair.house.ask(&person).status, 200);
}

#[test]
fn pain_06_deep_links_of_the_identity_provider_are_ignored_or_lead_anywhere() {
    let Some(pair) = Pair::start_with(
        LogoutBinding::Redirect,
        "plain",
        ", relay_state_deep_links: true",
        |s| s,
    ) else {
        return;
    };
    let house = &pair.house;
    for (relay_state, place) in [
        ("%2Forders%2F7%3Fsort%3Dup", "/orders/7?sort=up"),
        ("", "/"),
        ("https%3A%2F%2Fevil.example%2F", "/"),
        ("%2F%2Fevil.example%2F", "/"),
        ("%2F%5Cevil.example", "/"),
        ("javascript%3Aalert(1)", "/"),
    ] {
        let person = house.person();
        let mut tab = person.tab();
        tab.open(&pair.idp.unsolicited("plain", relay_state));
        pair.give_password(&mut tab, "alice");
        let page = settle(&mut tab);
        is_here(&page, "alice");
        assert_eq!(page.place(), place, "{relay_state}");
    }
    house.logged(&["relay state is no place to go"]);
}

#[test]
fn deep_links_of_the_identity_provider_lead_to_the_front_page_unless_allowed() {
    let Some(pair) = Pair::start() else { return };
    let person = pair.house.person();
    let mut tab = person.tab();
    tab.open(&pair.idp.unsolicited("plain", "%2Forders%2F7"));
    pair.give_password(&mut tab, "alice");
    let page = settle(&mut tab);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/");
    // Somebody else logs in over it from there: both are told apart, by a page.
    let other = pair.house.person();
    other.jar().clone_from(&person.jar());
    other
        .jar()
        .tamper(|cookie| cookie.name.contains("sidegate"));
    let mut tab = other.tab();
    tab.open(&pair.idp.unsolicited("plain", ""));
    pair.give_password(&mut tab, "bob");
    let page = settle(&mut tab);
    assert_eq!(
        page.url.path(),
        "/_sidegate/overwritten",
        "{}",
        page.story()
    );
    assert!(
        page.text().contains("alice") && page.text().contains("bob"),
        "{}",
        page.story()
    );
    is_here(&tab.open(&pair.house.at("/")), "bob");
    // The session that was there before is over, wherever it was copied to.
    pair.house.is_stranger(&person);
}

#[test]
fn a_login_that_the_identity_provider_begins_ends_well_while_another_tab_is_in_the_middle_of_one() {
    let Some(pair) = Pair::start_with(
        LogoutBinding::Redirect,
        "plain",
        ", relay_state_deep_links: true",
        |s| s,
    ) else {
        return;
    };
    let house = &pair.house;
    let person = house.person();
    // Halfway through a login of this browser's own.
    let (mut waiting, own) = pair.until_response(&person, "/mine", "alice");
    let mut tab = person.tab();
    tab.open(&pair.idp.unsolicited("plain", "%2Ftheirs"));
    pair.give_password(&mut tab, "alice");
    let page = settle(&mut tab);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/theirs");
    // The tab that waited comes where it wanted to.
    let page = waiting.go(own);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/mine");
}

#[test]
fn pain_12_logouts_of_saml_end_nowhere() {
    for binding in [LogoutBinding::Redirect, LogoutBinding::Post] {
        let Some(pair) = Pair::start_with(binding, "plain", "", |sketch| sketch) else {
            return;
        };
        let house = &pair.house;
        // From here: the identity provider is told, and its answer is verified.
        let person = house.person();
        let (mut tab, page) = pair.log_in(&person, "/", "alice");
        is_here(&page, "alice");
        let thief = person.twin();
        tab.open(&house.own("logout"));
        let page = settle(&mut tab);
        assert_eq!(
            page.url.path(),
            "/_sidegate/logged-out",
            "{binding:?} {}",
            page.story()
        );
        assert_eq!(page.status(), 200, "{}", page.story());
        house.is_stranger(&person);
        house.is_stranger(&thief);
        // It was a logout there, too: the next login asks for a password.
        let page = tab.click("Log in");
        assert!(
            page.forms().iter().any(|form| form.has("password")),
            "{}",
            page.story()
        );

        // From there: without the session's cookie, which another site's frame would not bring.
        let person = house.person();
        let (mut tab, page) = pair.log_in(&person, "/", "alice");
        is_here(&page, "alice");
        let thief = person.twin();
        person
            .jar()
            .tamper(|cookie| !cookie.name.contains("sidegate"));
        tab.open(&pair.idp.logout_url());
        let page = settle(&mut tab);
        assert!(
            page.url.as_str().starts_with(&pair.idp.url),
            "{binding:?} {}",
            page.story()
        );
        house.is_stranger(&thief);
        house.logged(&["logged out by the identity provider", "saml1"]);
    }
}

#[test]
fn responses_that_were_used_altered_or_meant_for_somebody_else_are_no_login() {
    let Some(pair) = Pair::start() else { return };
    let house = &pair.house;
    // Replayed, in this browser and in another.
    let person = house.person();
    let (mut tab, response) = pair.until_response(&person, "/", "alice");
    is_here(&tab.go(response.clone()), "alice");
    let stranger = house.person();
    let mut other = stranger.tab();
    other.go(response.clone());
    let page = if other.page().status() == 200 {
        other.submit(&[])
    } else {
        other.page().clone()
    };
    assert!(page.status() >= 400, "{}", page.story());
    house.is_stranger(&stranger);
    // Into somebody's own attempt.
    let (mut tab, own) = pair.until_response(&stranger, "/", "bob");
    let foreign = response.parameter("SAMLResponse").unwrap();
    let page = tab.go(own.clone().with("SAMLResponse", &foreign));
    assert!(page.status() >= 400, "{}", page.story());
    house.is_stranger(&stranger);
    type Change = fn(String) -> String;
    let changes: [(&str, Change); 7] = [
        ("another name", |xml| xml.replace(">bob<", ">alice<")),
        ("no signature", |xml| {
            without(&xml, "<ds:Signature ", "</ds:Signature>")
        }),
        ("another audience", |xml| {
            xml.replace("urn:sp:plain", "urn:sp:other")
        }),
        ("another recipient", |xml| {
            xml.replace("saml1/acs", "saml2/acs")
        }),
        ("a DOCTYPE", |xml| {
            xml.replacen(
                "<samlp:Response",
                "<!DOCTYPE a [<!ENTITY b \"c\">]><samlp:Response",
                1,
            )
        }),
        ("a second assertion in front", |xml| {
            let (start, end) = (
                xml.find("<saml:Assertion").unwrap(),
                xml.find("</saml:Assertion>").unwrap() + 17,
            );
            let evil = without(&xml[start..end], "<ds:Signature ", "</ds:Signature>")
                .replace(">bob<", ">alice<")
                .replace("ID=\"_", "ID=\"_evil");
            format!("{}{evil}{}", &xml[..start], &xml[start..])
        }),
        ("another status", |xml| {
            xml.replace("status:Success", "status:Responder")
        }),
    ];
    for (what, change) in changes {
        let stranger = house.person();
        let (mut tab, own) = pair.until_response(&stranger, "/", "bob");
        let page = tab.go(altered(&own, change));
        assert_eq!(here(&page), None, "{what}");
        pair.refused(&stranger, &page, "saml_response_refused");
    }
    // Comments are no part of what was signed: whoever reads around them must read the whole name.
    let stranger = house.person();
    let (mut tab, own) = pair.until_response(&stranger, "/", "bob");
    let page = tab.go(altered(&own, |xml| xml.replace(">bob<", ">bo<!-- x -->b<")));
    assert!(
        matches!(here(&page).as_deref(), None | Some("bob")),
        "{}",
        page.story()
    );
    // No XML, no base64, nothing.
    for text in ["", "x", "%%%", "PHg+", &"A".repeat(300_000)] {
        let stranger = house.person();
        let (mut tab, own) = pair.until_response(&stranger, "/", "bob");
        let page = tab.go(own.with("SAMLResponse", text));
        assert!((400..500).contains(&page.status()), "{}", page.story());
        house.is_stranger(&stranger);
    }
}

#[test]
fn logout_requests_that_nobody_signed_or_somebody_changed_end_no_session() {
    let Some(pair) = Pair::start() else { return };
    let house = &pair.house;
    let person = house.person();
    let (mut tab, page) = pair.log_in(&person, "/", "alice");
    is_here(&page, "alice");
    let hold = |pending: &Pending| pending.url.path() == "/_sidegate/saml/saml1/logout";
    let request = tab.open_until(&pair.idp.logout_url(), hold);
    let signature = request.parameter("Signature").expect("signed");
    let flipped = format!(
        "{}{}",
        if signature.starts_with('A') { "B" } else { "A" },
        &signature[1..]
    );
    let whole = request.url.clone();
    let mut unsigned = whole.clone();
    let kept: Vec<(String, String)> = whole
        .query_pairs()
        .into_owned()
        .filter(|(name, _)| name != "Signature" && name != "SigAlg")
        .collect();
    unsigned.query_pairs_mut().clear().extend_pairs(&kept);
    let forged = request.clone().with("Signature", &flipped);
    let moved = request.clone().with("RelayState", "other");
    for url in [unsigned, forged.url, moved.url] {
        let mut other = house.person().tab();
        let page = other.open(url.as_str());
        assert!(page.status() >= 400, "{}", page.story());
        assert_eq!(house.ask(&person).status, 200, "{url}");
    }
    house.logged(&["saml_logout_refused"]);
    // As it was sent, it counts; and only once.
    let page = tab.go(request.clone());
    assert!(
        page.url.as_str().starts_with(&pair.idp.url),
        "{}",
        page.story()
    );
    house.is_stranger(&person);
}

#[test]
fn the_metadata_names_the_very_uris_that_are_served() {
    let Some(pair) = Pair::start() else { return };
    let house = &pair.house;
    let reply = house
        .gate
        .proxy
        .get("/_sidegate/saml/saml1/metadata")
        .send()
        .expect(200);
    let text = reply.text();
    assert!(reply.header("content-type").unwrap().contains("xml"));
    for part in [
        house.own("saml/saml1/acs"),
        house.own("saml/saml1/logout"),
        "urn:sp:plain".to_owned(),
    ] {
        assert!(text.contains(&part), "no {part} in {text}");
    }
}
