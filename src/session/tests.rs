//! Sessions as doors and gate use them. Time stands still unless a test moves it.

pub(crate) mod fixture;

mod begin_end;
mod in_cookies;
mod in_redis;
