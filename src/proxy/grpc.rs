//! What gRPC needs beside HTTP/2: its deadlines, and refusals its clients understand.
//!
//! A gRPC client reads the outcome of a call from `grpc-status` and takes any other HTTP answer for a fault of the network, so
//! Sidegate's own answers to it are gRPC statuses over HTTP 200. See the gRPC documents `PROTOCOL-HTTP2` and
//! `http-grpc-status-mapping`. Messages are never parsed.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body::{Frame, SizeHint};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::time::Sleep;

use crate::net::http::{Body, BodyError, Head, Response, is_grpc};
use crate::net::steady::Stalled;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Milliseconds after which a retrying client may come back (gRFC A6).
const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// What `grpc-message` may not hold as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// The statuses Sidegate gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The deadline passed.
    DeadlineExceeded = 4,
    /// Known, but not allowed.
    PermissionDenied = 7,
    /// Too many failed logins.
    ResourceExhausted = 8,
    /// No route takes it.
    Unimplemented = 12,
    /// The request or the gate is broken.
    Internal = 13,
    /// Come back later.
    Unavailable = 14,
    /// A credential is needed, or another.
    Unauthenticated = 16,
}

/// A request by a gRPC client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// How long its client waits for the whole of it, if it said so.
    pub deadline: Option<Duration>,
}

impl Code {
    /// The code that stands for an HTTP status.
    pub const fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            408 | 502 | 503 => Self::Unavailable,
            429 => Self::ResourceExhausted,
            504 => Self::DeadlineExceeded,
            _ => Self::Internal,
        }
    }

    fn value(self) -> HeaderValue {
        HeaderValue::from(self as u16)
    }
}

impl Call {
    /// The call in a request; `None` for most. gRPC is spoken over HTTP/2 only; its dialect for browsers is ordinary HTTP.
    pub fn find(head: &Head) -> Option<Self> {
        if head.version != Version::HTTP_2 || head.method != Method::POST || !is_grpc(&head.headers)
        {
            return None;
        }
        Some(Self {
            deadline: deadline(&head.headers),
        })
    }

    /// Sees to it that a gRPC response ends in time, and with a status when it has to be cut. `left`: until the deadline.
    pub fn bound(response: http::Response<Body>, left: Option<Duration>) -> http::Response<Body> {
        if !is_grpc(response.headers()) {
            return response;
        }
        response.map(|body| match body {
            Body::Empty | Body::Full(_) => body,
            Body::Incoming(_) | Body::Boxed(_) => Body::stream(Bounded {
                body: Some(body),
                deadline: left.map(|left| Box::pin(tokio::time::sleep(left))),
            }),
        })
    }
}

/// Up to eight digits and a unit. What is malformed, or said twice, is no deadline.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let mut lines = headers.get_all(GRPC_TIMEOUT).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let (unit, digits) = line.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3_600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// A response of status alone.
pub fn refusal(code: Code, message: &str, retry_after: Option<Duration>) -> Response {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(after) = retry_after {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        headers.insert(GRPC_RETRY_PUSHBACK_MS, HeaderValue::from(after));
    }
    tell(code, message, headers);
    response
}

fn tell(code: Code, message: &str, headers: &mut HeaderMap) {
    headers.insert(GRPC_STATUS, code.value());
    let message = utf8_percent_encode(message, ENCODED).to_string();
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert(GRPC_MESSAGE, message);
    }
}

/// A body that is cut with a status at its deadline, or when the upstream stands still.
struct Bounded {
    /// Dropped, which resets the upstream's stream, when it is over.
    body: Option<Body>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Bounded {
    fn cut(&mut self, code: Code, message: &str) -> Frame<Bytes> {
        self.body = None;
        let mut trailers = HeaderMap::with_capacity(2);
        tell(code, message, &mut trailers);
        Frame::trailers(trailers)
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            let cut = this.cut(Code::DeadlineExceeded, "The deadline has passed.");
            return Poll::Ready(Some(Ok(cut)));
        }
        match std::task::ready!(Pin::new(body).poll_frame(context)) {
            Some(Err(error)) if error.is::<Stalled>() => {
                let cut = this.cut(Code::Unavailable, "The application fell silent.");
                Poll::Ready(Some(Ok(cut)))
            }
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn head(version: Version, kind: &str, timeout: &str) -> Head {
        let request = http::Request::post("/shop.Orders/List")
            .version(version)
            .header("content-type", kind)
            .header("grpc-timeout", timeout);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_grpc_over_http2_is_a_call() {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "Application/GRPC; charset=x",
        ] {
            assert!(Call::find(&head(Version::HTTP_2, kind, "1S")).is_some());
        }
        for kind in [
            "application/grpc-web+proto",
            "application/grpcx",
            "application/json",
        ] {
            assert_eq!(Call::find(&head(Version::HTTP_2, kind, "1S")), None);
        }
        let http1 = head(Version::HTTP_11, "application/grpc", "1S");
        assert_eq!(Call::find(&http1), None);
    }

    #[test]
    fn deadlines_are_read_in_every_unit_and_nonsense_is_none() {
        let read = |timeout: &str| {
            Call::find(&head(Version::HTTP_2, "application/grpc", timeout))
                .unwrap()
                .deadline
        };
        for (timeout, seconds) in [("2H", 7_200.0), ("3M", 180.0), ("4S", 4.0)] {
            assert_eq!(read(timeout), Some(Duration::from_secs_f64(seconds)));
        }
        assert_eq!(read("5m"), Some(Duration::from_millis(5)));
        assert_eq!(read("6u"), Some(Duration::from_micros(6)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for nonsense in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "123456789S",
            "1.5S",
            "1 S",
        ] {
            assert_eq!(read(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_message_is_one_line_of_printable_ascii_whatever_it_says() {
        let response = refusal(Code::PermissionDenied, "100 %\r\nx: ä", None);
        assert_eq!(response.headers()["grpc-message"], "100 %25%0D%0Ax: %C3%A4");
        assert_eq!(response.headers()["grpc-status"], "7");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_cut_with_a_status_at_its_deadline() {
        let never = http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<Frame<Bytes>, BodyError>,
        >());
        let mut response = http::Response::new(Body::stream(never));
        let kind = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        let left = Some(Duration::from_secs(3));
        let collected = Call::bound(response, left).into_body().collect().await;
        assert_eq!(collected.unwrap().trailers().unwrap()["grpc-status"], "4");
    }
}
