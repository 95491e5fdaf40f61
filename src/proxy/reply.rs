//! The response body of an HTTP/1.1 upstream, which brings its connection along.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::pool::Pool;
use crate::net::http::{Body, BodyError};

/// Streams the body while driving the connection; gives the connection back after the last byte, and drops it, which closes
/// it, when the body is dropped before.
struct Reply {
    incoming: Incoming,
    /// A frame read ahead.
    ahead: Option<Frame<Bytes>>,
    connection: Option<Box<Connection>>,
    pool: Arc<Pool>,
}

/// The body of a response whose head has arrived on `connection`.
///
/// What came whole with the head (most small responses) is given as it is, and the connection is free at once.
pub fn reply(mut incoming: Incoming, connection: Box<Connection>, pool: &Arc<Pool>) -> Body {
    if incoming.is_end_stream() {
        pool.put(connection);
        return Body::Empty;
    }
    let mut quiet = Context::from_waker(Waker::noop());
    let mut ahead = None;
    match Pin::new(&mut incoming).poll_frame(&mut quiet) {
        Poll::Ready(None) => {
            pool.put(connection);
            return Body::Empty;
        }
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) if incoming.is_end_stream() => {
                pool.put(connection);
                return Body::full(data);
            }
            Ok(data) => ahead = Some(Frame::data(data)),
            Err(other) => ahead = Some(other),
        },
        // An error is kept by the body and shows when it is polled again.
        Poll::Ready(Some(Err(error))) => return Body::stream(Broken(Some(error))),
        Poll::Pending => {}
    }
    Body::stream(Reply {
        incoming,
        ahead,
        connection: Some(connection),
        pool: Arc::clone(pool),
    })
}

impl Reply {
    fn finish(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.put(connection);
        }
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ahead.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(connection) = &mut this.connection {
            // Its end shows in the body: as the body's own end, or as an error.
            let _ = connection.drive(context);
        }
        // Frames come from the line above, so no wake-up of the body's own is needed.
        let mut quiet = Context::from_waker(Waker::noop());
        let frame = match Pin::new(&mut this.incoming).poll_frame(&mut quiet) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        match &frame {
            Some(Err(_)) => this.connection = None,
            Some(Ok(_)) if !this.incoming.is_end_stream() => {}
            Some(Ok(_)) | None => this.finish(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.incoming.size_hint();
        let ahead = self
            .ahead
            .as_ref()
            .and_then(Frame::data_ref)
            .map_or(0, |data| data.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ahead);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ahead);
        }
        hint
    }
}

/// A body that failed before it began.
struct Broken(Option<hyper::Error>);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.get_mut().0.take().map(|error| Err(error.into())))
    }
}
