//! Llama, Mistral, Qwen2 and Qwen3: sizes, axes, what is refused.

use serde_json::{Value, json};

use ligo_arch::{Axis, Error, LlamaConfig, ModelConfig, Repeat, Resize, Rotation, Size};

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
fn what_changes_the_rotation_otherwise_is_refused() {
    for (field, value, says) in [
        (
            "rope_scaling",
            json!({"type": "longrope", "factor": 2.0}),
            "short_factor = nothing",
        ),
        (
            "rope_scaling",
            json!({"type": "proportional", "factor": 2.0}),
            "rope_type = proportional",
        ),
        ("rope_scaling", json!({"type": "linear"}), "factor = nothing"),
        (
            "rope_scaling",
            json!({"type": "linear", "factor": "2"}),
            "factor = 2 is not",
        ),
        (
            "rope_scaling",
            json!({"type": "dynamic", "factor": -2.0}),
            "factor = -2",
        ),
        (
            "rope_parameters",
            json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0}),
            "high_freq_factor = 1",
        ),
        (
            "rope_parameters",
            json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 0}),
            "original_max_position_embeddings = 0",
        ),
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

/// A Llama of heads of 8 dimensions with this rotation.
fn rotation(parameters: Value) -> Rotation {
    let mut json = base("llama");
    json["head_dim"] = 8.into();
    json["max_position_embeddings"] = 1024.into();
    json["rope_theta"] = 100.0.into();
    json["rope_scaling"] = parameters;
    match ModelConfig::from_json(&json).unwrap() {
        ModelConfig::Llama(config) => config.rotation(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_turns(found: &Rotation, frequencies: [f64; 4], scale: f64) {
    for (found, expected) in found.frequencies.iter().zip(frequencies) {
        assert!(
            (f64::from(*found) - expected).abs() <= 1e-6 * expected,
            "{found} and {expected}"
        );
    }
    assert_eq!(found.frequencies.len(), 4);
    assert!((f64::from(found.scale) - scale).abs() < 1e-6);
}

#[test]
fn scaled_rotations_follow_their_formulas() {
    let plain = [1.0, 0.316_227_766, 0.1, 0.031_622_776_6];
    assert_turns(&rotation(Value::Null), plain, 1.0);
    assert_turns(&rotation(json!({})), plain, 1.0);
    assert_turns(&rotation(json!({"type": "dynamic", "factor": 4.0})), plain, 1.0);
    assert_turns(
        &rotation(json!({"type": "linear", "factor": 4})),
        plain.map(|f| f / 4.0),
        1.0,
    );

    // Wave lengths 6.3, 19.9, 62.8 and 198.7; those below 64 / 4 = 16 stay, those above 64 are divided.
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64});
    let mixed = |frequency: f64| {
        let smooth = (64.0 * frequency / std::f64::consts::TAU - 1.0) / 3.0;
        (1.0 - smooth) * frequency / 8.0 + smooth * frequency
    };
    let expected = [1.0, mixed(plain[1]), mixed(plain[2]), plain[3] / 8.0];
    assert_turns(&rotation(llama3.clone()), expected, 1.0);
    // What stands beside the object wins.
    let mut json = base("llama");
    json["head_dim"] = 8.into();
    json["rope_theta"] = 100.0.into();
    json["rope_scaling"] = llama3;
    json["rope_scaling"]["original_max_position_embeddings"] = 5.into();
    json["original_max_position_embeddings"] = 64.into();
    match ModelConfig::from_json(&json).unwrap() {
        ModelConfig::Llama(config) => assert_turns(&config.rotation(), expected, 1.0),
        other => panic!("{other:?}"),
    }

    // 64 positions turn pair i by 64 f / 2π: 10.2, 3.2, 1.02 and 0.32 times. With the usual 32 and 1 the ramp goes from pair 0 to pair 3.
    let yarn = json!({"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 64});
    let ramp = |i: usize, end: f64| plain[i] / 16.0 * (i as f64 / end) + plain[i] * (1.0 - i as f64 / end);
    let scale = 0.1 * 16f64.ln() + 1.0;
    assert_turns(&rotation(yarn.clone()), [0, 1, 2, 3].map(|i| ramp(i, 3.0)), scale);
    let with = |more: Value| {
        let mut yarn = yarn.clone();
        yarn.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rotation(yarn)
    };
    assert!((f64::from(with(json!({"attention_factor": 1.5})).scale) - 1.5).abs() < 1e-6);
    let both = with(json!({"mscale": 0.7, "mscale_all_dim": 1.0}));
    assert!((f64::from(both.scale) - (0.07 * 16f64.ln() + 1.0) / scale).abs() < 1e-6);
    // The last pair is where a pair turns once: 8 ln(64 / 2π) / (2 ln 100) = 2.016.
    let end = 8.0 * (64.0 / std::f64::consts::TAU).ln() / (2.0 * 100f64.ln());
    let exact = [ramp(0, end), ramp(1, end), ramp(2, end), plain[3] / 16.0];
    assert_turns(&with(json!({"truncate": false})), exact, scale);
    // Without a factor it is that of the lengths, 1024 / 64.
    assert_eq!(with(json!({"factor": null})), rotation(yarn));
}

#[test]
fn another_rotation_of_the_same_base_is_a_change() {
    let config = |parameters: Value| {
        let mut json = base("llama");
        json["rope_scaling"] = parameters;
        ModelConfig::from_json(&json).unwrap()
    };
    let plain = config(Value::Null);
    let changes = plain.changes_to(&config(json!({"type": "linear", "factor": 2.0})));
    assert_eq!(
        changes.iter().map(|change| change.field).collect::<Vec<_>>(),
        ["rope_parameters"]
    );
    let older = config(json!({"type": "linear", "factor": 2.0}));
    assert_eq!(
        older.changes_to(&config(json!({"rope_type": "linear", "factor": 2.0}))),
        []
    );
}

#[test]
fn qwen3_has_a_norm_for_queries_and_one_for_keys_and_its_own_defaults() {
    let mut json = base("qwen3");
    let names = |json: &Value| {
        let table = ModelConfig::from_json(json).unwrap().table();
        table.params().map(|p| (p.name, p.shape)).collect::<Vec<_>>()
    };
    let found = names(&json);
    for name in ["q_norm", "k_norm"] {
        // The reference's head width where the file says none.
        assert!(found.contains(&(format!("model.layers.1.self_attn.{name}.weight"), vec![128])));
    }
    assert!(!found.iter().any(|(name, _)| name.ends_with(".bias")));
    json["attention_bias"] = true.into();
    let biased = names(&json)
        .into_iter()
        .filter(|(name, _)| name.ends_with(".bias"))
        .count();
    assert_eq!(biased, 2 * 4);
    // Heads can be added; wider ones would be another norm.
    let table = |head_dim: usize, heads: usize| {
        let mut json = base("qwen3");
        json["head_dim"] = head_dim.into();
        json["num_attention_heads"] = heads.into();
        json["num_key_value_heads"] = (heads / 3).into();
        ModelConfig::from_json(&json).unwrap().table()
    };
    ligo_arch::check_growable(&table(8, 6), &table(8, 12)).unwrap();
    let fault = ligo_arch::check_growable(&table(8, 6), &table(16, 6))
        .unwrap_err()
        .to_string();
    assert!(fault.contains("head_dim"), "{fault}");
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
fn layers_have_a_window_where_the_reference_gives_them_one() {
    let windows = |model_type: &str, changes: Value| -> Result<_, Error> {
        let mut json = base(model_type);
        json["num_hidden_layers"] = 3.into();
        for (field, value) in changes.as_object().unwrap() {
            json[field] = value.clone();
        }
        let config = ModelConfig::from_json(&json)?;
        let positions = json["max_position_embeddings"].as_u64();
        assert!(
            positions.is_none_or(|n| n == config.max_sequence_tokens() as u64),
            "a window shortens no sequence"
        );
        match config {
            ModelConfig::Llama(config) => Ok(config.windows().collect::<Vec<_>>()),
            other => panic!("{other:?}"),
        }
    };
    let of = |model_type, changes| windows(model_type, changes).unwrap();
    assert_eq!(of("mistral", json!({"sliding_window": 16})), [Some(16); 3]);
    assert_eq!(of("mistral", json!({"sliding_window": null})), [None; 3]);
    // `MistralConfig`'s default.
    assert_eq!(of("mistral", json!({})), [Some(4096); 3]);
    assert_eq!(of("llama", json!({"sliding_window": 16})), [None; 3]);
    for family in ["qwen2", "qwen3"] {
        assert_eq!(of(family, json!({"sliding_window": 16})), [None; 3]);
        // The default of `Qwen2Config` and `Qwen3Config`.
        let usual = json!({"use_sliding_window": true, "max_window_layers": 2});
        assert_eq!(of(family, usual), [None, None, Some(4096)]);
        let used = json!({"use_sliding_window": true, "sliding_window": 16, "max_window_layers": 1});
        assert_eq!(of(family, used.clone()), [None, Some(16), Some(16)]);
        let mut listed = used.clone();
        listed["layer_types"] = json!(["sliding_attention", "full_attention", "full_attention"]);
        assert_eq!(of(family, listed.clone()), [Some(16), None, None]);
        listed["use_sliding_window"] = false.into();
        let fault = windows(family, listed.clone()).unwrap_err().to_string();
        assert!(fault.contains("set use_sliding_window"), "{fault}");
        listed["layer_types"][1] = "chunked_attention".into();
        let fault = windows(family, listed).unwrap_err().to_string();
        assert!(
            fault.contains("chunked_attention") && fault.contains("layer_types"),
            "{fault}"
        );
    }
}

#[test]
fn layers_that_are_added_have_the_types_of_those_they_are_stacked_from() {
    let mut json = base("qwen2");
    json.as_object_mut().unwrap().extend(
        json!({"num_hidden_layers": 3, "use_sliding_window": true, "sliding_window": 16, "max_window_layers": 2})
            .as_object()
            .unwrap()
            .clone(),
    );
    let windows = |config: &ModelConfig| match config {
        ModelConfig::Llama(config) => config.windows().map(|window| window.is_some()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let layers = |layers| Resize {
        layers: Some(layers),
        ..Resize::default()
    };
    let stacked = [false, false, true, false, false, true, false];
    let by_number = ModelConfig::from_json(&json).unwrap();
    let deeper = by_number.resized(&layers(Size::Exactly(7))).unwrap();
    assert_eq!(windows(&deeper), stacked);
    json["layer_types"] = json!(["full_attention", "full_attention", "sliding_attention"]);
    let listed = ModelConfig::from_json(&json).unwrap();
    let deeper = listed.resized(&layers(Size::Exactly(7))).unwrap();
    assert_eq!(windows(&deeper), stacked);
    let reversed: Vec<_> = (0..7).rev().map(Some).collect();
    let turned = deeper.with_layers_of(&deeper, &reversed);
    assert_eq!(windows(&turned), [false, true, false, false, true, false, false]);
    assert_eq!(listed.with_layers_of(&listed, &[0, 1, 2].map(Some)), listed);
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
        model_type: "qwen4".into(),
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
