//! A program that only prints, and all that can happen beside it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belay_fuzz::printing(data));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    belay_fuzz::mutate(data, size, max_size, seed, libfuzzer_sys::fuzzer_mutate)
});
