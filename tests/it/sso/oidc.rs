//! OpenID Connect with a real provider: every way in and out, and what attackers do on these ways.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::house::{House, Sketch, here, is_here};
use crate::harness::oidc_provider::{OidcProvider, SECRET};
use crate::harness::page::Page;
use crate::harness::person::{Pending, Person, Tab};
use crate::harness::ports::free_port;

/// Houses that the one provider knows.
const HOUSES: usize = 24;

/// One provider for all tests, which has to know every callback before it starts.
struct Shared {
    provider: OidcProvider,
    ports: Vec<u16>,
    taken: AtomicUsize,
}

fn shared() -> Option<&'static Shared> {
    static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
    let start = || {
        let ports: Vec<u16> = (0..HOUSES).map(|_| free_port()).collect();
        let urls = |path: &str| -> Vec<String> {
            let url = |port| format!("https://localhost:{port}/_sidegate/{path}");
            ports.iter().map(url).collect()
        };
        let callbacks = [urls("oidc/oidc1/callback"), urls("oidc/oidc2/callback")].concat();
        let provider = OidcProvider::start(
            0,
            &json!({
                "redirect_uris": callbacks,
                "post_logout_redirect_uris": urls("logged-out"),
            }),
        )?;
        Some(Shared {
            provider,
            ports,
            taken: AtomicUsize::new(0),
        })
    };
    SHARED.get_or_init(start).as_ref()
}

/// The issuer that all houses of [`sketch`] trust.
pub(super) fn issuer() -> &'static str {
    &shared().expect("started").provider.issuer
}

/// An empty house at a port that the provider knows. `None` after saying that the test is skipped.
pub(super) fn plot() -> Option<Sketch> {
    let shared = shared()?;
    let next = shared.taken.fetch_add(1, Ordering::SeqCst);
    let mut sketch = Sketch::new();
    sketch.port = *shared.ports.get(next).expect("more houses than HOUSES");
    Some(sketch)
}

/// What a realm looks like, in flow form.
pub(super) fn realm(
    sketch: &Sketch,
    issuer: &str,
    name: &str,
    client: &str,
    response_type: &str,
) -> String {
    let order = if name == "oidc1" { 5 } else { 6 };
    format!(
        "{name}: {{ order: {order}, rp: {{ client_id: {client}, client_secret: '{SECRET}', \
         redirect_uri: '{}', response_type: {response_type}, \
         requested_scopes: [openid, profile, email, groups], \
         post_logout_redirect_uri: '{}' }}, op: {{ issuer: '{}' }}, \
         claims: {{ principal: sub, groups: groups, name: name, mail: email }} }}",
        sketch.own(&format!("oidc/{name}/callback")),
        sketch.own("logged-out"),
        issuer,
    )
}

/// A house whose only way in is the provider `oidc1`.
pub(super) fn sketch() -> Option<Sketch> {
    let sketch = plot()?;
    let realm = realm(&sketch, issuer(), "oidc1", "es", "code");
    Some(
        sketch
            .realms(&format!("oidc: {{ {realm} }}"))
            .provider("{ name: oidc1, login: { oidc: { realm: oidc1 } } }"),
    )
}

/// Goes on from the provider's form, as somebody whom it knows.
pub(super) fn at_provider(tab: &mut Tab, name: &str) -> Page {
    assert!(
        tab.page().url.as_str().starts_with(issuer()),
        "{}",
        tab.page().story()
    );
    tab.submit(&[("login", name)])
}

/// Logs in and stops before the callback is asked.
fn until_callback(house: &House, person: &Person, path: &str, name: &str) -> (Tab, Pending) {
    let mut tab = person.tab();
    tab.open(&house.at(path));
    let pending = tab.submitting(&[("login", name)]);
    let callback = tab.go_until(pending, |pending| pending.url.path().ends_with("/callback"));
    (tab, callback)
}

/// Fails unless the page tells people this reason, nobody is logged in, and the log says why.
fn refused(house: &House, person: &Person, page: &Page, reason: &str) {
    assert!(page.status() >= 400, "{}", page.story());
    assert!(
        page.text().contains(reason),
        "no {reason}\n{}",
        page.story()
    );
    assert_eq!(here(page), None);
    house.is_stranger(person);
    house.logged(&[reason]);
}

