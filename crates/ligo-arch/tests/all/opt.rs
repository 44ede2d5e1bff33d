//! OPT: sizes, positions, projections, and what is refused.

use ligo_arch::{Axis, Error, ModelConfig, NormPlace, OptConfig};
use serde_json::{Value, json};

fn base() -> Value {
    json!({"model_type": "opt", "vocab_size": 11, "hidden_size": 16, "ffn_dim": 20, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 30})
}

fn with(changes: Value) -> Result<OptConfig, Error> {
    let mut json = base();
    json.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    match ModelConfig::from_json(&json)? {
        ModelConfig::Opt(config) => Ok(config),
        other => panic!("{other:?}"),
    }
}

fn names(config: OptConfig) -> Vec<String> {
    ModelConfig::Opt(config).table().params().map(|p| p.name).collect()
}

#[test]
fn published_models_have_their_number_of_parameters() {
    let small = OptConfig::new(50_272, 768, 12, 12);
    assert_eq!(ModelConfig::Opt(small).table().num_parameters(), 125_239_296);
    let projected = OptConfig {
        do_layer_norm_before: false,
        word_embed_proj_dim: Some(512),
        ..OptConfig::new(50_272, 1024, 24, 16)
    };
    let projected = ModelConfig::Opt(projected);
    projected.validate().unwrap();
    assert_eq!(projected.table().num_parameters(), 331_196_416);
}

#[test]
fn positions_begin_behind_two_rows_that_no_token_is_at() {
    let config = with(json!({})).unwrap();
    assert_eq!((config.position_rows(), config.first_position()), (32, 2));
    let config = ModelConfig::Opt(config);
    assert_eq!(config.max_sequence_tokens(), 30);
    assert_eq!(config.table().size(Axis::POSITION), 32);
}

#[test]
fn biases_norms_and_projections_follow_the_file() {
    let count = |config: OptConfig, end: &str| names(config).iter().filter(|name| name.ends_with(end)).count();
    assert_eq!(count(with(json!({})).unwrap(), ".bias"), 2 * 8 + 1);
    assert_eq!(count(with(json!({"enable_bias": false})).unwrap(), ".bias"), 2 * 2 + 1);
    let after = with(json!({"do_layer_norm_before": false, "word_embed_proj_dim": 6})).unwrap();
    assert_eq!(count(after.clone(), "decoder.final_layer_norm.weight"), 0);
    let table = ModelConfig::Opt(after).table();
    assert_eq!(table.norm().unwrap().place, NormPlace::After);
    let shape = |name: &str| table.get(&format!("model.decoder.{name}.weight")).unwrap().shape;
    assert_eq!(shape("project_in"), [16, 6]);
    assert_eq!(shape("project_out"), [6, 16]);
    assert_eq!(shape("embed_tokens"), [11, 6]);
    // A width that is said and is that of the residual stream is none of its own.
    let plain = with(json!({"word_embed_proj_dim": 16})).unwrap();
    assert_eq!(names(plain), names(with(json!({})).unwrap()));
    let untied = with(json!({"tie_word_embeddings": false})).unwrap();
    assert_eq!(count(untied, "lm_head.weight"), 1);
}

#[test]
fn what_has_no_place_in_a_table_is_refused_by_name() {
    for (changes, field) in [
        (
            json!({"layer_norm_elementwise_affine": false}),
            "layer_norm_elementwise_affine",
        ),
        (json!({"do_layer_norm_before": false}), "do_layer_norm_before"),
        (json!({"_remove_final_layer_norm": true}), "_remove_final_layer_norm"),
        (json!({"num_attention_heads": 3}), "num_attention_heads"),
        (json!({"word_embed_proj_dim": 0}), "word_embed_proj_dim"),
    ] {
        let fault = with(changes).unwrap_err().to_string();
        assert!(fault.contains(field), "{fault}");
    }
    with(json!({"do_layer_norm_before": false, "tie_word_embeddings": false})).unwrap();
}

#[test]
fn its_epsilon_is_that_of_pytorch_whatever_is_asked_for() {
    let config = ModelConfig::Opt(with(json!({})).unwrap());
    assert_eq!(config.norm_epsilon(), 1e-5);
    assert_eq!(config.with_norm_epsilon(0.5), config);
    assert!(config.table().has_fixed_epsilon());
}
