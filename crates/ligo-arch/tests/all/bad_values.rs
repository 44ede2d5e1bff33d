//! Values that no model has: each is refused by the name of its field, before anything is made from it.

use std::time::{Duration, Instant};

use ligo_arch::{Error, HiddenAct, ModelConfig};
use serde_json::{Value, json};

/// A valid `config.json` of a family with one field changed.
fn with(model_type: &str, field: &str, value: Value) -> Value {
    let mut json = ModelConfig::example(model_type).unwrap().to_json();
    json[field] = value;
    json
}

fn refused(json: &Value, field: &str) -> String {
    let start = Instant::now();
    let message = ModelConfig::from_json(json).expect_err(field).to_string();
    assert!(message.contains(field), "{field}: {message}");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{field} took {:?}",
        start.elapsed()
    );
    message
}

/// The fields of a family's example, and the optional ones, that hold a size.
fn sizes(model_type: &str) -> Vec<String> {
    let json = ModelConfig::example(model_type).unwrap().to_json();
    let fields = json.as_object().unwrap().iter();
    let mut sizes: Vec<String> = fields
        .filter(|(name, value)| value.is_u64() && !name.ends_with("_token_id"))
        .map(|(name, _)| name.clone())
        .collect();
    if model_type == "gpt2" {
        sizes.push("n_inner".into());
    }
    if ["llama", "mistral", "qwen2"].contains(&model_type) {
        sizes.push("head_dim".into());
    }
    sizes
}

#[test]
fn sizes_without_bound_are_refused_by_name_and_at_once() {
    for model_type in ModelConfig::MODEL_TYPES {
        let sizes = sizes(model_type);
        assert!(sizes.len() >= 5, "{sizes:?}");
        for field in sizes {
            for value in [u64::from(u32::MAX >> 1), (1 << 63) - 1, u64::MAX] {
                refused(&with(model_type, &field, value.into()), &field);
            }
            refused(&with(model_type, &field, 0.into()), &field);
        }
    }
}

#[test]
fn a_list_of_layer_types_is_not_made_for_layers_that_are_refused() {
    let mut json = with("llama", "num_hidden_layers", u32::MAX.into());
    json["layer_types"] = json!(["full_attention"]);
    refused(&json, "num_hidden_layers");
}

#[test]
fn the_largest_sizes_together_overflow_nothing() {
    let mut json = ModelConfig::example("llama").unwrap().to_json();
    for (field, value) in [
        ("hidden_size", 1_u64 << 20),
        ("num_attention_heads", 1 << 16),
        ("num_key_value_heads", 1 << 16),
        ("head_dim", 1 << 8),
        ("intermediate_size", 1 << 24),
        ("vocab_size", 1 << 26),
        ("num_hidden_layers", 10_000),
    ] {
        json[field] = value.into();
    }
    let config = ModelConfig::from_json(&json).unwrap();
    assert!(config.table().num_parameters() > 1 << 57);
    json["head_dim"] = (1 << 9).into();
    refused(&json, "head_dim");
}

#[test]
fn numbers_that_are_none_are_refused_by_name() {
    let mut fields = 0;
    for model_type in ModelConfig::MODEL_TYPES {
        let json = ModelConfig::example(model_type).unwrap().to_json();
        let mut known = ModelConfig::known_fields(model_type);
        known.push("classifier_dropout".into());
        for field in known {
            let (wrong, right): (&[f64], &[f64]) = match field.as_str() {
                name if name.ends_with("_pdrop") || name.contains("dropout") || name == "drop_path_rate" => {
                    (&[2.5, -1.0, 1e9, 1.0], &[0.0, 0.5])
                }
                name if name.ends_with("_eps") || name.ends_with("_epsilon") => {
                    (&[1e308, 0.0, -1e-5, 1e-60, 1.5], &[1e-12, 1e-5])
                }
                "initializer_range" | "init_values" => (&[-1.0, 1e300], &[0.0, 0.02]),
                "rope_theta" => (&[0.0, -1.0, 1e300], &[1e4, 5e5]),
                _ => continue,
            };
            if field == "classifier_dropout" && !["bert", "roberta", "xlm-roberta", "camembert"].contains(model_type) {
                continue;
            }
            let with = |value: f64| {
                let mut json = json.clone();
                // One place for the base is enough, and the newest one counts.
                if field == "rope_theta" {
                    json.as_object_mut().unwrap().remove("rope_parameters");
                }
                json[&field] = json!(value);
                json
            };
            wrong.iter().for_each(|value| drop(refused(&with(*value), &field)));
            for value in right {
                ModelConfig::from_json(&with(*value)).unwrap_or_else(|e| panic!("{field} = {value}: {e}"));
            }
            fields += 1;
        }
    }
    assert!(fields > 30, "{fields}");
}

#[test]
fn a_field_of_a_wrong_type_is_named() {
    for model_type in ModelConfig::MODEL_TYPES {
        for (field, value) in [
            ("tie_word_embeddings", Value::Null),
            ("hidden_dropout_prob", Value::Null),
            ("attention_dropout", json!("none")),
            ("resid_pdrop", json!([0.1])),
            ("qkv_bias", json!("yes")),
            ("num_hidden_layers", json!("twelve")),
            ("n_layer", json!(-1)),
            ("hidden_act", json!("no_such_act")),
            ("activation_function", Value::Null),
        ] {
            if ModelConfig::example(model_type).unwrap().to_json().get(field).is_some() {
                refused(&with(model_type, field, value), field);
            }
        }
    }
    let mut json = ModelConfig::example("bert").unwrap().to_json();
    json.as_object_mut().unwrap().remove("hidden_size");
    refused(&json, "hidden_size");
}

