//! WebSocket: a tunnel, but only after a handshake that both sides meant.
//!
//! Always true: no byte is tunnelled before the upstream's `101` was checked against the client's key; any other upgrade
//! (`h2c` first of all) is dropped and the request served as an ordinary one; an answer other than `101` is relayed as the
//! ordinary response it is. A tunnel uses a connection of its own, never a pooled one.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use hyper::client::conn::http1;
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::connection::classify;
use super::failure::Failure;
use super::recheck::Guard;
use super::site::{Local, Shared};
use super::slots::Slot;
use super::tunnel::{Goodbye, relay};
use super::upstream::Upstream;
use crate::gate::refusal::{Ambiguity, Refusal};
use crate::model::clock::{self, Now};
use crate::net::drain::Phase;
use crate::net::http::{Body, Head};
use crate::net::serve::Tenure;
use crate::net::upgraded::client_stream;

/// RFC 6455 §1.3
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// RFC 6455 §7.4.1: somebody may not go on, and somebody goes away.
const POLICY: u16 = 1008;
const GOING_AWAY: u16 = 1001;

/// For whoever may not go on to take note of it.
const PATIENCE: Duration = Duration::from_secs(2);
/// For the two sides of a tunnel to part when the program drains.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// A WebSocket asked for as a stream of HTTP/2 (RFC 8441).
#[derive(Clone, Copy, Debug)]
struct Extended;

