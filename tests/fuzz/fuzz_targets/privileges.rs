#![no_main]

#[path = "../checks/privileges.rs"]
mod privileges;

libfuzzer_sys::fuzz_target!(|data: &[u8]| privileges::check(data));
