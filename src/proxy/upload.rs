//! The request body on its way to an upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::trailers::Passing;
use crate::net::http::{Body, BodyError};
use crate::net::steady::Half;

/// A request body on its way up. Lets the response's deadline begin at its end, and lets no trailer through that could say
/// what was stripped from the head.
pub struct Upload {
    body: Body,
    half: Arc<Half>,
    /// `None`: no trailers at all.
    trailers: Option<Passing>,
}

impl Upload {
    /// Wraps a streaming body; the half is done when its last byte was handed on.
    pub fn new(body: Body, trailers: Option<Passing>) -> (Self, Arc<Half>) {
        let half = Arc::new(Half::default());
        let told = Arc::clone(&half);
        let upload = Self {
            body,
            half,
            trailers,
        };
        (upload, told)
    }

    /// What may follow the body.
    fn pass(&self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let passing = self.trailers.as_ref()?;
        let mut trailers = frame.into_trailers().ok()?;
        passing.clean(&mut trailers);
        (!trailers.is_empty()).then(|| Frame::trailers(trailers))
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
            Some(Ok(frame)) if frame.is_trailers() => {
                this.half.tell_done();
                this.pass(frame).map(Ok)
            }
            other => other,
        };
        if frame.is_none() || this.body.is_end_stream() {
            this.half.tell_done();
        }
        this.half.tell_moved();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
