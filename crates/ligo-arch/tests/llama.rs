//! Llama, Mistral and Qwen2: sizes, axes, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use serde_json::{Value, json};

use ligo_arch::{Axis, Error, LlamaConfig, ModelConfig, Repeat};

/// What the attention output reads where query heads share value heads.
const VALUE_HEADS: Axis = Axis::growing("value_heads");

fn base(model_type: &str) -> Value {
    json!({
        "model_type": model_type, "vocab_size": 11, "hidden_size": 12, "intermediate_size": 20,
        "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2
    })
}

fn with(model_type: &str, field: &str, value: Value) -> Result<LlamaConfig, Error> {
    let mut json = base(model_type);
    json[field] = value;
    match ModelConfig::from_json(&json)? {
        ModelConfig::Llama(config) => Ok(config),
        other => panic!("{other:?}"),
    }
}

#[test]
fn smollm_135m_has_its_number_of_parameters() {
    let config = LlamaConfig {
        num_key_value_heads: Some(3),
        tie_word_embeddings: true,
        ..LlamaConfig::new(49_152, 576, 30, 9, 1536)
    };
    assert_eq!(ModelConfig::Llama(config).table().num_parameters(), 134_515_008);
}

#[test]
fn the_attention_output_repeats_value_heads_only_where_they_are_shared() {
    let grouped = ModelConfig::from_json(&base("llama")).unwrap().table();
    let output = grouped.get("model.layers.1.self_attn.o_proj.weight").unwrap();
    assert_eq!(output.axes(), [Axis::HIDDEN, VALUE_HEADS]);
    assert_eq!(output.shape, [12, 12]);
    let repeat = Repeat {
        of: Axis::VALUE,
        block: 2,
        times: 3,
    };
    assert_eq!(grouped.repeats().collect::<Vec<_>>(), [(VALUE_HEADS, repeat)]);
    assert_eq!(grouped.size(Axis::VALUE), 4);

    let plain = with("llama", "num_key_value_heads", 6.into()).unwrap();
    let plain = ModelConfig::Llama(plain).table();
    let output = plain.get("model.layers.1.self_attn.o_proj.weight").unwrap();
    assert_eq!(output.axes(), [Axis::HIDDEN, Axis::VALUE]);
    assert_eq!(plain.repeats().count(), 0);
}

#[test]
fn the_base_of_the_rotation_is_read_from_files_of_either_age() {
    let theta = |field: &str, value: Value| with("llama", field, value).unwrap().rope_base();
    assert_eq!(theta("extra", 1.into()), 10_000.0);
    assert_eq!(theta("rope_theta", 5e5.into()), 5e5);
    assert_eq!(
        theta("rope_parameters", json!({"rope_type": "default", "rope_theta": 7})),
        7.0
    );
    assert_eq!(theta("rope_scaling", Value::Null), 10_000.0);
}

#[test]
fn what_changes_the_rotation_is_refused() {
    for (field, value, says) in [
        (
            "rope_scaling",
            json!({"type": "linear", "factor": 2.0}),
            "rope_type = linear",
        ),
        ("rope_parameters", json!({"rope_type": "llama3"}), "rope_type = llama3"),
        (
            "rope_parameters",
            json!({"rope_type": "default", "partial_rotary_factor": 0.5}),
            "partial_rotary_factor = 0.5",
        ),
        ("hidden_act", json!("gelu"), "hidden_act = gelu"),
    ] {
        let fault = with("llama", field, value).unwrap_err().to_string();
        assert!(fault.starts_with(says), "{fault}");
    }
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let fault = with("llama", "num_key_value_heads", 4.into()).unwrap_err().to_string();
    assert!(
        fault.contains("num_key_value_heads = 4 does not divide num_attention_heads = 6"),
        "{fault}"
    );
    let fault = with("mistral", "head_dim", 5.into()).unwrap_err().to_string();
    assert!(fault.contains("heads have 5 dimensions"), "{fault}");
    assert!(with("llama", "hidden_size", 13.into()).is_err());
}

#[test]
fn a_window_limits_the_length_where_the_reference_uses_it() {
    let length = |model_type, field: &str, value: Value| {
        let config = with(model_type, field, value).unwrap();
        ModelConfig::Llama(config).max_sequence_tokens()
    };
    assert_eq!(length("mistral", "sliding_window", 16.into()), 16);
    assert_eq!(length("mistral", "sliding_window", Value::Null), 131_072);
    assert_eq!(length("mistral", "max_position_embeddings", 131_072.into()), 4096);
    assert_eq!(length("qwen2", "sliding_window", 16.into()), 32_768);
    assert_eq!(length("llama", "sliding_window", 16.into()), 2048);
}

