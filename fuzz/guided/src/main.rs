//! libFuzzer on the target that `STEPWRIGHT_FUZZ` names. What must hold is said by the target; this program adds nothing
//! to it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stepwright_fuzz::{TARGETS, Target, with_stack};

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("STEPWRIGHT_FUZZ").unwrap_or_default();
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("STEPWRIGHT_FUZZ is {name:?}; the targets are {}", names.join(", ")))
});

fuzz_target!(|bytes: &[u8]| with_stack(|| (TARGET.run)(bytes)));
