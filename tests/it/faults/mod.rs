//! What clients, logs, metrics and the cache show when something behind is broken: a table of places and faults, each row of it a
//! test, and the same table for operators in `docs/faults.md`.
//!
//! A new row is a line in [`authority`] or [`upstream`] (sessions: `sso/store_faults.rs`) and one in the page.

mod authority;
mod exchange;
mod failover;
mod page;
pub(crate) mod row;
mod upstream;
mod way;
