#![no_main]

#[path = "../checks/front.rs"]
mod front;

libfuzzer_sys::fuzz_target!(|data: &[u8]| front::check(data));
