//! What Sidegate judged is what a real upstream reads, or the request is refused: hundreds of odd requests, three upstreams.
//!
//! The upstreams disagree with each other about many of these requests; that is the point. For each request that reached one,
//! its own reading is compared with Sidegate's access record of that request.

mod corpus;
mod fields;
pub(crate) mod frames;
mod origins;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use self::corpus::{Case, corpus};
use self::origins::{Origin, Seen};
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};

#[test]
fn nginx_reads_what_was_judged() {
    compare(Origin::nginx());
}

#[test]
fn node_reads_what_was_judged() {
    compare(Origin::node());
}

#[test]
fn python_reads_what_was_judged() {
    compare(Origin::python());
}

#[test]
fn nginx_reads_what_was_judged_of_http2() {
    compare_http2(Origin::nginx());
}

#[test]
fn node_reads_what_was_judged_of_http2() {
    compare_http2(Origin::node());
}

#[test]
fn python_reads_what_was_judged_of_http2() {
    compare_http2(Origin::python());
}

/// Nobody waits long for what will never come.
const IMPATIENT: &str =
    "limits: { header_timeout: 2s, body_idle_timeout: 1s, keep_alive_timeout: 1s }";

fn gate(origin: &Origin) -> Running {
    let fake = FakeElasticsearch::with_people();
    Plan::with_elasticsearch(&fake)
        .listener(IMPATIENT)
        .upstream_yaml("app", &origin.keys)
        .route("public", "/public/**", "allow: everyone")
        .route("admin", "/admin/**", "allow: everyone")
        .start()
}

fn compare(origin: Option<Origin>) {
    let Some(origin) = origin else { return };
    let gate = gate(&origin);
    let cases = corpus();
    assert!(cases.len() >= 500, "{} cases", cases.len());
    let refused = send_all(cases.len(), |index| {
        let answer = gate.proxy.raw(&cases[index].raw(&index.to_string()));
        let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let mut heads = head.split("\r\n\r\n");
        let last = heads.find(|head| !head.starts_with("http/1.1 100"));
        let head = last.unwrap_or_default();
        // Either Sidegate's own words, or the HTTP library's, which has fewer. Nothing at all tells nothing: an answer is lost
        // when its connection is closed on bytes that nobody read.
        head.contains("x-sidegate-refusal") || (!head.is_empty() && !head.contains("x-request-id"))
    });
    judge(
        &origin,
        &gate,
        &cases.iter().map(Case::told).collect::<Vec<_>>(),
        &refused,
    );
}

fn compare_http2(origin: Option<Origin>) {
    let Some(origin) = origin else { return };
    let gate = gate(&origin);
    let cases = fields::corpus();
    let refused = send_all(cases.len(), |index| {
        !frames::is_answered_with_200(
            &gate.proxy,
            &cases[index].fields(index),
            cases[index].data(),
        )
    });
    judge(
        &origin,
        &gate,
        &cases.iter().map(fields::Case::told).collect::<Vec<_>>(),
        &refused,
    );
}

/// What a fault says about a case: its name, and the bytes of its body where every reading agrees.
type Told = (String, Option<usize>);

/// Compares what arrived with what was judged.
fn judge(origin: &Origin, gate: &Running, cases: &[Told], refused: &HashSet<usize>) {
    // Their lines may come late, and in any order: this one is sent when everything else is answered.
    let last = "last";
    gate.proxy
        .get("/public/last")
        .header("x-case", last)
        .send()
        .expect(200);
    origin.wait_for(last);
    let mut faults = Vec::new();
    let mut once = HashSet::new();
    for seen in origin.seen() {
        if seen.case.as_deref() == Some(last) {
            continue;
        }
        let case = seen.case.as_deref().and_then(|id| id.parse::<usize>().ok());
        let Some((index, (name, length))) = case.and_then(|index| Some((index, cases.get(index)?)))
        else {
            faults.push(format!("a request that nobody sent: {seen:?}"));
            continue;
        };
        let mut fault = |what: String| faults.push(format!("{name}: {what}: {seen:?}"));
        if !once.insert(index) {
            fault("arrived twice".into());
        }
        // The head of a request whose body breaks off later may have travelled on.
        if refused.contains(&index) && length.is_some() {
            fault("was refused and arrived all the same".into());
        }
        match seen.id.as_ref().and_then(|id| record(gate, id)) {
            Some(record) => differences(&seen, &record, *length, &mut fault),
            None => fault("has no record".into()),
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", origin.name, faults.join("\n"));
    // A gate that lets nothing through, or everything, would pass all of the above.
    assert!(once.len() * 5 > cases.len(), "only {} arrived", once.len());
    assert!(
        refused.len() * 8 > cases.len(),
        "only {} refused",
        refused.len()
    );
}

/// Sends every case; `send` tells whether Sidegate refused it.
fn send_all(count: usize, send: impl Fn(usize) -> bool + Sync) -> HashSet<usize> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut refused = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return refused;
            }
            if send(index) {
                refused.push(index);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..24).map(|_| scope.spawn(work)).collect();
        let all = workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap());
        all.collect()
    })
}

/// The access record of a request. Lines of several workers come in no order, so each is waited for.
fn record(gate: &Running, id: &str) -> Option<Value> {
    let line = gate.process.stdout.find(|line| line.contains(id))?;
    serde_json::from_str(&line).ok()
}

fn differences(seen: &Seen, record: &Value, length: Option<usize>, fault: &mut impl FnMut(String)) {
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    if text("http.request.method") != seen.method {
        fault(format!("judged as {}", text("http.request.method")));
    }
    // The record has the path as asked for; where that needed no resolving, it is what arrives.
    let path = seen.target.split('?').next().unwrap_or_default();
    let asked = text("url.path");
    let plain =
        |letter: char| letter.is_ascii_alphanumeric() || "/-_~!$&'()*+,:@=".contains(letter);
    if asked.chars().all(plain) && asked != path {
        fault(format!("judged as path {asked}"));
    }
    let host = seen.host.clone().unwrap_or_default().to_ascii_lowercase();
    if !host.starts_with(text("url.domain")) || text("url.domain").is_empty() {
        fault(format!("judged as host {:?}", text("url.domain")));
    }
    let below = |prefix: &str| {
        let path = seen.path.to_ascii_lowercase();
        path == *prefix || path.starts_with(&format!("{prefix}/"))
    };
    let route = text("sidegate.route");
    for (name, prefix) in [("admin", "/admin"), ("public", "/public")] {
        if below(prefix) && route != name && seen.path.starts_with(prefix) {
            fault(format!("judged by route {route}, read as {}", seen.path));
        }
    }
    if let (Some(found), Some(meant)) = (seen.length, length)
        && found != meant
    {
        fault(format!("a body of {meant} bytes"));
    }
}
