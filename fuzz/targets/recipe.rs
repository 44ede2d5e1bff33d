//! Any text as a recipe: settings that are checked, and are read as they are written, or all faults.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ligo_experiment::recipe;

fuzz_target!(|text: &str| {
    if let Ok(recipe) = recipe::parse(text, "fuzzed", &[]) {
        let _ = recipe.check();
        let written = recipe.to_toml().expect("a recipe that was read can be written");
        assert!(recipe::parse(&written, "written", &[]).is_ok(), "{written}");
    }
});
