//! Browser sessions: what a login leaves behind, and how a browser proves that it has one.
//!
//! Always true: a browser holds sealed bytes or a random id, never a token in clear; a session that ended is not found again;
//! trouble with the store is an error of its own and never ends a session. Nothing here speaks to an authority.

