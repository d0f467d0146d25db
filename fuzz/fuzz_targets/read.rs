//! `read` of the row named by FUZZ_ROW.

#![no_main]

#[path = "../src/chosen.rs"]
mod chosen;
#[path = "../src/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::run(chosen::chosen("read"), input);
});
