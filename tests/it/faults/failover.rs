//! Nodes and addresses that are killed and brought back in turns while requests go on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::client::{Target, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch};
use crate::harness::fault_proxy::{Fault, FaultProxy};
use crate::harness::plan::Plan;
use crate::harness::server::Server;

/// Clients, and how often each pair of places changes.
const CLIENTS: usize = 4;
const ROUNDS: usize = 12;

/// One client's requests so far.
#[derive(Default)]
struct Progress {
    asked: AtomicUsize,
}

#[test]
fn no_permitted_request_is_lost_while_nodes_and_addresses_go_and_come_back() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let nodes = [(); 2].map(|()| FaultProxy::to(fake.server.address));
    let addresses = [(); 2].map(|()| FaultProxy::to(app.address));
    let gate = Plan::with_authority(&format!(
        "elasticsearch: {{ nodes: [\"{}\", \"{}\"], timeout: 20s }}",
        nodes[0].url(),
        nodes[1].url()
    ))
    .upstream_yaml(
        "app",
        &format!(
            "urls: [\"{}\", \"{}\"]",
            addresses[0].url(),
            addresses[1].url()
        ),
    )
    .route("monitor", "/**", "require: { cluster: [monitor] }")
    .and("login_limit: { per_address: 1000000, per_username: 1000000 }")
    .and("cache: { ttl: 1s, negative_ttl: 1s }")
    .start();

    let over = AtomicBool::new(false);
    let progress: [Progress; CLIENTS] = Default::default();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (proxy, fake, over, progress) = (&gate.proxy, &fake, &over, &progress[number]);
                scope.spawn(move || ask_until(over, proxy, fake, number, progress))
            })
            .collect();
        for round in 0..ROUNDS {
            let fault = [Fault::Refuse, Fault::Reset, Fault::Close][round % 3].clone();
            nodes[round % 2].suffer(fault.clone());
            addresses[(round + round / 2) % 2].suffer(fault);
            have_passed(&clients, &progress);
            nodes[round % 2].heal();
            addresses[(round + round / 2) % 2].heal();
            // What was under way when these broke is over before others break.
            have_passed(&clients, &progress);
        }
        over.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().unwrap();
        }
    });
    assert!(
        fake.authentications() > 100,
        "credentials were really asked about"
    );
}

/// Waits until every client has had some answers more, or has failed.
fn have_passed(clients: &[thread::ScopedJoinHandle<'_, ()>], progress: &[Progress]) {
    let goals: Vec<usize> = progress
        .iter()
        .map(|progress| progress.asked.load(Ordering::SeqCst) + 12)
        .collect();
    let done = || {
        let mut pairs = progress.iter().zip(&goals);
        pairs.all(|(progress, goal)| progress.asked.load(Ordering::SeqCst) >= *goal)
    };
    while !done() && !clients.iter().any(thread::ScopedJoinHandle::is_finished) {
        thread::yield_now();
    }
}

/// Fresh and cached credentials, those that are let in and those that are not, on a connection that is kept.
fn ask_until(
    over: &AtomicBool,
    proxy: &Target,
    fake: &FakeElasticsearch,
    client: usize,
    progress: &Progress,
) {
    let mut wire = proxy.connect();
    let alice = basic("alice", "alice-password");
    for number in 0.. {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let (good, bad) = (
            basic(&format!("user-{client}-{number}"), "password"),
            basic(&format!("user-{client}-{number}"), "another"),
        );
        fake.know(&good, Account::new("somebody", &[], &["cluster:monitor"]));
        let bob = basic("bob", "bob-password");
        for (authorization, status) in [(&alice, 200), (&good, 200), (&bad, 401), (&bob, 403)] {
            let call = proxy.get("/x").authorization(authorization);
            let reply = call.send_on(&mut wire).expect(status);
            assert_eq!(reply.text() == "upstream", status == 200);
            progress.asked.fetch_add(1, Ordering::SeqCst);
        }
    }
}