#[test]
fn the_code_flow_ends_where_it_was_meant_to_and_the_mapped_roles_arrive() {
    let Some(sketch) = sketch() else { return };
    let house = sketch.build();
    let person = house.person();
    let mut tab = person.tab();
    tab.open(&house.at("/orders/7?sort=up"));
    let page = at_provider(&mut tab, "alice");
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders/7?sort=up");
    let seen = house.app.only_request();
    assert_eq!(seen.header("x-forwarded-roles"), Some("shopper"));
    assert_eq!(seen.header("cookie"), None);
    assert_eq!(person.jar().refused, Vec::new());
    // Nothing of the attempt is left in the browser.
    assert_eq!(person.cookies("sidegate-login"), Vec::new());
}

#[test]
fn a_logout_here_is_a_logout_at_the_provider_and_comes_back() {
    let Some(sketch) = sketch() else { return };
    let house = sketch.build();
    let person = house.person();
    let mut tab = person.tab();
    tab.open(&house.at("/"));
    is_here(&at_provider(&mut tab, "alice"), "alice");
    let thief = person.twin();
    let asked = tab.open(&house.own("logout"));
    assert!(
        asked.url.as_str().starts_with(issuer()),
        "{}",
        asked.story()
    );
    // Already logged out here, whatever happens there.
    house.is_stranger(&thief);
    let back = tab.submit(&[]);
    assert_eq!(back.url.path(), "/_sidegate/logged-out", "{}", back.story());
    assert_eq!(back.status(), 200);
    // And there: the next login asks again.
    let again = tab.click("Log in");
    assert!(
        again.url.as_str().starts_with(issuer()),
        "{}",
        again.story()
    );
    assert!(!again.forms().is_empty(), "{}", again.story());
}

#[test]
fn parallel_tabs_end_each_at_its_own_page_in_any_order() {
    let Some(sketch) = sketch() else { return };
    let house = sketch.build();
    let person = house.person();
    let (mut first, one) = until_callback(&house, &person, "/one", "alice");
    // The provider knows the browser by now, and sends the other tabs on by itself.
    let hold = |pending: &Pending| pending.url.path().ends_with("/callback");
    let mut second = person.tab();
    let two = second.open_until(&house.at("/two?x=2"), hold);
    let mut third = person.tab();
    let three = third.open_until(&house.at("/three"), hold);
    for (tab, callback, place) in [
        (&mut third, three, "/three"),
        (&mut first, one, "/one"),
        (&mut second, two, "/two?x=2"),
    ] {
        let page = tab.go(callback);
        is_here(&page, "alice");
        assert_eq!(page.place(), place);
    }
}

#[test]
fn a_double_submit_and_the_back_button_end_well_for_who_is_logged_in() {
    let Some(sketch) = sketch() else { return };
    let house = sketch.build();
    let person = house.person();
    let (mut tab, callback) = until_callback(&house, &person, "/one", "alice");
    // Sent twice before the first is answered: both end where it was meant to.
    let hasty = person.twin();
    is_here(&tab.go(callback.clone()), "alice");
    let page = hasty.tab().navigate(&callback);
    assert_eq!(page.header("location"), Some("/one"), "{:?}", page.headers);
    // Again, later, as a reload or the back button sends it.
    let page = tab.go(callback);
    is_here(&page, "alice");
    assert_eq!(house.ask(&person).status, 200);
}

#[test]
fn a_callback_in_another_browser_is_no_login() {
    let Some(sketch) = sketch() else { return };
    let house = sketch.build();
    let (attacker, victim) = (house.person(), house.person());
    // Login CSRF: the attacker's finished login is put before the victim.
    let (_, callback) = until_callback(&house, &attacker, "/", "bob");
    let mut tab = victim.tab();
    let page = tab.go(Tab::lure(callback.url.as_str()));
    refused(&house, &victim, &page, "oidc_state_unknown");
    // Also when the victim has an attempt of their own.
    tab.open(&house.at("/"));
    let page = tab.go(Tab::lure(callback.url.as_str()));
    refused(&house, &victim, &page, "oidc_state_unknown");
    // The attacker's cookies do not help, once the code is used up.
    let thief = attacker.twin();
    thief
        .jar()
        .tamper(|cookie| cookie.name.contains("sidegate"));
    let mut tab = attacker.tab();
    is_here(&tab.go(callback.clone()), "bob");
    let page = thief.tab().go(callback);
    assert_ne!(here(&page).as_deref(), Some("bob"), "{}", page.story());
    house.is_stranger(&thief);
}

