//! Idle connections to one address, kept by one worker.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http2;

use super::connection::Connection;
use crate::model::clock::Now;
use crate::net::http::Body;

/// The latest used connection is taken first, so that a quiet pool shrinks from its far end. The locks are never contended: a
/// pool belongs to one worker, and none is held over an await.
#[derive(Default)]
pub struct Pool {
    idle: Mutex<VecDeque<Box<Connection>>>,
    http2: Mutex<Option<http2::SendRequest<Body>>>,
    max_idle: usize,
    idle_timeout: Duration,
}

impl Pool {
    /// An empty pool.
    pub fn new(max_idle: usize, idle_timeout: Duration) -> Self {
        Self {
            max_idle,
            idle_timeout,
            ..Self::default()
        }
    }

    /// A connection that is alive as far as can be seen; those found closed or too old on the way are dropped.
    pub fn take(&self, now: Now) -> Option<Box<Connection>> {
        loop {
            let mut connection = lock(&self.idle).pop_back()?;
            let idle = now.mono.saturating_sub(connection.used);
            if idle < self.idle_timeout && connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Takes a connection back; the oldest makes room when the pool is full.
    ///
    /// Whether it is whole shows when it is taken, but one that still holds a client's upload must not wait for that.
    pub fn put(&self, mut connection: Box<Connection>) {
        if connection.uploading && !connection.is_ready() {
            return;
        }
        let mut idle = lock(&self.idle);
        idle.push_back(connection);
        if idle.len() > self.max_idle {
            idle.pop_front();
        }
    }

    /// Drops what has been idle for too long.
    pub fn reap(&self, now: Now) {
        let mut idle = lock(&self.idle);
        while idle
            .front()
            .is_some_and(|oldest| now.mono.saturating_sub(oldest.used) >= self.idle_timeout)
        {
            idle.pop_front();
        }
    }

    /// How many connections are idle.
    pub fn idle(&self) -> usize {
        lock(&self.idle).len()
    }

    /// The HTTP/2 connection all requests of this worker share, if it is alive.
    pub fn shared(&self) -> Option<http2::SendRequest<Body>> {
        lock(&self.http2)
            .as_ref()
            .filter(|sender| sender.is_ready() && !sender.is_closed())
            .cloned()
    }

    /// Shares an HTTP/2 connection from now on.
    pub fn share(&self, sender: http2::SendRequest<Body>) {
        *lock(&self.http2) = Some(sender);
    }
}

/// A pool whose user panicked is still a pool.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
