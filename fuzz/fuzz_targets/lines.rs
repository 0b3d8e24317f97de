//! Bytes to lines.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belay_fuzz::lines(data));