#[test]
fn what_a_file_says_reaches_nobody_as_an_escape_sequence() {
    let escape = "\u{1b}[2J\u{7}\nforged";
    let mut rope = with("llama", "rope_parameters", json!({"rope_type": escape}));
    rope["rope_parameters"]["type"] = json!(escape);
    for json in [
        with("bert", "hidden_act", json!(escape)),
        with("bert", "model_type", json!(escape)),
        with("bert", "position_embedding_type", json!(escape)),
        with("roberta", "pad_token_id", json!(escape)),
        with("llama", "hidden_act", json!(escape)),
        rope,
    ] {
        let message = ModelConfig::from_json(&json).unwrap_err().to_string();
        assert!(!message.chars().any(char::is_control), "{message:?}");
        assert!(message.contains("[2J"), "{message}");
    }
}

#[test]
fn activations_are_known_by_all_their_names() {
    for (name, expected) in [
        ("gelu", HiddenAct::Gelu),
        ("gelu_python", HiddenAct::Gelu),
        ("gelu_fast", HiddenAct::GeluNew),
        ("gelu_pytorch_tanh", HiddenAct::GeluNew),
        ("quick_gelu", HiddenAct::QuickGelu),
        ("silu", HiddenAct::Silu),
        ("swish", HiddenAct::Silu),
        ("relu2", HiddenAct::Relu2),
    ] {
        match ModelConfig::from_json(&with("bert", "hidden_act", json!(name))).unwrap() {
            ModelConfig::Bert(config) => assert_eq!(config.hidden_act, expected, "{name}"),
            other => panic!("{other:?}"),
        }
        ModelConfig::from_json(&with("gpt2", "activation_function", json!(name))).unwrap();
    }
}

#[test]
fn a_change_of_the_function_is_named_and_sizes_are_none() {
    let config = |json: &Value| ModelConfig::from_json(json).unwrap();
    for (model_type, field, value) in [
        ("llama", "rope_theta", json!(500_000.0)),
        ("llama", "rms_norm_eps", json!(1e-3)),
        ("llama", "attention_bias", json!(true)),
        ("llama", "mlp_bias", json!(true)),
        ("llama", "pad_token_id", json!(3)),
        ("mistral", "sliding_window", json!(16)),
        ("bert", "hidden_act", json!("relu")),
        ("bert", "layer_norm_eps", json!(1e-5)),
        ("roberta", "pad_token_id", json!(5)),
        ("gpt2", "activation_function", json!("relu")),
        ("gpt2", "layer_norm_epsilon", json!(1e-3)),
        ("vit", "qkv_bias", json!(false)),
        ("cait", "hidden_act", json!("relu")),
    ] {
        let mut json = ModelConfig::example(model_type).unwrap().to_json();
        json.as_object_mut().unwrap().remove("rope_parameters");
        let before = config(&json);
        json[field] = value;
        let changes = before.changes_to(&config(&json));
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!(changes[0].field, field);
        assert!(changes[0].to_string().contains(" → "), "{}", changes[0]);
        assert!(config(&json).changes_to(&config(&json)).is_empty());
    }
    let small = config(&ModelConfig::example("bert").unwrap().to_json());
    let mut larger = with("bert", "hidden_size", 64.into());
    for (field, value) in [
        ("num_hidden_layers", json!(4)),
        ("intermediate_size", json!(96)),
        ("hidden_dropout_prob", json!(0.0)),
        ("initializer_range", json!(0.01)),
    ] {
        larger[field] = value;
    }
    assert!(small.changes_to(&config(&larger)).is_empty());
}

#[test]
fn every_family_names_the_class_that_computes_what_it_does() {
    for model_type in ModelConfig::MODEL_TYPES {
        let example = ModelConfig::example(model_type).unwrap();
        let named = example.to_json()["architectures"][0].as_str().map(str::to_owned);
        assert_eq!(example.architecture(), named, "{model_type}");
    }
    let bare = with("bert", "architectures", json!(["BertModel"]));
    let bare = ModelConfig::from_json(&bare).unwrap();
    assert_eq!(bare.architecture().unwrap(), "BertModel");
}

#[test]
fn twenty_thousand_unknown_fields_are_read_at_once_and_written_back() {
    let mut json = ModelConfig::example("bert").unwrap().to_json();
    for i in 0..20_000 {
        json[format!("unknown_{i}")] = i.into();
    }
    let start = Instant::now();
    let config = ModelConfig::from_json(&json).unwrap();
    assert_eq!(config.to_json()["unknown_19999"], 19_999);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_size_of_another_family_is_not_asked_for() {
    let error = ModelConfig::from_json(&json!({"model_type": "gpt2", "hidden_size": 8})).unwrap_err();
    assert!(
        matches!(&error, Error::Invalid { reason, .. } if reason.contains("vocab_size")),
        "{error}"
    );
}
