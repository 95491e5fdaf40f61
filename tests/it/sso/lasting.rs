//! What a session opened ends with it, and keeps it from ending by no means.

use super::house::{Sketch, page};
use crate::tunnels::{App, Open};

#[test]
fn a_logout_ends_what_the_session_opened_at_once() {
    let App { server, closes } = App::with(page);
    let house = Sketch::new().passwords().build_before(server);
    let person = house.person();
    let mut tab = house.log_in(&person, "alice");
    let cookies: Vec<String> = person
        .cookies("")
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let cookie = cookies.join("; ");
    let (cookie, origin, proxy) = (cookie.as_str(), house.url.as_str(), &house.gate.proxy);
    let socket = Open::socket(proxy, "/ws", &[("cookie", cookie), ("origin", origin)]);
    let events = Open::events(proxy, "/events", &[("cookie", cookie)]);
    tab.open(&house.own("logout"));
    let app = App {
        server: crate::harness::server::Server::echoing(),
        closes,
    };
    for open in [socket, events] {
        open.ends_with(1008, &app);
    }
    house.logged(&[
        "closed what was open",
        "websocket",
        "session_ended",
        "alice",
    ]);
    house.logged(&["closed what was open", "response", "session_ended", "alice"]);
}

#[test]
fn what_is_looked_at_again_keeps_no_session_from_idling_away() {
    let App { server, closes } = App::with(page);
    let house = Sketch::new()
        .passwords()
        .sso("session: { idle_timeout: 3s }")
        .recheck("200ms")
        .build_before(server);
    let person = house.person();
    house.log_in(&person, "alice");
    let cookies: Vec<String> = person
        .cookies("")
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let cookie = cookies.join("; ");
    let (cookie, origin, proxy) = (cookie.as_str(), house.url.as_str(), &house.gate.proxy);
    let socket = Open::socket(proxy, "/ws", &[("cookie", cookie), ("origin", origin)]);
    let app = App {
        server: crate::harness::server::Server::echoing(),
        closes,
    };
    socket.ends_with(1008, &app);
    house.is_stranger(&person);
    house.logged(&[
        "closed what was open",
        "websocket",
        "session_ended",
        "alice",
    ]);
}
