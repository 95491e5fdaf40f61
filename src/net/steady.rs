//! A body that may be slow, but not stand still.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::http::BodyError;

/// The body stood still for longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("body stood still for {}s", .0.as_secs_f32())]
pub struct Stalled(pub Duration);

/// What one half of an exchange tells the other, so that standing still means both.
#[derive(Debug, Default)]
pub struct Half {
    moved: AtomicBool,
    done: AtomicBool,
}

impl Half {
    /// Something came.
    pub fn tell_moved(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// Nothing more will come.
    pub fn tell_done(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Whether nothing more will come.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    fn has_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }
}

/// When standing still is forgiven.
#[derive(Debug)]
enum Excuse {
    /// Never.
    None,
    /// While the other half moves.
    Beside(Arc<Half>),
    /// Once the other half has taken over: then its own patience counts.
    Answered(Arc<Half>),
}

impl Excuse {
    fn holds(&self) -> bool {
        match self {
            Self::None => false,
            Self::Beside(half) => half.has_moved(),
            Self::Answered(half) => half.is_done(),
        }
    }
}

/// Fails with [`Stalled`] once no frame came for `limit`. A body whose frames are there when asked for costs no timer.
pub struct Steady<B> {
    body: B,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    moved: bool,
    excuse: Excuse,
}

impl<B> Steady<B> {
    /// Watches `body`.
    pub fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            timer: None,
            moved: false,
            excuse: Excuse::None,
        }
    }

    /// A response's body that may stand still while the request's moves.
    pub fn beside(self, request: Arc<Half>) -> Self {
        let excuse = Excuse::Beside(request);
        Self { excuse, ..self }
    }

    /// A request's body that may stand still once its response has begun, which the half tells by being done: both then last
    /// as long as the response does.
    pub fn until_answered(self, answer: Arc<Half>) -> Self {
        let excuse = Excuse::Answered(answer);
        Self { excuse, ..self }
    }

    /// Waits for the limit without touching the timer when frames came meanwhile: it is armed anew only when it fires.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let limit = self.limit;
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if !self.moved && !self.excuse.holds() {
                return Poll::Ready(());
            }
            self.moved = false;
            timer.set(tokio::time::sleep(limit));
        }
    }
}

impl<B> Body for Steady<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                this.moved = true;
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => this
                .poll_stalled(context)
                .map(|()| Some(Err(Stalled(this.limit).into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::sync::mpsc;

    use super::*;

    type Frames = mpsc::Receiver<Result<Frame<Bytes>, BodyError>>;

    fn body(mut frames: Frames) -> impl Body<Data = Bytes, Error = BodyError> + Unpin {
        StreamBody::new(futures_util::stream::poll_fn(move |context| {
            frames.poll_recv(context)
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_fails() {
        let (_feed, frames) = mpsc::channel(1);
        let mut steady = Steady::new(body(frames), Duration::from_secs(3));
        let error = steady.frame().await.unwrap().unwrap_err();
        assert!(error.is::<Stalled>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_fine_as_long_as_it_moves() {
        let (feed, frames) = mpsc::channel(1);
        tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(2)).await;
                feed.send(Ok(Frame::data(Bytes::from_static(b"x"))))
                    .await
                    .unwrap();
            }
        });
        let steady = Steady::new(body(frames), Duration::from_secs(3));
        assert_eq!(steady.collect().await.unwrap().to_bytes().len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_may_stand_still_while_its_request_moves_and_no_longer() {
        let (_feed, frames) = mpsc::channel(1);
        let half = Arc::new(Half::default());
        let mover = Arc::clone(&half);
        tokio::spawn(async move {
            for _ in 0..5 {
                mover.tell_moved();
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        });
        let begun = tokio::time::Instant::now();
        let mut steady = Steady::new(body(frames), Duration::from_secs(3)).beside(half);
        let error = steady.frame().await.unwrap().unwrap_err();
        assert!(error.is::<Stalled>());
        assert!((10..=15).contains(&begun.elapsed().as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_stand_still_once_it_is_answered() {
        let (feed, frames) = mpsc::channel(1);
        let half = Arc::new(Half::default());
        half.tell_done();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            feed.send(Ok(Frame::data(Bytes::from_static(b"x")))).await
        });
        let steady = Steady::new(body(frames), Duration::from_secs(3)).until_answered(half);
        assert_eq!(steady.collect().await.unwrap().to_bytes(), "x");
    }
}
