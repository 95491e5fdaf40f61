//! Those who ask, each in their own protocol, with whatever credential there is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest as _};

use super::model::{Credential, Model, Over, Place};
use super::world::World;
use crate::harness::client::Wire;
use crate::harness::h2;
use crate::harness::plan::Running;

/// Between two requests of one client.
const PACE: Duration = Duration::from_millis(15);

/// Numbers without a pattern that matters, the same in every run.
struct Dice(usize);

impl Dice {
    fn roll(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn place(&mut self) -> (Place, &'static str) {
        match self.roll() % 4 {
            0 => (Place::Toggled, "/toggled/x"),
            _ => (Place::Open, "/x"),
        }
    }
}

/// HTTP/1.1 on a connection that is kept for forty requests.
pub(super) fn keep_alive(over: &Over, world: &World, model: &Model, seed: usize) {
    let (mut dice, proxy) = (Dice(seed + 1), &world.gate.proxy);
    let mut wire = proxy.connect();
    for number in 1_usize.. {
        if !over.pause(PACE) {
            return;
        }
        if number % 40 == 0 {
            wire = proxy.connect();
        }
        let (credential, (place, path)) = (model.pick(dice.roll()), dice.place());
        let before = model.expect(&credential, place);
        let call = match dice.roll() % 3 {
            0 => proxy.post(path, vec![b'x'; 500]),
            _ => proxy.get(path),
        };
        let call = call.authorization(&credential.authorization);
        let sent = wire.send(&call.bytes());
        match sent.and_then(|()| wire.reply()) {
            Ok(reply) => {
                model.judge_reply(&before, "HTTP/1.1", &reply);
                if reply.header("connection") == Some("close") {
                    wire = proxy.connect();
                }
            }
            Err(error) => {
                model.mistake(format!("a kept connection broke: {error}"));
                wire = proxy.connect();
            }
        }
    }
}

/// A TLS handshake for each request.
pub(super) fn one_by_one(over: &Over, world: &World, model: &Model) {
    let mut dice = Dice(77);
    while over.pause(PACE * 4) {
        let (credential, (place, path)) = (model.pick(dice.roll()), dice.place());
        let before = model.expect(&credential, place);
        let call = world.gate.proxy.get(path);
        let reply = call.authorization(&credential.authorization).send();
        model.judge_reply(&before, "one by one", &reply);
    }
}

/// Eight streams of HTTP/2 at a time, forty times on one connection.
pub(super) fn multiplexed(over: &Over, world: &World, model: &Model) {
    let proxy = &world.gate.proxy;
    let mut dice = Dice(99);
    h2::block_on(async {
        let mut sender = h2::connect(proxy).await;
        for number in 1_usize.. {
            if !over.pause(PACE * 3) {
                return;
            }
            if number % 40 == 0 {
                sender = h2::connect(proxy).await;
            }
            let requests = (0..8).map(|_| {
                let (credential, (place, path)) = (model.pick(dice.roll()), dice.place());
                let before = model.expect(&credential, place);
                let request = h2::get(proxy, path, &credential.authorization);
                let answer = sender.send_request(request);
                async move { (before, answer.await) }
            });
            for (before, answer) in join_all(requests.collect::<Vec<_>>()).await {
                match answer {
                    Ok(answer) => {
                        let (head, _) = h2::whole(answer).await;
                        let reason = head.headers.get("x-sidegate-refusal");
                        let reason = reason.and_then(|reason| reason.to_str().ok());
                        model.judge(&before, "HTTP/2", head.status.as_u16(), reason);
                    }
                    Err(error) => model.mistake(format!("a stream broke: {error}")),
                }
            }
        }
    });
}

type Socket = tungstenite::WebSocket<Wire>;

/// A tunnel, or the status of the refusal; `None` when the connection broke.
fn open(gate: &Running, credential: &Credential) -> Result<Socket, Option<u16>> {
    let url = format!("wss://{}/socket/echo", gate.proxy.host());
    let mut request = url.into_client_request().unwrap();
    let value = credential.authorization.parse().unwrap();
    request.headers_mut().insert("authorization", value);
    match tungstenite::client(request, gate.proxy.connect()) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(reply))) => {
            Err(Some(reply.status().as_u16()))
        }
        Err(_) => Err(None),
    }
}

fn echoes(socket: &mut Socket, text: &str) -> bool {
    let sent = socket.send(Message::text(text));
    sent.is_ok()
        && socket
            .read()
            .is_ok_and(|message| message == Message::text(text))
}

/// Short tunnels with any credential, beside a long one of somebody who stays.
pub(super) fn tunnels(over: &Over, world: &World, model: &Model) {
    let (mut dice, gate) = (Dice(11), &world.gate);
    let mut long: Option<Socket> = None;
    while over.pause(PACE * 8) {
        let credential = model.pick(dice.roll());
        let before = model.expect(&credential, Place::Open);
        match open(gate, &credential) {
            Ok(mut socket) => {
                model.judge(&before, "tunnel", 200, None);
                model.tunnels.fetch_add(1, Ordering::SeqCst);
                if !echoes(&mut socket, "here") {
                    model.mistake("a tunnel does not echo".to_owned());
                }
                let _ = socket.close(None);
            }
            Err(Some(status)) => model.judge(&before, "tunnel", status, None),
            Err(None) => model.mistake("a tunnel broke in its handshake".to_owned()),
        }
        // The first credential is good for ever; the authority may be out of reach, though.
        let Some(socket) = &mut long else {
            long = open(gate, &model.pick(0)).ok();
            continue;
        };
        if !echoes(socket, "still here") {
            model.mistake("the long tunnel ended".to_owned());
            long = None;
        }
    }
}

/// Event streams, read to their end.
pub(super) fn events(over: &Over, world: &World, model: &Model) {
    let (mut dice, proxy) = (Dice(5), &world.gate.proxy);
    while over.pause(PACE * 8) {
        let credential: Arc<Credential> = model.pick(dice.roll());
        let before = model.expect(&credential, Place::Open);
        let call = proxy
            .get("/events")
            .authorization(&credential.authorization);
        let reply = call.send();
        model.judge(&before, "events", reply.status, reply.refusal());
        model.streams.fetch_add(1, Ordering::SeqCst);
        if (reply.status == 200) != reply.text().ends_with("data: second\n\n") {
            model.mistake(format!("half a stream: {:?}", reply.text()));
        }
    }
}
