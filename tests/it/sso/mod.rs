//! Single sign-on as people meet it: real browsers, real identity providers, a real Redis, replicas; and as attackers do.

mod cookies;
mod house;
mod password;
mod return_targets;
