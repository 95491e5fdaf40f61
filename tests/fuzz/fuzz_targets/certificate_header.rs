#![no_main]

#[path = "../checks/certificate_header.rs"]
mod certificate_header;

libfuzzer_sys::fuzz_target!(|data: &[u8]| certificate_header::check(data));
