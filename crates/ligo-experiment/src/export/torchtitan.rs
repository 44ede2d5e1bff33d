//! A run for torchtitan, which divides layers among devices where a model needs it.

use std::path::Path;

use ligo_arch::{LlamaConfig, ModelConfig};
use serde_json::{Value, json};

use super::{Exported, LAUNCH, Refused, check, settings, write};
use crate::Failure;

/// The families that both have: `model_type`, and what torchtitan calls it.
const FAMILIES: [(&str, &str); 2] = [("llama", "llama3"), ("qwen3", "qwen3")];

/// Writes a directory with which torchtitan does the run: a module with its configuration, model, batches and schedule, and how it is started.
///
/// # Errors
/// torchtitan has not the model, or the run asks for something that cannot be handed over ([`Refused`]); the directory cannot be written.
pub fn torchtitan(run: &Exported<'_>, out: &Path) -> Result<(), Failure> {
    let sizes = sizes(run.config)?;
    check(run, "torchtitan")?;
    let mut settings = settings(run)?;
    settings["torchtitan"] = sizes;
    let files = [
        ("grown.py", include_str!("torchtitan/grown.py")),
        ("train.py", include_str!("torchtitan/train.py")),
        ("cpu.py", include_str!("torchtitan/cpu.py")),
        (LAUNCH, include_str!("torchtitan/launch.sh")),
    ];
    write(run, &settings, &files, out)
}

/// What `grown.py` builds the model of.
fn sizes(config: &ModelConfig) -> Result<Value, Refused> {
    let family = FAMILIES.into_iter().find(|(name, _)| *name == config.model_type());
    let (ModelConfig::Llama(c), Some((_, family))) = (config, family) else {
        return Err(Refused::Family {
            found: config.model_type().to_owned(),
            known: FAMILIES.map(|(name, _)| name).join(" and "),
        });
    };
    let has = beyond(c);
    if !has.is_empty() {
        let family = c.model_type.clone();
        return Err(Refused::Model { family, has });
    }
    Ok(json!({
        "family": family,
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.num_hidden_layers,
        "num_attention_heads": c.num_attention_heads,
        "num_key_value_heads": c.key_value_heads(),
        "head_dim": c.head_width(),
        "max_position_embeddings": c.max_position_embeddings,
        "rms_norm_eps": c.rms_norm_eps,
        "tie_word_embeddings": c.tie_word_embeddings,
        "rope": rope(c),
    }))
}

/// What a model has that torchtitan's of its family has not.
fn beyond(c: &LlamaConfig) -> Vec<String> {
    let mut has = Vec::new();
    if c.has_input_bias() || c.has_ffn_bias() {
        has.push("biases".to_owned());
    }
    if c.attention_dropout > 0.0 {
        has.push("dropout".to_owned());
    }
    if c.windows().any(|window| window.is_some()) {
        has.push("windows of attention".to_owned());
    }
    match c.rope_kind() {
        "default" => {}
        "llama3" if c.model_type == "llama" => {}
        kind => has.push(format!("rotation of the kind {kind}")),
    }
    has
}

/// Arguments of torchtitan's rotary embedding.
fn rope(c: &LlamaConfig) -> Value {
    let mut rope = json!({"theta": c.rope_base()});
    // A valid configuration of this kind has the three numbers.
    if let Some(said) = c.scaling().filter(|_| c.rope_kind() == "llama3") {
        rope["scaling"] = json!("llama");
        rope["scaling_factor"] = json!(said.extra.get("factor"));
        rope["low_freq_factor"] = json!(said.extra.get("low_freq_factor"));
        rope["high_freq_factor"] = json!(said.extra.get("high_freq_factor"));
        rope["original_max_position_embeddings"] = json!(c.original_positions());
    }
    rope
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(more: &Value) -> ModelConfig {
        let mut json = json!({"model_type": "llama", "vocab_size": 61, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 40, "rms_norm_eps": 1e-5});
        for (key, value) in more.as_object().unwrap() {
            json[key] = value.clone();
        }
        ModelConfig::from_json(&json).unwrap()
    }

    #[test]
    fn a_llama_and_a_qwen3_are_told_by_their_sizes() {
        let llama3 = json!({"rope_theta": 500.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 16}});
        let found = sizes(&config(&llama3)).unwrap();
        let rope = json!({"theta": 500.0, "scaling": "llama", "scaling_factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16});
        assert_eq!(found["rope"], rope);
        assert_eq!((&found["family"], &found["head_dim"]), (&json!("llama3"), &json!(8)));
        let qwen = json!({"model_type": "qwen3", "head_dim": 16, "rope_theta": 1e6, "tie_word_embeddings": true});
        let found = sizes(&config(&qwen)).unwrap();
        let expected = json!({"family": "qwen3", "vocab_size": 61, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 40, "rms_norm_eps": 1e-5,
            "tie_word_embeddings": true, "rope": {"theta": 1e6}});
        assert_eq!(found, expected);
    }

    /// `grown.py` lets all parameters decay but those whose name ends so.
    #[test]
    fn gains_of_norms_are_what_does_not_decay() {
        for more in [json!({}), json!({"model_type": "qwen3", "head_dim": 16})] {
            for param in config(&more).table().params() {
                let is_gain = param.name.ends_with("norm.weight");
                assert_eq!(param.spec.role.decays(), !is_gain, "{}", param.name);
            }
        }
    }

    #[test]
    fn what_torchtitan_has_not_is_refused() {
        for found in ["mistral", "qwen2", "qwen3_moe", "smollm3", "olmo2"] {
            let refused = sizes(&config(&json!({"model_type": found}))).unwrap_err();
            let known = "llama and qwen3".to_owned();
            let found = found.to_owned();
            assert_eq!(refused, Refused::Family { found, known });
        }
        let window =
            json!({"model_type": "qwen3", "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 0});
        let yarn = json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}});
        let llama3 = json!({"model_type": "qwen3", "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0}});
        for (more, words) in [
            (json!({"attention_bias": true}), "biases"),
            (json!({"mlp_bias": true}), "biases"),
            (json!({"attention_dropout": 0.1}), "dropout"),
            (window, "windows of attention"),
            (yarn, "rotation of the kind yarn"),
            (llama3, "rotation of the kind llama3"),
        ] {
            match sizes(&config(&more)) {
                Err(Refused::Model { has, .. }) => assert_eq!(has, [words]),
                other => panic!("{more}: {other:?}"),
            }
        }
    }
}
