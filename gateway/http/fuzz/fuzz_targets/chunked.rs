//! Any bytes as a chunked body: the properties hold.
#![no_main]
#![allow(dead_code, reason = "the other targets use the other properties")]

#[path = "../../tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::chunked(bytes);
});
