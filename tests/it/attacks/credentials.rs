//! What clients bring: exactly one credential, read strictly, never mixed up with another (A-01…A-04).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fixture::{Scene, request};
use crate::harness::client::basic;
use crate::harness::elasticsearch::{Account, FakeElasticsearch};
use crate::harness::h2;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

/// One route for anybody who is somebody.
fn for_the_authenticated(fake: &FakeElasticsearch, app: &Server) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("all", "/**", "allow: authenticated")
        .and("login_limit: { per_address: 1000, per_username: 1000 }")
        .start()
}

#[test]
fn a_good_password_passes_and_a_wrong_one_gets_every_challenge() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_the_authenticated(&fake, &app);

    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    for call in [
        gate.proxy.get("/"),
        gate.proxy.get("/").basic("alice", "wrong"),
    ] {
        let refused = call.send().expect(401);
        let challenges: Vec<_> = refused.headers_named("www-authenticate").collect();
        let all = challenges.join(", ");
        for scheme in ["Basic realm=", "Bearer", "ApiKey"] {
            assert!(all.contains(scheme), "{challenges:?}");
        }
    }
    assert_eq!(
        app.requests().len(),
        1,
        "nothing refused reached the upstream"
    );
}

#[test]
fn a_request_without_a_credential_uses_no_cache() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_the_authenticated(&fake, &app);
    for _ in 0..3 {
        gate.proxy
            .get("/")
            .send()
            .expect_refusal(401, "no_credential");
    }
    gate.proxy.get("/").authorization("").send().expect(401);
    assert_eq!(fake.questions(), 0);
    gate.wait_for_metric("sidegate_cache_entries", &[], |count| count == 0.0);
}

fn encoded(bytes: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(bytes))
}

fn authorization(value: &str) -> Vec<u8> {
    request("/app/x", &format!("Authorization: {value}\r\n"))
}

#[test]
fn a_credential_that_cannot_be_read_asks_nobody() {
    let scene = Scene::new();
    let alice = basic("alice", "alice-password");
    let token = alice.strip_prefix("Basic ").unwrap();
    let unpadded = token.trim_end_matches('=');
    for bad in [
        String::new(),
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic !!!!".to_owned(),
        "Basic Zm9v*mFy".to_owned(),
        format!("Basic  {token}"),
        format!("Basic {token}="),
        format!("Basic {token}===="),
        format!("Basic {unpadded}"),
        format!("Basic ={unpadded}"),
        format!("Basic {token} trailing"),
        format!("Basic{token}"),
        format!("Basic:{token}"),
        // Tabs, of which RFC 9110 knows none between scheme and token.
        format!("Basic\t{token}"),
        format!("Basic \t{token}"),
        format!("Bearer\t{token}"),
        // URL-safe letters are another alphabet.
        "Basic _-_-".to_owned(),
        encoded(b"no-colon"),
        encoded(b""),
        encoded(b":password-of-nobody"),
        // Larger than any credential, smaller than a head may be.
        encoded(&[b'a'; 14_000]),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer two words".to_owned(),
        "ApiKey".to_owned(),
        "ApiKey !!!!".to_owned(),
        format!("ApiKey {}", STANDARD.encode("no-colon")),
        format!("ApiKey {}", STANDARD.encode(":no-id")),
        format!("ApiKey {}", STANDARD.encode("no-secret:")),
        "Digest username=\"alice\"".to_owned(),
        "Negotiate YII=".to_owned(),
        "NTLM TlRMTVNTUAAB".to_owned(),
        "Unknown abc".to_owned(),
    ] {
        let refused = scene.refuses(&bad, &[401], &authorization(&bad));
        let challenges: Vec<&str> = refused.headers_named("www-authenticate").collect();
        assert!(
            challenges.iter().any(|it| it.contains("Basic realm=")),
            "{bad}: {challenges:?}"
        );
    }
}

#[test]
fn a_credential_of_a_megabyte_is_not_even_read() {
    let scene = Scene::new();
    let before = scene.heard();
    let answer = scene
        .gate
        .proxy
        .raw(&authorization(&encoded(&vec![b'a'; 1 << 20])));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // A reset may overtake the answer while the megabyte is still being sent.
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert_eq!(scene.heard(), before);
    scene.serves_another();
}

/// Libraries in C end a string at NUL: `alice\0x` must never be alice.
#[test]
fn control_characters_and_broken_letters_in_a_password_ask_nobody() {
    let scene = Scene::new();
    for bad in [
        &b"alice\0:alice-password"[..],
        b"alice\0x:alice-password",
        b"\0alice:alice-password",
        b"alice:alice-password\0",
        b"alice:alice-password\0x",
        b"alice\r\nX-Auth-User: root:alice-password",
        b"alice\n:alice-password",
        b"alice:alice-password\r",
        b"alice:alice-password\n",
        b"alice:alice\r\npassword",
        b"alice\x7f:alice-password",
        b"alice:\x1b[31m",
        b"al\xffice:alice-password",
        b"alice:\xc3\x28",
        b"alice:\xed\xa0\x80",
        b"\xc0\xafalice:alice-password",
        // Latin-1, which old browsers send.
        b"zo\xeb:password",
    ] {
        let shown = String::from_utf8_lossy(bad).into_owned();
        scene.refuses(&shown, &[401], &authorization(&encoded(bad)));
    }
}

