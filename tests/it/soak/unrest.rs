//! What changes while clients ask: credentials, the configuration, and whether the authority can be reached.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use serde_json::json;

use super::model::{Credential, Model, Over, Toggle, Truth};
use super::world::{CHANGING, TOKEN_LIFE, TTL, World, first_password};
use crate::harness::client::basic;
use crate::harness::fault_proxy::Fault;

/// Clocks and busy machines, around the end of a life.
const BLUR: Duration = Duration::from_millis(700);

/// API keys that are made and invalidated, keys and tokens that expire, passwords that change.
pub(super) fn churn(over: &Over, world: &World, model: &Model) {
    let mut keys: VecDeque<(String, Arc<Credential>)> = VecDeque::new();
    let mut passwords: Vec<Arc<Credential>> = Vec::new();
    for name in CHANGING {
        let number = model.changes.fetch_add(1, Ordering::SeqCst);
        passwords.push(changed(world, model, name, None, number));
    }
    for round in 0_usize.. {
        if !over.pause(Duration::from_millis(150)) {
            break;
        }
        let number = model.changes.fetch_add(1, Ordering::SeqCst);
        match round % 8 {
            0 | 3 => keys.push_back(key(world, model, number, None)),
            1 | 5 => {
                if keys.len() > 1
                    && let Some((id, credential)) = keys.pop_front()
                {
                    invalidate(world, &id, &credential);
                }
            }
            2 => drop(key(world, model, number, Some(3))),
            4 => token(world, model),
            6 if round % 16 == 6 => {
                let user = round / 16 % CHANGING.len();
                let former = Some(&*passwords[user]);
                passwords[user] = changed(world, model, CHANGING[user], former, number);
            }
            _ => {}
        }
    }
    // What is left ends here, so that no other run counts on it.
    for (id, credential) in keys {
        invalidate(world, &id, &credential);
    }
    for (name, credential) in CHANGING.into_iter().zip(passwords) {
        credential.set(Truth::Unsure);
        let body = json!({"password": first_password(name)});
        world.put(&format!("/_security/user/{name}/_password"), &body);
        world.purge(&json!({"user": name}));
        credential.set(Truth::Dead);
    }
}

fn key(
    world: &World,
    model: &Model,
    number: usize,
    seconds: Option<u64>,
) -> (String, Arc<Credential>) {
    let mut body = json!({
        "name": format!("key-{number}"),
        "role_descriptors": {"monitor": {"cluster": ["monitor"]}},
    });
    let before = Instant::now();
    if let Some(seconds) = seconds {
        body["expiration"] = format!("{seconds}s").into();
    }
    let made = world.ask("POST", "/_security/api_key", &body);
    let ends = seconds.map(|seconds| {
        let life = Duration::from_secs(seconds);
        (before + life - BLUR, Instant::now() + life + BLUR)
    });
    let authorization = format!("ApiKey {}", made["encoded"].as_str().unwrap());
    let id = made["id"].as_str().unwrap().to_owned();
    (id, model.add(authorization, Truth::Good, ends))
}

/// From the answer of the purge on, nobody comes in with it.
fn invalidate(world: &World, id: &str, credential: &Credential) {
    credential.set(Truth::Unsure);
    world.ask("DELETE", "/_security/api_key", &json!({"ids": [id]}));
    world.purge(&json!({"api_key_id": id}));
    credential.set(Truth::Dead);
}

/// Nobody tells Sidegate when a token ends, so it may be let in until its answer has expired.
fn token(world: &World, model: &Model) {
    let before = Instant::now();
    let body = json!({"grant_type": "password", "username": "alice", "password": "alice-password"});
    let made = world.ask("POST", "/_security/oauth2/token", &body);
    let life = Duration::from_secs(TOKEN_LIFE);
    let ends = (
        before + life - BLUR,
        Instant::now() + life + Duration::from_secs(TTL) + BLUR,
    );
    let authorization = format!("Bearer {}", made["access_token"].as_str().unwrap());
    model.add(authorization, Truth::Good, Some(ends));
}

/// From the answer of the purge on, only the new password counts.
fn changed(
    world: &World,
    model: &Model,
    name: &str,
    former: Option<&Credential>,
    number: usize,
) -> Arc<Credential> {
    if let Some(former) = former {
        former.set(Truth::Unsure);
    }
    let password = format!("{name}-password-{}", number + 1);
    let path = format!("/_security/user/{name}/_password");
    world.put(&path, &json!({"password": password}));
    world.purge(&json!({"user": name}));
    if let Some(former) = former {
        former.set(Truth::Dead);
    }
    model.add(basic(name, &password), Truth::Good, None)
}

/// A reload every few seconds, that opens or closes a route.
pub(super) fn reload(over: &Over, world: &World, model: &Model) {
    while over.pause(Duration::from_millis(2_500)) {
        let number = model.reloads.fetch_add(1, Ordering::SeqCst) + 1;
        let toggle = match number % 2 {
            0 => Toggle::Everybody,
            _ => Toggle::Nobody,
        };
        model.set_toggle(Toggle::Unsure);
        world.reload(toggle, number);
        model.set_toggle(toggle);
    }
}

/// One node goes and comes back, then both, then one, in other ways each time.
pub(super) fn flap(over: &Over, world: &World, model: &Model) {
    let one = [Fault::Refuse, Fault::Reset, Fault::BlackHole, Fault::Close];
    // How long somebody who asked meanwhile may hear of it.
    let (soon, late) = (Duration::from_secs(2), Duration::from_secs(14));
    let both = [
        (Fault::Refuse, soon),
        (Fault::Reset, soon),
        (Fault::HalfClose, soon),
        (Fault::BlackHole, late),
    ];
    for round in 0_usize.. {
        if !over.pause(Duration::from_millis(1_500)) {
            return;
        }
        let node = &world.nodes[round % 2];
        node.suffer(one[round % one.len()].clone());
        over.pause(Duration::from_millis(1_000));
        node.heal();
        if !over.pause(Duration::from_millis(1_500)) {
            return;
        }
        let (fault, grace) = &both[round % both.len()];
        model.begin_outage();
        for node in &world.nodes {
            node.suffer(fault.clone());
        }
        over.pause(Duration::from_millis(1_000));
        for node in &world.nodes {
            node.heal();
        }
        model.end_outage(*grace);
    }
}