/// Reads an extended `CONNECT` for a WebSocket as the handshake of HTTP/1.1 that it stands for, so that it is judged like one.
/// Any other `CONNECT` stays what it is, which nothing takes.
pub fn read_as_get(head: &mut Head) {
    if head.method != Method::CONNECT {
        return;
    }
    let extends = head.version == Version::HTTP_2
        && head
            .extensions
            .get::<Protocol>()
            .is_some_and(|protocol| protocol.as_str() == "websocket");
    // Its key plays no part in HTTP/2; the application gets one of our own.
    let key = STANDARD.encode(clock::random_bytes::<16>());
    if extends && let Ok(key) = HeaderValue::try_from(key) {
        head.method = Method::GET;
        head.extensions.insert(Extended);
        let headers = &mut head.headers;
        headers.insert(SEC_WEBSOCKET_KEY, key);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// A client's WebSocket handshake, checked.
#[derive(Debug)]
pub struct Handshake {
    /// What the upstream must answer the client's key with.
    accept: String,
    /// Whether the client asked in HTTP/2, where 200 says what 101 says in HTTP/1.1, and any other success would, too.
    extended: bool,
}

impl Handshake {
    /// The handshake in a request, if it holds one. A request for any other protocol holds none.
    ///
    /// # Errors
    /// [`Refusal::Ambiguous`] when it asks for WebSocket but isn't a handshake by RFC 6455 §4.1, or brings a body.
    pub fn find(head: &Head) -> Result<Option<Self>, Refusal> {
        let headers = &head.headers;
        if !headers.contains_key(UPGRADE) {
            return Ok(None);
        }
        let extended = head.extensions.get::<Extended>().is_some();
        if (head.version != Version::HTTP_11 && !extended)
            || !lists(headers, &UPGRADE, "websocket")
            || !lists(headers, &CONNECTION, "upgrade")
        {
            return Ok(None);
        }
        let has_body = headers.contains_key(TRANSFER_ENCODING)
            || headers
                .get(CONTENT_LENGTH)
                .is_some_and(|length| length != "0");
        if has_body {
            return Err(Refusal::Ambiguous(Ambiguity::Framing));
        }
        let version = single(headers, &SEC_WEBSOCKET_VERSION).is_some_and(|value| value == "13");
        let key = single(headers, &SEC_WEBSOCKET_KEY)
            .filter(|key| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16));
        match key {
            Some(key) if version && head.method == Method::GET => Ok(Some(Self {
                accept: accept_value(key.as_bytes()),
                extended,
            })),
            _ => Err(Refusal::Ambiguous(Ambiguity::Header)),
        }
    }

    /// Whether a response switches to WebSocket, and in answer to this handshake.
    fn is_answered_by(&self, response: &http::Response<Body>) -> bool {
        let headers = response.headers();
        response.status() == StatusCode::SWITCHING_PROTOCOLS
            && single(headers, &UPGRADE)
                .is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
            && lists(headers, &CONNECTION, "upgrade")
            && single(headers, &SEC_WEBSOCKET_ACCEPT).is_some_and(|it| it == self.accept.as_str())
    }
}

/// RFC 6455 §4.2.2: the key and a fixed string, hashed with SHA-1. It proves understanding, not secrecy.
fn accept_value(key: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    STANDARD.encode(context.finish())
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers.get_all(name).iter().any(|line| {
        line.as_bytes()
            .split(|byte| *byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    })
}

/// Sends the handshake on. After a valid `101` the tunnel runs by itself, until either side closes, it idles for too long, or a
/// drain cuts it.
///
/// `head` is stripped and rewritten like any other request's; what the handshake needs is put back here.
///
/// # Errors
/// [`Failure::Upgrade`] for a `101` that doesn't answer this handshake; otherwise as any request.
pub async fn tunnel(
    handshake: Handshake,
    mut head: Head,
    local: &Arc<Local>,
    index: usize,
    guard: Option<Box<Guard>>,
    now: Now,
) -> Result<http::Response<Body>, Failure> {
    let upstream = &local.site.upstreams[index];
    if upstream.speaks_http2() {
        // The check of the configuration says so, too.
        return Err(Failure::Upgrade);
    }
    let client = head.extensions.remove::<OnUpgrade>();
    let tenure = head.extensions.remove::<Tenure>();
    let slot = head.extensions.remove::<Slot>();
    head.headers
        .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    head.headers
        .insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Some(host) = upstream.host_header() {
        head.headers.insert(HOST, host);
    }
    head.version = Version::HTTP_11;
    let stream = upstream.dial(&local.pools[index], now).await?;
    let mut response = exchange(stream, head, upstream).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return if handshake.extended && response.status().is_success() {
            Err(Failure::Upgrade)
        } else {
            Ok(response)
        };
    }
    if !handshake.is_answered_by(&response) {
        return Err(Failure::Upgrade);
    }
    let (Some(client), Some(server)) = (client, response.extensions_mut().remove::<OnUpgrade>())
    else {
        return Err(Failure::Upgrade);
    };
    let shared = Arc::clone(&local.shared);
    let idle = upstream.idle_timeout();
    let hold = shared.drain.hold();
    tokio::spawn(async move {
        run((client, server), shared, idle, guard).await;
        drop((hold, tenure, slot));
    });
    if handshake.extended {
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    }
    Ok(response)
}

/// One request over a stream of its own. The connection's future runs by itself.
async fn exchange(
    stream: crate::net::connect::Stream,
    head: Head,
    upstream: &Upstream,
) -> Result<http::Response<Body>, Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::Closed)?;
    tokio::spawn(connection.with_upgrades());
    let limit = upstream.response_timeout();
    let request = http::Request::from_parts(head, Body::Empty);
    let response = tokio::time::timeout(limit, sender.send_request(request))
        .await
        .map_err(|_elapsed| Failure::ResponseTimeout(limit))?
        .map_err(classify)?;
    let (mut parts, body) = response.into_parts();
    let body = if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        Body::Empty
    } else {
        // hyper puts no upgrade beside an ordinary answer; make sure of it.
        parts.extensions.remove::<OnUpgrade>();
        Body::from(body)
    };
    Ok(http::Response::from_parts(parts, body))
}