#[test]
fn passwords_travel_byte_for_byte_and_split_at_the_first_colon() {
    let scene = Scene::new();
    for (user, password) in [
        ("zoë", "päss:wörd: with : colons"),
        ("carol", ":"),
        ("carol", ":begins"),
        ("carol", "ends:"),
        ("carol", " spaces around "),
        ("carol", "密码🔑"),
        ("carol", ""),
    ] {
        let value = basic(user, password);
        let asked = scene.fake.questions();
        scene.fake.know(&value, Account::new(user, &[], &[]));
        assert_eq!(
            scene.gate.proxy.raw_reply(&authorization(&value)).status,
            200,
            "{user}:{password}"
        );
        assert!(scene.fake.questions() > asked, "{user}:{password}");
        assert!(scene.fake.questions_by(&value) > 0, "as it was sent");
    }
}

/// CVE-2020-25017, CVE-2026-26308: the authoriser sees one value, the upstream another.
#[test]
fn two_credentials_are_refused_and_neither_is_chosen() {
    let scene = Scene::new();
    let (alice, bob) = (
        basic("alice", "alice-password"),
        basic("bob", "bob-password"),
    );
    for (one, other) in [
        (alice.as_str(), bob.as_str()),
        (&bob, &alice),
        (&alice, &alice),
        (&alice, "Bearer abc"),
        ("Bearer abc", &alice),
        (&alice, ""),
        ("", &alice),
        (&alice, "Unknown x"),
    ] {
        let lines = format!("Authorization: {one}\r\nX-Between: 1\r\nauthorization: {other}\r\n");
        let refused = scene.refuses(&lines, &[400], &request("/app/x", &lines));
        assert_eq!(refused.refusal(), Some("ambiguous_credentials"), "{lines}");
    }
    for line in [
        format!("{alice}, Bearer abc"),
        format!("{alice},{bob}"),
        format!("{alice},"),
        format!("Bearer abc, {alice}"),
        "Bearer abc,def".to_owned(),
    ] {
        let refused = scene.refuses(&line, &[400], &authorization(&line));
        assert_eq!(refused.refusal(), Some("ambiguous_credentials"), "{line}");
    }
}

#[test]
fn two_credentials_over_http2_are_refused_and_neither_is_chosen() {
    let scene = Scene::with(Plan::tls);
    let before = scene.heard();
    let (alice, bob) = (
        basic("alice", "alice-password"),
        basic("bob", "bob-password"),
    );
    let statuses = h2::block_on(async {
        let mut sender = h2::connect(&scene.gate.proxy).await;
        let mut statuses = Vec::new();
        for (one, other) in [
            (&alice, bob.as_str()),
            (&bob, &alice),
            (&alice, &alice),
            (&alice, "Bearer abc"),
            (&alice, ""),
        ] {
            let mut request = h2::get(&scene.gate.proxy, "/app/x", one);
            request
                .headers_mut()
                .append("authorization", other.parse().unwrap());
            statuses.push(
                sender
                    .send_request(request)
                    .await
                    .unwrap()
                    .status()
                    .as_u16(),
            );
        }
        statuses
    });
    assert_eq!(statuses, [400; 5]);
    assert_eq!(scene.heard(), before);
    scene.serves_another();
}

#[test]
fn the_scheme_is_case_blind_and_shares_one_entry() {
    let scene = Scene::new();
    let key = STANDARD.encode("id:secret");
    for (schemes, token) in [
        (
            ["Basic", "basic", "bAsIc", "BASIC"],
            STANDARD.encode("dora:pw"),
        ),
        (["Bearer", "bearer", "bEaReR", "BEARER"], "token".to_owned()),
        (["ApiKey", "apikey", "APIKEY", "aPIkEY"], key),
    ] {
        // Whatever was typed, the authority is asked in the scheme's own spelling.
        let known = format!("{} {token}", schemes[0]);
        scene.fake.know(&known, Account::new("dora", &[], &[]));
        for scheme in schemes {
            let value = format!("{scheme} {token}");
            assert_eq!(
                scene.gate.proxy.raw_reply(&authorization(&value)).status,
                200,
                "{value}"
            );
        }
        let most = if schemes[0] == "ApiKey" { 2 } else { 1 };
        let asked = scene.fake.questions_by(&known);
        assert!((1..=most).contains(&asked), "{known}: {asked} times");
    }
}
