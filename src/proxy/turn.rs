//! Waiting for one's turn behind the requests that are ready now.
//!
//! A worker wakes up to several requests at a time. If each were written to its upstream as soon as it was decided, the
//! upstream's process would be woken for every one of them, which costs more than the write; written one right after the other,
//! they find it awake. Measured with HTTP/1.1 clients (docs/performance.md); the streams of one HTTP/2 connection come in one
//! go already.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Ready the second time it is polled, after every task that was ready before.
///
/// Unlike tokio's `yield_now` it doesn't wait for the poll of sockets and timers in between.
#[derive(Debug, Default)]
pub struct Turn {
    begun: bool,
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.begun {
            return Poll::Ready(());
        }
        self.begun = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_turn_comes_after_everybody_who_is_ready() {
        let tasks = tokio::task::LocalSet::new();
        let order = Rc::new(RefCell::new(Vec::new()));
        for name in ["first", "second"] {
            let order = Rc::clone(&order);
            tasks.spawn_local(async move {
                order.borrow_mut().push(("read", name));
                Turn::default().await;
                order.borrow_mut().push(("sent", name));
            });
        }
        tasks.await;
        let expected = [
            ("read", "first"),
            ("read", "second"),
            ("sent", "first"),
            ("sent", "second"),
        ];
        assert_eq!(*order.borrow(), expected);
    }
}
