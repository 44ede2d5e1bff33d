//! SmolLM3, Phi-3 and OLMo 2: what they have otherwise than a Llama.

use ligo_arch::{Axis, Error, LlamaConfig, ModelConfig, NormPlace, Resize, Size};
use serde_json::{Value, json};

fn base(model_type: &str) -> Value {
    json!({"model_type": model_type, "vocab_size": 11, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2})
}

fn read(json: &Value) -> Result<LlamaConfig, Error> {
    match ModelConfig::from_json(json)? {
        ModelConfig::Llama(config) => Ok(config),
        other => panic!("{other:?}"),
    }
}

fn with(model_type: &str, field: &str, value: Value) -> Result<LlamaConfig, Error> {
    let mut json = base(model_type);
    json[field] = value;
    read(&json)
}

fn rotated(config: &LlamaConfig) -> Vec<bool> {
    (0..config.num_hidden_layers)
        .map(|layer| config.is_rotated(layer))
        .collect()
}

#[test]
fn published_models_have_their_number_of_parameters() {
    for (json, expected) in [
        (
            json!({"model_type": "smollm3", "vocab_size": 128_256, "hidden_size": 2048, "intermediate_size": 11_008,
                "num_hidden_layers": 36, "num_attention_heads": 16}),
            3_075_098_624,
        ),
        (
            json!({"model_type": "phi3", "vocab_size": 32_064, "hidden_size": 3072, "intermediate_size": 8192,
                "num_hidden_layers": 32, "num_attention_heads": 32}),
            3_821_079_552,
        ),
        (
            json!({"model_type": "olmo2", "vocab_size": 100_352, "hidden_size": 2048, "intermediate_size": 8192,
                "num_hidden_layers": 16, "num_attention_heads": 16}),
            1_484_916_736,
        ),
    ] {
        assert_eq!(
            ModelConfig::from_json(&json).unwrap().table().num_parameters(),
            expected
        );
    }
}

#[test]
fn what_a_file_leaves_out_is_what_the_reference_takes() {
    for (model_type, positions, groups, theta, epsilon, tied) in [
        ("smollm3", 32_768, 4, 2e6, 1e-6, true),
        ("phi3", 4096, 4, 1e4, 1e-5, false),
        ("olmo2", 2048, 4, 1e4, 1e-5, false),
    ] {
        let mut json = base(model_type);
        json.as_object_mut().unwrap().remove("num_key_value_heads");
        let config = read(&json).unwrap();
        assert_eq!(config.max_position_embeddings, positions);
        assert_eq!(config.key_value_heads(), groups);
        assert_eq!(config.rope_base(), theta);
        assert_eq!(config.rms_norm_eps, epsilon);
        assert_eq!(config.tie_word_embeddings, tied);
    }
    let mut json = base("smollm3");
    json.as_object_mut().unwrap().remove("num_key_value_heads");
    json["num_attention_heads"] = 8.into();
    assert_eq!(read(&json).unwrap().key_value_heads(), 4);
}

#[test]
fn each_fourth_layer_of_a_smollm3_rotates_nothing_unless_a_list_says_otherwise() {
    assert_eq!(rotated(&read(&base("smollm3")).unwrap()), [true, true, true, false]);
    let of = |field: &str, value: Value| rotated(&with("smollm3", field, value).unwrap());
    assert_eq!(of("no_rope_layer_interval", 2.into()), [true, false, true, false]);
    assert_eq!(of("no_rope_layers", json!([0, 1, 0, 1])), [false, true, false, true]);
    assert_eq!(
        of("no_rope_layers", json!([0, 1, 1, 1, 0, 0])),
        [false, true, true, true]
    );
    assert_eq!(of("no_rope_layers", Value::Null), [true, true, true, false]);
    // Other families have no such layers.
    let llama = with("llama", "no_rope_layers", json!([0, 0, 0, 0])).unwrap();
    assert_eq!(rotated(&llama), [true; 4]);
}

#[test]
fn a_list_that_does_not_say_it_of_each_layer_is_refused() {
    assert_eq!(
        with("smollm3", "no_rope_layers", json!([1, 0])).unwrap_err(),
        Error::LayerList {
            field: "no_rope_layers",
            found: 2,
            layers: 4
        }
    );
    for (field, value) in [
        ("no_rope_layers", json!(["yes", 1, 1, 1])),
        ("no_rope_layers", json!(3)),
        ("no_rope_layer_interval", json!(0)),
        ("no_rope_layer_interval", json!("often")),
    ] {
        let fault = with("smollm3", field, value).unwrap_err().to_string();
        assert!(fault.contains(field), "{fault}");
    }
}

#[test]
fn new_layers_rotate_as_those_that_they_copy() {
    let small = ModelConfig::from_json(&base("smollm3")).unwrap();
    let resize = Resize {
        layers: Some(Size::Times(2.0)),
        ..Resize::default()
    };
    let of = |config: &ModelConfig| match config {
        ModelConfig::Llama(config) => rotated(config),
        other => panic!("{other:?}"),
    };
    let large = small.resized(&resize).unwrap();
    assert_eq!(of(&large), [true, true, true, false, true, true, true, false]);
    let interposed = large.with_layers_of(&small, &[0, 0, 1, 1, 2, 2, 3, 3].map(Some));
    assert_eq!(of(&interposed), [true, true, true, true, true, true, false, false]);
    assert_eq!(ModelConfig::from_json(&interposed.to_json()).unwrap(), interposed);
}

