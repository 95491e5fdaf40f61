//! One HTTP/1.1 connection to an upstream, driven by whoever uses it.
//!
//! hyper's connection future is polled inside the task of the request it serves, not in one of its own: no task hop, no
//! cross-task wake-up per request. While a connection rests in a pool nobody polls it; it is polled once when it is taken, which
//! is when it shows that the upstream has closed it. A connection goes back to its pool only when request and response are
//! both whole.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::StatusCode;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::coop;
use tokio::time::Sleep;

use super::failure::Failure;
use super::outgoing::Outgoing;
use crate::model::clock::{Clock, Now};
use crate::net::connect::Stream;
use crate::net::http::Body;
use crate::net::steady::Stalled;

/// Bytes read ahead of a response at most.
const BUFFER: usize = 128 * 1024;

/// A connection and its driver.
pub struct Connection {
    sender: http1::SendRequest<Body>,
    /// `None` once the connection has ended.
    driver: Option<http1::Connection<TokioIo<Stream>, Body>>,
    /// Kept over requests and armed anew only when it fires, so that a request costs no timer operation.
    timer: Pin<Box<Sleep>>,
    /// Whether a request was answered on it before.
    pub reused: bool,
    /// Whether its latest request had a body that may not have been sent to its end.
    pub uploading: bool,
    /// When its latest request began.
    pub used: Duration,
}

/// A request that got no response.
pub struct Unanswered {
    /// Why.
    pub failure: Failure,
    /// The request itself, when not a byte of it was sent.
    pub unsent: Option<http::Request<Body>>,
}

// === impl Connection ===

impl Connection {
    /// Begins HTTP/1.1 on a stream.
    ///
    /// # Errors
    /// [`Failure::Closed`] when the stream is gone already.
    pub async fn open(stream: Stream, limit: Duration) -> Result<Box<Self>, Failure> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::Closed)?;
        Ok(Box::new(Self {
            sender,
            driver: Some(driver),
            timer: Box::pin(tokio::time::sleep(limit)),
            reused: false,
            uploading: false,
            used: Duration::ZERO,
        }))
    }

    /// Whether another request can be sent: alive, and everything of the former one done.
    pub fn is_ready(&mut self) -> bool {
        // The waker does nothing, on purpose: the task that used this connection before must not be woken by it again.
        let mut context = Context::from_waker(Waker::noop());
        self.drive(&mut context).is_pending() && self.sender.is_ready()
    }

    /// Moves bytes. Ready when the connection has ended.
    pub fn drive(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(driver) = &mut self.driver else {
            return Poll::Ready(());
        };
        let ended = Pin::new(driver).poll(context).map(drop);
        if ended.is_ready() {
            // Dropping it gives whatever still waits on the connection its answer.
            self.driver = None;
        }
        ended
    }

    /// Sends a request and waits for the response's head, at most `limit` from `started` or from the end of its body.
    ///
    /// # Errors
    /// [`Unanswered`]; the connection must be dropped then.
    pub async fn send(
        &mut self,
        outgoing: &mut Outgoing,
        limit: Duration,
        clock: &Clock,
        started: Now,
    ) -> Result<http::Response<Incoming>, Box<Unanswered>> {
        self.used = started.mono;
        let mut answer = pin!(self.sender.try_send_request(outgoing.take()));
        let upload = outgoing.upload();
        self.uploading = upload.is_some();
        let mut uploading = upload;
        let driver = &mut self.driver;
        let timer = &mut self.timer;
        let answered = poll_fn(|context| {
            let ended = match driver {
                Some(connection) => Pin::new(connection).poll(context).is_ready(),
                None => true,
            };
            if ended {
                *driver = None;
            }
            // Whatever answers does so inside the poll above, so its wake-up would only wake us for nothing. Without budget
            // tokio's channel would rely on that wake-up, though.
            let mut quiet = Context::from_waker(Waker::noop());
            let quiet = if coop::has_budget_remaining() {
                &mut quiet
            } else {
                &mut *context
            };
            if let Poll::Ready(answer) = answer.as_mut().poll(quiet) {
                return Poll::Ready(Some(answer));
            }
            while timer.as_mut().poll(context).is_ready() {
                let left = match uploading {
                    Some(done) => {
                        if done.is_done() {
                            uploading = None;
                        }
                        limit
                    }
                    None if upload.is_some() => return Poll::Ready(None),
                    None => limit.saturating_sub(clock.now().mono.saturating_sub(started.mono)),
                };
                if left.is_zero() {
                    return Poll::Ready(None);
                }
                timer.set(tokio::time::sleep(left));
            }
            Poll::Pending
        })
        .await;
        self.reused = true;
        match answered {
            // Nobody asked for another protocol here; passed on, it would make the client believe in a tunnel.
            Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(Box::new(Unanswered {
                    failure: Failure::Upgrade,
                    unsent: None,
                }))
            }
            Some(Ok(response)) => Ok(response),
            Some(Err(mut error)) => {
                let unsent = error.take_message();
                let failure = classify(error.into_error());
                Err(Box::new(Unanswered { failure, unsent }))
            }
            None => Err(Box::new(Unanswered {
                failure: Failure::ResponseTimeout(limit),
                unsent: None,
            })),
        }
    }
}

/// Which failure an error of hyper is.
pub fn classify(error: hyper::Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if current.is::<Stalled>() {
            return Failure::RequestBodyStalled;
        }
        cause = current.source();
    }
    if error.is_user() {
        Failure::RequestBody
    } else if error.is_parse() {
        Failure::Protocol(error)
    } else {
        Failure::Closed(error)
    }
}
