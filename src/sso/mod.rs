//! The single sign-on door: login, callbacks, logout, and what a frontend may ask about its session.
//!
//! Always true: every login is an attempt of its own, sealed, short-lived and used once; nothing is redirected outside the
//! public URL but to an identity provider that the authority named; every end without a session says why in one line of log.

pub mod pages;