#[test]
fn anothers_code_in_ones_own_attempt_is_refused() {
    let Some(sketch) = sketch() else { return };
    let house = sketch.build();
    let (attacker, victim) = (house.person(), house.person());
    let (_, theirs) = until_callback(&house, &attacker, "/", "bob");
    let code = theirs.parameter("code").unwrap();
    let (mut tab, own) = until_callback(&house, &victim, "/", "alice");
    let page = tab.go(own.with("code", &code));
    refused(&house, &victim, &page, "oidc_response_refused");
}

#[test]
fn callbacks_that_make_no_sense_are_told_so_and_leave_no_session() {
    let Some(sketch) = sketch() else { return };
    let house = sketch.build();
    let callback = house.own("oidc/oidc1/callback");
    for (query, reason) in [
        ("?code=x&state=unknown", "oidc_state_unknown"),
        ("?error=access_denied&state=unknown", "oidc_state_unknown"),
        ("?state=x", "oidc_state_unknown"),
        ("?code=a&code=b&state=x", "oidc_response_malformed"),
        ("?code=a&state=x&state=y", "oidc_response_malformed"),
    ] {
        let person = house.person();
        let page = person.tab().open(&format!("{callback}{query}"));
        refused(&house, &person, &page, reason);
    }
    for (change, value, reason) in [
        ("state", "", "oidc_"),
        ("state", "other", "oidc_state_unknown"),
        ("code", "forged", "oidc_response_refused"),
        ("iss", "https://evil.example", "oidc_response_refused"),
    ] {
        let person = house.person();
        let (mut tab, real) = until_callback(&house, &person, "/", "alice");
        let page = tab.go(real.with(change, value));
        assert_eq!(here(&page), None, "{change}={value}");
        refused(&house, &person, &page, reason);
    }
}

#[test]
fn somebody_whom_the_provider_denies_is_told_and_may_try_again() {
    let Some(sketch) = sketch() else { return };
    let house = sketch.build();
    let person = house.person();
    let mut tab = person.tab();
    tab.open(&house.at("/orders/7"));
    let page = at_provider(&mut tab, "mallory");
    refused(&house, &person, &page, "oidc_access_denied");
    assert_eq!(page.status(), 403);
    tab.click("Try again");
    let page = at_provider(&mut tab, "alice");
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders/7");
}

#[test]
fn a_callback_of_one_provider_is_none_of_the_others() {
    let Some(sketch) = plot() else { return };
    let realms = [
        realm(&sketch, issuer(), "oidc1", "es", "code"),
        realm(&sketch, issuer(), "oidc2", "es-post", "code").replace(
            "response_type",
            "client_auth_method: client_secret_post, signature_algorithm: ES256, response_type",
        ),
    ];
    let house = sketch
        .realms(&format!("oidc: {{ {} }}", realms.join(", ")))
        .provider("{ name: oidc1, login: { oidc: { realm: oidc1 } } }")
        .provider("{ name: oidc2, login: { oidc: { realm: oidc2 } } }")
        .build();
    // Both work.
    for name in ["oidc1", "oidc2"] {
        let person = house.person();
        let mut tab = person.tab();
        tab.open(&house.own(&format!("login/{name}?next=/at/{name}")));
        let page = at_provider(&mut tab, "alice");
        is_here(&page, "alice");
        assert_eq!(page.place(), format!("/at/{name}"));
    }
    // What belongs to one does nothing at the other (mix-up).
    let person = house.person();
    let mut tab = person.tab();
    tab.open(&house.own("login/oidc1"));
    let pending = tab.submitting(&[("login", "alice")]);
    let mut callback = tab.go_until(pending, |one| one.url.path().ends_with("/callback"));
    callback.url.set_path("/_sidegate/oidc/oidc2/callback");
    let page = tab.go(callback.clone());
    refused(&house, &person, &page, "attempt_mismatch");
    // A provider that is none, and one of another kind.
    callback.url.set_path("/_sidegate/oidc/nobody/callback");
    let page = tab.go(callback);
    refused(&house, &person, &page, "provider_unknown");
}

