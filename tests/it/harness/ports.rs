//! Ports for programs that have to be told one before they start.

use std::net::Ipv4Addr;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpSocket;

/// Where the search begins, and how far it goes: below the range from which Linux takes ports for `:0` and for clients, so
/// that nobody is given a port between the search and its use.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port that nobody listens on, and that no other caller in this process is given.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run beside this one begin elsewhere.
    let offset = (process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = TAKEN.fetch_add(1, Ordering::SeqCst);
        let port = FIRST + offset.wrapping_add(step) % COUNT;
        // Bound and never listening: a process that is forked at this moment keeps it for an instant longer, which hurts nobody.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        if socket.bind((Ipv4Addr::LOCALHOST, port).into()).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}