#[test]
fn phi3_fuses_in_files_what_llama_does_not() {
    let table = ModelConfig::from_json(&base("phi3")).unwrap().table();
    let params: Vec<_> = table.params().collect();
    let tensors = table.file_tensors(&params);
    let shape = |name: &str| {
        let tensor = tensors.iter().find(|t| t.name == name).unwrap();
        (tensor.shape.clone(), tensor.parts.len())
    };
    assert_eq!(
        shape("model.layers.3.self_attn.qkv_proj.weight"),
        (vec![16 + 2 * 8, 16], 3)
    );
    assert_eq!(shape("model.layers.0.mlp.gate_up_proj.weight"), (vec![40, 16], 2));
    let up = table.get("model.layers.0.mlp.up_proj.weight").unwrap();
    let (_, _, part) = table.file_part(&up);
    assert_eq!((part.slice.offset, part.slice.rows), (20, 20));
}

#[test]
fn longrope_has_factors_for_short_and_for_long_sequences() {
    let mut json = base("phi3");
    json["max_position_embeddings"] = 64.into();
    json["original_max_position_embeddings"] = 16.into();
    json["rope_scaling"] = json!({"type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [4.0, 5.0]});
    let rotation = read(&json).unwrap().rotation();
    assert_eq!(rotation.frequencies, [1.0, 1.0 / (2.0 * 100.0)]);
    let beyond = rotation.beyond.unwrap();
    assert_eq!(beyond.positions, 16);
    assert_eq!(beyond.frequencies, [0.25, 1.0 / (5.0 * 100.0)]);
    let expected = (1.0 + 4f64.ln() / 16f64.ln()).sqrt();
    assert!((f64::from(rotation.scale) - expected).abs() < 1e-6);
    // The older name, and a factor that is said.
    json["rope_scaling"]["type"] = "su".into();
    json["rope_scaling"]["attention_factor"] = 1.25.into();
    assert_eq!(read(&json).unwrap().rotation().scale, 1.25);
    for (field, value) in [
        ("short_factor", json!([1.0])),
        ("long_factor", json!([1.0, 0.0])),
        ("long_factor", json!("none")),
        ("short_factor", Value::Null),
    ] {
        let mut json = json.clone();
        json["rope_scaling"][field] = value;
        let fault = read(&json).unwrap_err().to_string();
        assert!(fault.contains(field), "{fault}");
    }
    json["rope_scaling"] = json!({"type": "linear", "factor": 2.0});
    let fault = read(&json).unwrap_err().to_string();
    assert!(fault.contains("longrope"), "{fault}");
}

#[test]
fn a_part_of_each_head_of_a_phi3_may_be_turned() {
    let turned = |value: f64| {
        let config = with("phi3", "partial_rotary_factor", value.into());
        config.map(|config| config.rotation().frequencies.len())
    };
    assert_eq!(turned(1.0).unwrap(), 2);
    assert_eq!(turned(0.5).unwrap(), 1);
    for share in [0.0, 0.25, 1.5] {
        let fault = turned(share).unwrap_err().to_string();
        assert!(fault.contains("partial_rotary_factor"), "{fault}");
    }
    let fault = with("phi3", "resid_pdrop", 1.5.into()).unwrap_err().to_string();
    assert!(fault.contains("resid_pdrop"), "{fault}");
    assert_eq!(
        with("phi3", "resid_pdrop", 0.25.into()).unwrap().output_dropout(),
        Some(0.25)
    );
    assert_eq!(
        with("llama", "resid_pdrop", 0.25.into()).unwrap().output_dropout(),
        None
    );
}

#[test]
fn olmo2_normalizes_what_sub_layers_give_and_all_heads_together() {
    let table = ModelConfig::from_json(&base("olmo2")).unwrap().table();
    assert_eq!(table.norm().unwrap().place, NormPlace::Output);
    for (name, axis, width) in [("q_norm", Axis::QUERY, 16), ("k_norm", Axis::KEY, 8)] {
        let param = table.get(&format!("model.layers.1.self_attn.{name}.weight")).unwrap();
        assert_eq!(
            (param.axes(), param.shape.as_slice()),
            ([axis].as_slice(), [width].as_slice())
        );
    }
    let names: Vec<String> = table.params().map(|p| p.name).collect();
    assert!(names.contains(&"model.layers.0.post_feedforward_layernorm.weight".into()));
    assert!(!names.iter().any(|name| name.contains("input_layernorm")));
    assert!(table.normalizes_heads_together());
    assert!(
        !ModelConfig::from_json(&base("llama"))
            .unwrap()
            .table()
            .normalizes_heads_together()
    );
    // What is added to the residual stream is what the norms give.
    let writers = |model_type: &str| {
        let table = ModelConfig::from_json(&base(model_type)).unwrap().table();
        let specs = table.specs().iter().filter(|spec| table.writes_residual(spec));
        specs.map(|spec| spec.module).collect::<Vec<_>>()
    };
    assert_eq!(writers("olmo2"), ["attention_norm", "ffn_norm"]);
    assert_eq!(writers("llama"), ["attention_out", "ffn_out"]);
}
