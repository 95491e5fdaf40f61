//! A queued write: a closure that runs alone on the store's thread, and whoever waits for it.

use tokio::sync::oneshot;

use super::store::{Drafts, WriteError};

/// A queued write: runs against the drafts, and is told afterwards whether the commit held.
pub(super) trait Job: Send {
    /// True when its changes are to be kept.
    fn run(&mut self, drafts: &mut Drafts<'_>) -> bool;
    /// Tells whoever waits.
    fn finish(self: Box<Self>, durable: bool);
}

/// A write as a closure, with the place its answer goes to.
pub(super) struct Closure<F, T, E> {
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<F, T, E> Closure<F, T, E> {
    /// A write that was not run yet.
    pub(super) fn new(work: F, reply: oneshot::Sender<Result<T, WriteError<E>>>) -> Self {
        Self {
            work: Some(work),
            outcome: None,
            reply,
        }
    }
}

impl<F, T, E> Job for Closure<F, T, E>
where
    F: FnOnce(&mut Drafts<'_>) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, drafts: &mut Drafts<'_>) -> bool {
        self.outcome = self.work.take().map(|work| work(drafts));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn finish(self: Box<Self>, durable: bool) {
        let answer = match self.outcome {
            Some(Ok(value)) if durable => Ok(value),
            Some(Err(refused)) => Err(WriteError::Refused(refused)),
            Some(Ok(_)) | None => Err(WriteError::Unavailable),
        };
        // The caller may have hung up; the write stands all the same.
        let _ = self.reply.send(answer);
    }
}
