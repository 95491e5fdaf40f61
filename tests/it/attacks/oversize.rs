//! Heads larger than any honest one: refused, and memory stays where it was.

use std::fs;

use super::fixture::{Scene, request};
use crate::harness::client::basic;

/// More than a head may have, by what is too much of.
fn heads() -> Vec<(&'static str, Vec<u8>)> {
    let lines =
        |count: usize| -> String { (0..count).map(|line| format!("X-H{line}: v\r\n")).collect() };
    let cookies = |count: usize, end: &str| -> String {
        (0..count)
            .map(|at| format!("Cookie: c{at}={}{end}", "v".repeat(100)))
            .collect()
    };
    let one_line = (0..500).map(|at| format!("c{at}={}", "v".repeat(200)));
    vec![
        ("101 headers", request("/public/a", &lines(101))),
        ("5,000 headers", request("/public/a", &lines(5_000))),
        (
            "a header of 64 KB",
            request(
                "/public/a",
                &format!("X-Big: {}\r\n", "v".repeat(64 * 1024)),
            ),
        ),
        (
            "a header of 1 MB",
            request("/public/a", &format!("X-Big: {}\r\n", "v".repeat(1 << 20))),
        ),
        (
            "a name of 64 KB",
            request("/public/a", &format!("{}: v\r\n", "n".repeat(64 * 1024))),
        ),
        (
            "a target of 70 KB",
            request(&format!("/public/{}", "a".repeat(70_000)), ""),
        ),
        (
            "a query of 70 KB",
            request(&format!("/public/a?{}", "q".repeat(70_000)), ""),
        ),
        (
            "500 cookies in 500 lines",
            request("/public/a", &cookies(500, "\r\n")),
        ),
        (
            "500 cookies in one line",
            request(
                "/public/a",
                &format!("Cookie: {}\r\n", one_line.collect::<Vec<_>>().join("; ")),
            ),
        ),
    ]
}

#[test]
fn oversized_heads_are_refused_and_the_connection_closed() {
    let scene = Scene::new();
    for (what, bytes) in heads() {
        let before = scene.heard();
        let answer = String::from_utf8_lossy(&scene.gate.proxy.raw(&bytes)).into_owned();
        // A reset may overtake the answer while the head is still being sent.
        let refused = ["HTTP/1.1 431", "HTTP/1.1 414", "HTTP/1.1 400"];
        assert!(
            answer.is_empty() || refused.iter().any(|status| answer.starts_with(status)),
            "{what}: {answer}"
        );
        assert_eq!(scene.heard(), before, "{what}");
        scene.serves_another();
    }
}

/// Resident memory of the gate, in KiB (`proc(5)`).
fn resident(scene: &Scene) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", scene.gate.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse().ok()).expect("VmRSS")
}

#[test]
fn a_thousand_oversized_heads_leave_the_memory_where_it_was() {
    let scene = Scene::new();
    let attack = |rounds: usize| {
        for _ in 0..rounds {
            for (_, bytes) in heads() {
                drop(scene.gate.proxy.raw(&bytes));
            }
        }
    };
    attack(20);
    let before = resident(&scene);
    attack(100);
    let after = resident(&scene);
    assert!(
        after < before + 32 * 1024,
        "from {before} KiB to {after} KiB"
    );
    scene.serves_another();
}

/// What is large, but within bounds, is served.
#[test]
fn a_large_honest_head_is_served() {
    let scene = Scene::new();
    let cookies: Vec<String> = (0..100)
        .map(|at| format!("c{at}={}", "v".repeat(100)))
        .collect();
    let headers = format!(
        "Cookie: {}\r\nAuthorization: {}\r\n",
        cookies.join("; "),
        basic("alice", "alice-password")
    );
    let target = format!("/app/{}", "a".repeat(8_000));
    let reply = scene.gate.proxy.raw_reply(&request(&target, &headers));
    assert_eq!(reply.status, 200);
}
