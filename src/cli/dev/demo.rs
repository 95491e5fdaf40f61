//! The demo application of `sidegate dev`: an upstream that knows nothing of logins and shows who it thinks you are.
//!
//! `/whoami` answers JSON, `/ws` echoes WebSocket messages, `/events` is an endless stream of server-sent events, and every
//! other path is a page. It believes the identity headers because only Sidegate can reach it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::net::http::{Body, Response};

/// Headers the demo shows: those Sidegate sets by default.
const IDENTITY_HEADERS: [&str; 8] = [
    "x-forwarded-user",
    "x-forwarded-roles",
    "x-forwarded-name",
    "x-forwarded-email",
    "x-forwarded-realm",
    "x-forwarded-authentication-type",
    "x-forwarded-api-key-id",
    "x-forwarded-api-key-name",
];

/// Binds a free port on loopback and serves the demo until the process ends.
///
/// # Errors
/// When no port can be bound.
pub(super) async fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            tokio::spawn(async move {
                let service = service_fn(|request| async { Ok::<_, Infallible>(respond(request)) });
                // A connection that breaks is the client's business.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await;
            });
        }
    });
    Ok(address)
}

fn respond(request: http::Request<Incoming>) -> Response {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/ws") => echo(request),
        (&Method::GET, "/events") => events(),
        (_, "/whoami") => whoami(&request),
        (&Method::GET | &Method::HEAD, path) => page(path, request.headers()),
        _ => with_type(
            "application/json",
            json!({"accepted": true, "path": request.uri().path()}).to_string(),
        ),
    }
}

fn identity(headers: &HeaderMap) -> Map<String, Value> {
    IDENTITY_HEADERS
        .iter()
        .filter_map(|name| {
            Some((
                (*name).to_owned(),
                Value::from(headers.get(*name)?.to_str().ok()?),
            ))
        })
        .collect()
}

fn whoami(request: &http::Request<Incoming>) -> Response {
    let answer = json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "identity": identity(request.headers()),
        "authorization_seen": request.headers().contains_key(header::AUTHORIZATION),
    });
    with_type("application/json", format!("{answer:#}\n"))
}

fn page(path: &str, headers: &HeaderMap) -> Response {
    let identity = identity(headers);
    let who = identity
        .get("x-forwarded-user")
        .and_then(Value::as_str)
        .map_or("nobody in particular", |user| user);
    let rows: String = identity
        .iter()
        .map(|(name, value)| {
            format!(
                "<tr><th>{}</th><td>{}</td></tr>",
                escape(name),
                escape(value.as_str().unwrap_or(""))
            )
        })
        .collect();
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>Demo application</title><style>body{{font:1.1rem/1.5 system-ui;max-width:42rem;margin:3rem auto;padding:0 1rem}}\
         th{{text-align:left;padding-right:1.5rem;font-weight:500}}:root{{color-scheme:light dark}}</style>\
         <h1>{}</h1><p>The application sees <strong>{}</strong>.</p><table>{rows}</table>\
         <p>Try <a href=/orders>/orders</a>, <a href=/admin>/admin</a>, <a href=/whoami>/whoami</a>, <a href=/events>/events</a>.</p>",
        escape(path),
        escape(who),
    );
    with_type("text/html; charset=utf-8", html)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn with_type(kind: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::full(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// One event a second, for as long as somebody listens.
fn events() -> Response {
    let ticks = futures_util::stream::unfold(0u64, |count| async move {
        if count > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let event = format!("id: {count}\nevent: tick\ndata: {{\"count\":{count}}}\n\n");
        Some((Ok::<_, Infallible>(Frame::data(event.into())), count + 1))
    });
    let mut response = Response::new(Body::stream(StreamBody::new(ticks)));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// RFC 6455 §4.2.2, then every text or binary message goes back as it came.
fn echo(mut request: http::Request<Incoming>) -> Response {
    let Some(key) = request
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()))
    else {
        let mut response = with_type("text/plain", "this is a WebSocket endpoint\n".to_owned());
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        response
            .headers_mut()
            .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return response;
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&key) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_escapes_what_headers_say() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-forwarded-user",
            HeaderValue::from_static("<script>alert(1)</script>"),
        );
        let response = page("/<b>", &headers);
        let body =
            futures_util::FutureExt::now_or_never(response.into_body().collect_up_to(10_000))
                .unwrap()
                .unwrap();
        let html = std::str::from_utf8(&body).unwrap();
        assert!(!html.contains("<script>") && !html.contains("<b>"));
    }
}
