//! The request body on its way to an upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::net::http::{Body, BodyError};

/// A request body on its way up. Lets the response's deadline begin at its end, and drops trailers: a client could put into
/// them what was stripped from the head.
pub struct Upload {
    body: Body,
    done: Arc<AtomicBool>,
}

impl Upload {
    /// Wraps a streaming body; the flag turns true when its last byte was handed on.
    pub fn new(body: Body) -> (Self, Arc<AtomicBool>) {
        let done = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&done);
        (Self { body, done }, flag)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Ok(frame)) if frame.is_trailers() => None,
            other => other,
        };
        if frame.is_none() || this.body.is_end_stream() {
            this.done.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
