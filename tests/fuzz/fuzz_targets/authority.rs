#![no_main]

#[path = "../checks/authority.rs"]
mod authority;

libfuzzer_sys::fuzz_target!(|data: &[u8]| authority::check(data));