async fn run(
    (client, server): (OnUpgrade, OnUpgrade),
    shared: Arc<Shared>,
    idle: Option<Duration>,
    guard: Option<Box<Guard>>,
) {
    let open = shared.metrics.tunnels();
    open.inc();
    let ended = async {
        let (client, server): (Upgraded, Upgraded) = tokio::try_join!(client, server)?;
        let client = client_stream(client)?;
        let server = Box::new(TokioIo::new(server));
        relay(client, server, goodbye(&shared, guard), idle).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    };
    tokio::select! {
        ended = ended => {
            if let Err(error) = ended {
                debug!(%error, "tunnel ended");
            }
        }
        () = shared.drain.reached(Phase::Cut) => debug!("tunnel cut at the drain's deadline"),
    }
    open.dec();
}

/// Over when the tunnel has to end: its client may not have it any more, or the program drains.
async fn goodbye(shared: &Shared, guard: Option<Box<Guard>>) -> Goodbye {
    let over = async {
        match guard {
            Some(guard) => guard.over().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        cause = over => Goodbye { code: POLICY, reason: cause.public(), patience: PATIENCE },
        () = shared.drain.reached(Phase::Draining) => Goodbye {
            code: GOING_AWAY,
            reason: "going away",
            patience: DRAIN_PATIENCE,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 §1.3
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn head(headers: &[(&str, &str)]) -> Head {
        let mut builder = http::Request::builder().uri("/ws");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn good() -> Vec<(&'static str, &'static str)> {
        vec![
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ]
    }

    fn without(name: &str, also: (&'static str, &'static str)) -> Head {
        let mut headers = good();
        headers.retain(|(known, _)| *known != name);
        headers.push(also);
        head(&headers)
    }

    #[test]
    fn a_handshake_expects_the_answer_of_the_rfc() {
        let handshake = Handshake::find(&head(&good())).unwrap().unwrap();
        assert_eq!(handshake.accept, ACCEPT);
    }

    #[test]
    fn other_upgrades_are_no_handshake() {
        for other in [("upgrade", "h2c"), ("upgrade", "TLS/1.0")] {
            assert!(
                Handshake::find(&without("upgrade", other))
                    .unwrap()
                    .is_none()
            );
        }
        let unnamed = without("connection", ("connection", "keep-alive"));
        assert!(Handshake::find(&unnamed).unwrap().is_none());
        // What HTTP/2 calls a WebSocket never has such lines, unless they were put there for an extended `CONNECT`.
        let mut http2 = head(&good());
        http2.version = Version::HTTP_2;
        assert!(Handshake::find(&http2).unwrap().is_none());
    }

    #[test]
    fn a_malformed_handshake_is_refused() {
        for (name, also) in [
            ("sec-websocket-key", ("x", "y")),
            ("sec-websocket-key", ("sec-websocket-key", "short")),
            ("none", ("sec-websocket-key", KEY)),
            ("sec-websocket-version", ("sec-websocket-version", "12")),
            ("none", ("content-length", "5")),
            ("none", ("transfer-encoding", "chunked")),
        ] {
            assert!(Handshake::find(&without(name, also)).is_err(), "{also:?}");
        }
    }

    #[test]
    fn only_the_right_101_opens_a_tunnel() {
        let handshake = Handshake::find(&head(&good())).unwrap().unwrap();
        let answer = |status: u16, upgrade: &str, accept: &str| {
            http::Response::builder()
                .status(status)
                .header("connection", "upgrade")
                .header("upgrade", upgrade)
                .header("sec-websocket-accept", accept)
                .body(Body::Empty)
                .unwrap()
        };
        assert!(handshake.is_answered_by(&answer(101, "websocket", ACCEPT)));
        for wrong in [
            answer(200, "websocket", ACCEPT),
            answer(101, "h2c", ACCEPT),
            answer(101, "websocket", "AAAA"),
            answer(101, "websocket", &ACCEPT.to_lowercase()),
        ] {
            assert!(!handshake.is_answered_by(&wrong));
        }
    }
}
