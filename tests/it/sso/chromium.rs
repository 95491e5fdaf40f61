//! The same ways in a real Chromium: what only a real browser shows. The scenarios are in `tests/browser/scenarios`.

use serde_json::{Value, json};

use super::house::{House, Sketch};
use super::oidc;
use crate::harness::browser::Browser;

fn play(house: &House, scenario: &str, more: &Value) {
    let Some(browser) = Browser::shared() else {
        return;
    };
    let mut args = json!({"url": house.url});
    for (name, value) in more.as_object().into_iter().flatten() {
        args[name] = value.clone();
    }
    browser.play(scenario, &args);
}

#[test]
fn a_login_by_password_keeps_the_fragment_and_back_and_double_click_do_no_harm() {
    play(&Sketch::new().passwords().build(), "password", &json!({}));
}

#[test]
fn three_tabs_log_in_at_an_openid_provider_and_end_where_each_was_meant_to() {
    let Some(sketch) = oidc::sketch() else { return };
    play(&sketch.build(), "tabs", &json!({}));
}

#[test]
fn a_login_and_a_logout_at_an_openid_provider() {
    let Some(sketch) = oidc::sketch() else { return };
    play(&sketch.build(), "oidc", &json!({"issuer": oidc::issuer()}));
}

#[test]
fn a_token_of_the_implicit_flow_does_not_stay_in_the_history() {
    let Some((_provider, house)) = oidc::implicit() else {
        return;
    };
    play(&house, "implicit", &json!({}));
}

#[test]
fn the_pages_are_readable_in_both_themes_on_phone_and_desktop() {
    let house = Sketch::new()
        .passwords()
        .provider("{ name: guest, login: { anonymous: { basic: { username: bob, password: bob-password } } } }")
        .build();
    play(&house, "look", &json!({}));
}

#[test]
fn the_session_script_keeps_two_tabs_in_step() {
    play(&Sketch::new().passwords().build(), "in_step", &json!({}));
}
