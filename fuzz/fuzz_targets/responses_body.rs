#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::dialects::responses_bodies(data));
