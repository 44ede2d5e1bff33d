//! Any JSON as a `config.json`: a model with a table, which is written as it was read, or a refusal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ligo_arch::ModelConfig;

fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = serde_json::from_slice(bytes) else { return };
    if let Ok(config) = ModelConfig::from_json(&json) {
        let again = ModelConfig::from_json(&config.to_json());
        assert_eq!(again.ok().as_ref(), Some(&config), "it is not read as it is written");
        let _ = config.table().num_parameters();
    }
});
