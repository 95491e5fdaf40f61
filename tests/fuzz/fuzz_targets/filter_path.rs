#![no_main]

#[path = "../checks/filter_path.rs"]
mod filter_path;

libfuzzer_sys::fuzz_target!(|data: &[u8]| filter_path::check(data));
