//! Faults of Redis, seen by somebody who has a session there: rows of the table in `docs/faults.md`.

use super::house::{House, Sketch};
use crate::faults::row::{Row, Sees, rows};
use crate::harness::client::Reply;
use crate::harness::eventually;
use crate::harness::fault_proxy::FaultProxy;
use crate::harness::person::Person;
use crate::harness::redis::Redis;

const STORE: &str = "The session store";
const REQUESTS: &str = "sidegate_session_store_requests_total";
const TROUBLE: &[&str] = &["result=\"trouble\""];
const UNAVAILABLE: Sees = Sees::Refusal(503, "store_unavailable");
const REFUSED: &str = "reason=\"store_unavailable\"";

rows! { play;
    redis_refuses: Refuses in STORE => UNAVAILABLE, &[REFUSED], REQUESTS, TROUBLE;
    redis_resets: Resets in STORE => UNAVAILABLE, &[REFUSED], REQUESTS, TROUBLE;
    redis_is_silent: Silent in STORE => UNAVAILABLE, &[REFUSED], REQUESTS, TROUBLE;
    redis_talks_nonsense: Garbage in STORE => UNAVAILABLE, &[REFUSED], REQUESTS, TROUBLE;
}

fn play(row: &Row) {
    let Some(redis) = Redis::plain() else { return };
    let port = redis.address().rsplit(':').next().unwrap().parse().unwrap();
    let proxy = FaultProxy::to(([127, 0, 0, 1], port).into());
    let house = Sketch::new()
        .passwords()
        .sso(&format!(
            "session: {{ keys: [sso-key-one-sso-key-one-sso-key-1], store: {{ redis: {{ address: \"{}\", timeout: 1s }} }} }}",
            proxy.address()
        ))
        .build();
    let person = house.person();
    house.log_in(&person, "alice");
    let cookies = person.cookies("session");
    proxy.suffer(row.trouble.fault());
    let before = row.counted(&house.gate);
    // What a replica has just read of a session counts for a few seconds.
    let refused = asked_until(&house, &person, |status| status != 200);
    row.is_seen(&house.gate, &refused);
    row.is_told(&house.gate, before);
    // Who needs no session is not concerned, and nobody is logged out.
    is_there_without_a_session(&house);
    proxy.heal();
    asked_until(&house, &person, |status| status == 200);
    assert_eq!(person.cookies("session"), cookies);
}

fn is_there_without_a_session(house: &House) {
    let call = house.gate.proxy.get("/api").basic("bob", "bob-password");
    call.send().expect(200);
}

/// The first answer that is wanted, of somebody who keeps asking.
fn asked_until(house: &House, person: &Person, wanted: impl Fn(u16) -> bool) -> Reply {
    let mut reply = house.ask(person);
    let came = eventually(|| {
        reply = house.ask(person);
        wanted(reply.status)
    });
    assert!(came, "{}", house.gate.process.output());
    reply
}
