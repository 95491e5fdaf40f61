#![no_main]

#[path = "../checks/saml.rs"]
mod saml;

libfuzzer_sys::fuzz_target!(|data: &[u8]| saml::check(data));
