//! The door end to end: real sockets on both sides, a real gate before a permissive authority.

mod fixture;

mod forwarding;
mod soup;
mod trouble;
mod websocket;
