//! Searches, held to a naive one.