#[test]
fn a_third_party_may_begin_a_login_but_neither_choose_the_issuer_nor_the_target() {
    let Some(sketch) = sketch() else { return };
    let house = sketch.build();
    let begin = |query: &[(&str, &str)]| {
        let query = crate::harness::person::encode(query.iter().copied());
        Tab::lure(&house.own(&format!("oidc/oidc1/initiate?{query}")))
    };
    let person = house.person();
    let mut tab = person.tab();
    let target = house.at("/deep?x=1");
    tab.go(begin(&[("iss", issuer()), ("target_link_uri", &target)]));
    let page = at_provider(&mut tab, "alice");
    is_here(&page, "alice");
    assert_eq!(page.place(), "/deep?x=1");
    let other = house.person();
    let mut tab = other.tab();
    tab.go(begin(&[
        ("iss", issuer()),
        ("target_link_uri", "https://evil.example/x"),
    ]));
    let page = at_provider(&mut tab, "bob");
    is_here(&page, "bob");
    assert_eq!(page.place(), "/");
    let stranger = house.person();
    let page = stranger.tab().go(begin(&[("iss", "https://evil.example")]));
    refused(&house, &stranger, &page, "oidc_issuer_unknown");
}

/// A house for the implicit flow, which providers allow no client at `localhost`, and its provider.
pub(super) fn implicit() -> Option<(OidcProvider, House)> {
    let sketch = Sketch::new().host("app.example.test");
    let settings = json!({"redirect_uris": [sketch.own("oidc/oidc1/callback")]});
    let provider = OidcProvider::start(0, &settings)?;
    let realm = realm(
        &sketch,
        &provider.issuer,
        "oidc1",
        "es-implicit",
        "id_token",
    );
    let house = sketch
        .realms(&format!("oidc: {{ {realm} }}"))
        .provider("{ name: oidc1, login: { oidc: { realm: oidc1 } } }")
        .build();
    Some((provider, house))
}

#[test]
fn the_implicit_flow_brings_its_token_from_the_fragment() {
    let Some((_provider, house)) = implicit() else {
        return;
    };
    let person = house.person();
    let mut tab = person.tab();
    tab.open(&house.at("/orders/7"));
    let page = tab.submit(&[("login", "alice")]);
    assert_eq!(
        page.url.path(),
        "/_sidegate/oidc/oidc1/callback",
        "{}",
        page.story()
    );
    let fragment = page.url.fragment().expect("a fragment").to_owned();
    // What the page's script does.
    let page = tab.submit(&[("response", &fragment)]);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders/7");
    // A token without its attempt is none, and neither is a forged one with it.
    let stranger = house.person();
    let mut other = stranger.tab();
    other.open(&house.own("oidc/oidc1/callback"));
    let page = other.submit(&[("response", &fragment)]);
    refused(&house, &stranger, &page, "attempt_used");
    other.open(&house.at("/"));
    let page = other.submit(&[("login", "bob")]);
    let forged = page
        .url
        .fragment()
        .unwrap()
        .replace("id_token=ey", "id_token=ez");
    let page = other.submit(&[("response", &forged)]);
    refused(&house, &stranger, &page, "oidc_response_refused");
}

#[test]
fn a_provider_that_cannot_be_reached_is_told_with_a_way_on() {
    let sketch = Sketch::new();
    let realm = format!(
        "oidc1: {{ order: 5, rp: {{ client_id: es, client_secret: '{SECRET}', redirect_uri: '{}', response_type: code }}, \
         op: {{ issuer: 'http://127.0.0.1:1' }}, claims: {{ principal: sub }} }}",
        sketch.own("oidc/oidc1/callback")
    );
    let house = sketch
        .realms(&format!("oidc: {{ {realm} }}"))
        .provider("{ name: oidc1, login: { oidc: { realm: oidc1 } } }")
        .passwords()
        .build();
    let person = house.person();
    let mut tab = person.tab();
    let page = tab.open(&house.own("login/oidc1?next=/orders/7"));
    refused(&house, &person, &page, "authority_unavailable");
    assert_eq!(page.status(), 503);
    // The other way in still works, and leads where it was meant to.
    tab.open(&house.own("login/basic?next=/orders/7"));
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    is_here(&page, "alice");
}
