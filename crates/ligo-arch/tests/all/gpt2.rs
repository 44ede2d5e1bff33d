//! GPT-2: sizes, names in files, what is refused.

use ligo_arch::{Gpt2Config, Init, ModelConfig};

fn of(json: serde_json::Value) -> Result<ModelConfig, ligo_arch::Error> {
    ModelConfig::from_json(&json)
}

#[test]
fn the_published_sizes_have_their_number_of_parameters() {
    for (shape, count) in [((768, 12, 12), 124_439_808), ((1024, 24, 16), 354_823_168)] {
        let (n_embd, n_layer, n_head) = shape;
        let table = ModelConfig::Gpt2(Gpt2Config::new(50_257, n_embd, n_layer, n_head)).table();
        assert_eq!(table.num_parameters(), count);
    }
}

#[test]
fn files_hold_query_key_and_value_as_one_matrix_stored_by_inputs() {
    let table = ModelConfig::Gpt2(Gpt2Config::new(11, 6, 2, 3)).table();
    let params: Vec<_> = table.params().collect();
    let tensors = table.file_tensors(params.iter());
    let shape = |name: &str| {
        let tensor = tensors.iter().find(|t| t.name == name);
        tensor.map(|t| (t.shape.clone(), t.parts.len()))
    };
    assert_eq!(shape("transformer.h.1.attn.c_attn.weight"), Some((vec![6, 18], 3)));
    assert_eq!(shape("transformer.h.1.attn.c_attn.bias"), Some((vec![18], 3)));
    assert_eq!(shape("transformer.h.0.mlp.c_fc.weight"), Some((vec![6, 24], 1)));
    assert_eq!(shape("transformer.h.0.mlp.c_proj.weight"), Some((vec![24, 6], 1)));
    assert_eq!(shape("lm_head.weight"), None);
}

#[test]
fn masks_of_old_files_are_buffers_and_biases_are_not() {
    let table = ModelConfig::Gpt2(Gpt2Config::new(11, 6, 2, 3)).table();
    assert!(table.is_buffer("transformer.h.0.attn.bias") && table.is_buffer("h.1.attn.masked_bias"));
    let params: Vec<_> = table.params().collect();
    assert!(
        table
            .file_tensors(params.iter())
            .iter()
            .all(|t| !table.is_buffer(&t.name))
    );
}

#[test]
fn what_is_added_to_the_residual_stream_starts_smaller() {
    let table = ModelConfig::Gpt2(Gpt2Config::new(11, 6, 8, 3)).table();
    let init = |name: &str| table.get(name).and_then(|p| p.spec.init);
    for name in [
        "transformer.h.0.attn.c_proj.weight",
        "transformer.h.7.mlp.c_proj.weight",
    ] {
        assert_eq!(init(name), Some(Init::Normal(0.005)));
    }
    assert_eq!(init("transformer.h.0.mlp.c_fc.weight"), None);
}

#[test]
fn switches_that_change_the_computation_are_refused() {
    let base = serde_json::json!({"model_type": "gpt2", "vocab_size": 9, "n_embd": 6, "n_layer": 1, "n_head": 2});
    assert!(of(base.clone()).is_ok());
    for (field, value) in [
        ("scale_attn_weights", false),
        ("scale_attn_by_inverse_layer_idx", true),
        ("reorder_and_upcast_attn", true),
        ("add_cross_attention", true),
    ] {
        let mut json = base.clone();
        json[field] = value.into();
        let fault = of(json).map_err(|e| e.to_string());
        assert!(fault.is_err_and(|e| e.starts_with(&format!("{field} = {value}"))));
    }
}
