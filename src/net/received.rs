//! The body of an HTTP/1 request as it comes in, and what becomes of it when nobody reads it to its end.
//!
//! Always true: a refusal never waits for the body it refuses. A rest that is small is read and dropped beside the answer, so
//! that the connection can be kept; a larger one, or one that waits for `100 Continue`, ends the connection, and the answer says
//! so.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;

use super::http::BodyError;
use super::pulse::{Pulse, Rest};
use super::steady::Steady;

/// The longest rest that is read for the sake of the connection.
const SMALL: u64 = 64 * 1024;

/// How long a small rest may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// A request body that tells its connection's [`Pulse`] what is left of it.
pub struct Received {
    /// Taken at its drop alone.
    body: Option<Steady<Incoming>>,
    /// The client waits for `100 Continue`, which hyper sends as soon as the body is asked for.
    waits: bool,
    pulse: Arc<Pulse>,
}

impl Received {
    /// Watches a body that is not empty. `expects`: it comes only after `100 Continue`.
    pub fn new(body: Incoming, limit: Duration, expects: bool, pulse: &Arc<Pulse>) -> Self {
        pulse.tell_rest(Rest::Open);
        Self {
            body: Some(Steady::new(body, limit)),
            waits: expects,
            pulse: Arc::clone(pulse),
        }
    }
}

impl http_body::Body for Received {
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
        this.waits = false;
        let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(context));
        if frame.is_none() || body.is_end_stream() {
            this.pulse.tell_rest(Rest::None);
            this.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else {
            return;
        };
        let small = body.size_hint().lower() <= SMALL;
        match Handle::try_current() {
            Ok(worker) if small && !self.waits => {
                self.pulse.tell_rest(Rest::Draining);
                worker.spawn(drain(body, Arc::clone(&self.pulse)));
            }
            _ => self.pulse.tell_rest(Rest::Abandoned),
        }
    }
}

/// Reads a rest to its end, or gives up: then hyper closes the connection.
async fn drain(mut body: Steady<Incoming>, pulse: Arc<Pulse>) {
    let rest = async {
        let mut left = SMALL;
        while let Some(frame) = body.frame().await {
            let read = frame.ok()?.data_ref().map_or(0, Bytes::len) as u64;
            left = left.checked_sub(read)?;
        }
        Some(())
    };
    let whole = matches!(tokio::time::timeout(PATIENCE, rest).await, Ok(Some(())));
    pulse.drained(whole);
}