#[test]
fn what_a_file_leaves_out_is_what_the_reference_takes() {
    let without = |model_type: &str, explicit: bool| {
        let mut json = base(model_type);
        let fields = json.as_object_mut().unwrap();
        fields.insert("num_attention_heads".into(), 32.into());
        fields.insert("hidden_size".into(), 64.into());
        fields.remove("num_key_value_heads");
        if explicit {
            fields.insert("num_key_value_heads".into(), Value::Null);
        }
        match ModelConfig::from_json(&json).unwrap() {
            ModelConfig::Llama(config) => (config.key_value_heads(), config.max_position_embeddings),
            other => panic!("{other:?}"),
        }
    };
    // `MistralConfig`, `Qwen2Config` and `LlamaConfig` of transformers 4 and 5; `null` means as many as query heads in all three.
    assert_eq!(without("llama", false), (32, 2048));
    assert_eq!(without("mistral", false), (8, 131_072));
    assert_eq!(without("qwen2", false), (32, 32_768));
    for family in ["llama", "mistral", "qwen2"] {
        assert_eq!(without(family, true).0, 32, "{family}");
    }
}

#[test]
fn both_names_of_the_activation_are_known() {
    for name in ["silu", "swish"] {
        with("llama", "hidden_act", name.into()).unwrap();
    }
}

#[test]
fn a_model_type_that_was_set_by_hand_is_checked() {
    let config = ModelConfig::Llama(LlamaConfig {
        model_type: "qwen3".into(),
        ..LlamaConfig::new(9, 8, 1, 1, 8)
    });
    assert!(matches!(config.validate(), Err(Error::UnknownModelType { .. })));
}

#[test]
fn each_of_the_three_has_its_own_biases() {
    let biases = |model_type: &str| {
        let mut json = base(model_type);
        json["attention_bias"] = true.into();
        json["mlp_bias"] = true.into();
        let table = ModelConfig::from_json(&json).unwrap().table();
        table.params().filter(|p| p.name.ends_with(".bias")).count()
    };
    assert_eq!([biases("llama"), biases("mistral"), biases("qwen2")], [14, 0, 6]);
}

#[test]
fn what_was_read_is_written_back() {
    let mut json = base("qwen2");
    json["sliding_window"] = Value::Null;
    json["rope_parameters"] = json!({"rope_theta": 1e6, "rope_type": "default", "other": [1, 2]});
    let back = ModelConfig::from_json(&json).unwrap().to_json();
    for (key, value) in json.as_object().unwrap() {
        assert_eq!(&back[key], value, "{key}");
    }
}

#[test]
fn what_a_tied_head_reads_follows_the_residual_stream_and_can_be_scaled() {
    for tied in [true, false] {
        let config = with("llama", "tie_word_embeddings", tied.into()).unwrap();
        let table = ModelConfig::Llama(config).table();
        let norm = table.get("model.norm.weight").unwrap();
        let expected = if tied { Axis::HEAD_INPUT } else { Axis::HIDDEN };
        assert_eq!(
            (norm.axes(), norm.shape.as_slice()),
            ([expected].as_slice(), [12].as_slice())
        );
        let follows = table.repeat(Axis::HEAD_INPUT).map(|r| (r.of, r.block, r.times));
        assert_eq!(follows, tied.then_some((Axis::HIDDEN, 12, 1)));
    }
}

#[test]
fn the_types_of_layers_follow_their_number() {
    let full = || Value::from("full_attention");
    let mut json = base("qwen2");
    json["layer_types"] = vec![full(), full()].into();
    let mut config = ModelConfig::from_json(&json).unwrap();
    assert_eq!(config.to_json()["layer_types"], json["layer_types"]);
    // Somebody who deepens a model changes one number.
    if let ModelConfig::Llama(config) = &mut config {
        config.num_hidden_layers = 4;
    }
    assert_eq!(config.to_json()["layer_types"], json!([full(), full(), full(), full()]));
    json["num_hidden_layers"] = 3.into();
    let deeper = ModelConfig::from_json(&json).unwrap();
    assert_eq!(deeper.to_json()["layer_types"], json!([full(), full(), full()]));
    json["layer_types"][1] = "sliding_attention".into();
    assert_eq!(
        ModelConfig::from_json(&json).unwrap_err(),
        Error::LayerTypes { found: 2, layers: 3 }
    );
}
