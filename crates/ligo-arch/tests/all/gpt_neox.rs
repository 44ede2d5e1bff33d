//! GPT-NeoX: sizes, the fused matrix, the part of a head that turns.

use ligo_arch::{Error, GptNeoxConfig, ModelConfig};
use serde_json::{Value, json};

fn base() -> Value {
    json!({"model_type": "gpt_neox", "vocab_size": 11, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 2})
}

fn with(field: &str, value: Value) -> Result<GptNeoxConfig, Error> {
    let mut json = base();
    json[field] = value;
    match ModelConfig::from_json(&json)? {
        ModelConfig::GptNeox(config) => Ok(config),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pythia_70m_has_its_number_of_parameters() {
    let config = GptNeoxConfig::new(50_304, 512, 6, 8);
    assert_eq!(ModelConfig::GptNeox(config).table().num_parameters(), 70_426_624);
}

#[test]
fn queries_keys_and_values_alternate_head_by_head_in_files() {
    let table = ModelConfig::from_json(&base()).unwrap().table();
    let key = table
        .get("gpt_neox.layers.1.attention.query_key_value.key.bias")
        .unwrap();
    let (name, shape, part) = table.file_part(&key);
    assert_eq!(
        (name.as_str(), shape),
        ("gpt_neox.layers.1.attention.query_key_value.bias", vec![48])
    );
    let stored: Vec<f32> = (0..48u8).map(f32::from).collect();
    let expected: Vec<f32> = (8..16u8).chain(32..40).map(f32::from).collect();
    assert_eq!(part.slice.extract(&stored), expected);
}

#[test]
fn the_part_of_a_head_that_turns_is_read_from_files_of_either_age() {
    let turned = |field: &str, value: Value| with(field, value).unwrap().rotation().frequencies;
    assert_eq!(turned("use_cache", true.into()), [1.0]);
    assert_eq!(turned("rotary_pct", 0.5.into()), [1.0, 0.01]);
    assert_eq!(turned("rotary_pct", 1.into()).len(), 4);
    let newer = json!({"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5});
    assert_eq!(turned("rope_parameters", newer), [1.0, 0.1]);
    let linear = json!({"type": "linear", "factor": 2.0});
    assert_eq!(turned("rope_scaling", linear), [0.5]);
    for share in [0.0, 0.1, 0.125, 1.5, -0.25] {
        let fault = with("rotary_pct", share.into()).unwrap_err().to_string();
        assert!(fault.contains("partial_rotary_factor"), "{fault}");
    }
}

#[test]
fn what_changes_its_function_is_named() {
    let plain = ModelConfig::from_json(&base()).unwrap();
    for (field, value, changed) in [
        ("use_parallel_residual", json!(false), "use_parallel_residual"),
        ("rotary_pct", json!(0.5), "partial_rotary_factor"),
        ("rotary_emb_base", json!(500), "rope_theta"),
    ] {
        let changes = plain.changes_to(&ModelConfig::GptNeox(with(field, value).unwrap()));
        assert_eq!(changes.iter().map(|change| change.field).collect::<Vec<_>>(), [changed]);
    }
}
