//! Any text as a recipe: settings that were checked, and are read as they are written, or all faults.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ligo_experiment::recipe;

fuzz_target!(|text: &str| {
    if let Ok(recipe) = recipe::parse(text, "fuzzed", &[]) {
        // Methods and seeds that are asked for on the command line.
        let _ = recipe.clone().comparing(&["ligo".to_owned()], Some(2));
        let written = recipe.to_toml().expect("a recipe that was read can be written");
        assert!(recipe::parse(&written, "written", &[]).is_ok(), "{written}");
    }
});
