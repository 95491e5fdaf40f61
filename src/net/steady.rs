//! A body that may be slow, but not stand still.

use std::pin::Pin;
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

/// Fails with [`Stalled`] once no frame came for `limit`. A body whose frames are there when asked for costs no timer.
pub struct Steady<B> {
    body: B,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    moved: bool,
}

impl<B> Steady<B> {
    /// Watches `body`.
    pub fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            timer: None,
            moved: false,
        }
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
            if !self.moved {
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
}
