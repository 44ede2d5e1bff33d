use serde_json::{Map, Value, json};

use crate::{
    AlbertConfig, BertConfig, CaitConfig, DistilBertConfig, ElectraConfig, GemmaConfig, Gpt2Config, GptNeoxConfig,
    LlamaConfig, ModelConfig, ModernBertConfig, OptConfig, VitConfig,
};

/// Fields that are read, but are no field of a configuration's struct.
const READ_BESIDES: [&str; 9] = [
    "architectures",
    "num_labels",
    "id2label",
    "label2id",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "sliding_window",
    "torch_dtype",
];

impl ModelConfig {
    /// A tiny valid model of a `model_type` with the family's usual settings: what its `config.json` looks like.
    pub fn example(model_type: &str) -> Option<Self> {
        Some(match model_type {
            "bert" => Self::Bert(BertConfig::new(64, 8, 1, 1)),
            "roberta" => Self::Bert(BertConfig::roberta(64, 8, 1, 1)),
            "xlm-roberta" => Self::Bert(like_roberta("xlm-roberta", "XLMRobertaForMaskedLM")),
            "camembert" => Self::Bert(like_roberta("camembert", "CamembertForMaskedLM")),
            "modernbert" => Self::ModernBert(ModernBertConfig::new(64, 8, 2, 1, 16)),
            "distilbert" => Self::DistilBert(DistilBertConfig::new(64, 8, 1, 1)),
            "albert" => Self::Albert(AlbertConfig::new(64, 8, 1, 1)),
            "electra" => Self::Electra(ElectraConfig::new(64, 8, 1, 1)),
            "gpt2" => Self::Gpt2(Gpt2Config::new(64, 8, 1, 1)),
            "gpt_neox" => Self::GptNeox(GptNeoxConfig::new(64, 8, 1, 1)),
            "opt" => Self::Opt(OptConfig::new(64, 8, 1, 1)),
            "llama" => Self::Llama(LlamaConfig::new(64, 8, 1, 1, 16)),
            "mistral" => Self::Llama(renamed("mistral", "MistralForCausalLM")),
            "qwen2" => Self::Llama(renamed("qwen2", "Qwen2ForCausalLM")),
            "qwen3" => Self::Llama(LlamaConfig {
                head_dim: Some(8),
                ..renamed("qwen3", "Qwen3ForCausalLM")
            }),
            "mixtral" => Self::Llama(with_fields(
                renamed("mixtral", "MixtralForCausalLM"),
                json!({"num_local_experts": 4, "num_experts_per_tok": 2, "output_router_logits": false, "router_aux_loss_coef": 0.001}),
            )),
            "qwen3_moe" => Self::Llama(with_fields(
                renamed("qwen3_moe", "Qwen3MoeForCausalLM"),
                json!({"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "norm_topk_prob": true, "decoder_sparse_step": 1,
                    "mlp_only_layers": [], "output_router_logits": false, "router_aux_loss_coef": 0.001}),
            )),
            "smollm3" => Self::Llama(with_fields(
                renamed("smollm3", "SmolLM3ForCausalLM"),
                json!({"no_rope_layers": [1], "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}),
            )),
            "phi3" => Self::Llama(with_fields(
                renamed("phi3", "Phi3ForCausalLM"),
                json!({"resid_pdrop": 0.0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}),
            )),
            "olmo2" => Self::Llama(renamed("olmo2", "Olmo2ForCausalLM")),
            "gemma" => Self::Gemma(GemmaConfig::new(64, 8, 1, 1, 16)),
            "gemma2" => Self::Gemma(GemmaConfig::gemma2(64, 8, 1, 1, 16)),
            "gemma3_text" => Self::Gemma(GemmaConfig::gemma3(64, 8, 1, 1, 16)),
            "vit" => Self::Vit(VitConfig::new(8, 1, 1, 2)),
            "deit" => Self::Vit(VitConfig::deit(8, 1, 1, 2, true)),
            "cait" => Self::Cait(CaitConfig::new(8, 1, 1, 2)),
            _ => return None,
        })
    }

    /// The fields of a family's `config.json` that mean something here.
    pub fn known_fields(model_type: &str) -> Vec<String> {
        let example = Self::example(model_type).map(|c| c.to_json());
        let fields: Map<String, Value> = example.and_then(|json| json.as_object().cloned()).unwrap_or_default();
        let mut known: Vec<String> = fields.into_iter().map(|(name, _)| name).collect();
        known.extend(READ_BESIDES.map(String::from));
        known.extend(
            OPTIONAL
                .iter()
                .filter(|(family, _)| family.contains(&model_type))
                .flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned())),
        );
        known.sort_unstable();
        known.dedup();
        known
    }
}

/// Fields that an example leaves out, since they are absent unless somebody sets them: `(model_types, fields)`.
const OPTIONAL: [(&[&str], &[&str]); 11] = [
    (
        &["modernbert"],
        &[
            "rope_parameters",
            "global_rope_theta",
            "local_rope_theta",
            "global_attn_every_n_layers",
            "layer_types",
        ],
    ),
    (
        &[
            "llama",
            "mistral",
            "mixtral",
            "qwen2",
            "qwen3",
            "qwen3_moe",
            "smollm3",
            "phi3",
            "olmo2",
        ],
        &[
            "head_dim",
            "rope_parameters",
            "rope_theta",
            "rope_scaling",
            "original_max_position_embeddings",
            "attention_bias",
            "mlp_bias",
        ],
    ),
    (
        &["mistral", "qwen2", "qwen3", "smollm3"],
        &["use_sliding_window", "max_window_layers", "layer_types"],
    ),
    (
        &["gemma", "gemma2", "gemma3_text"],
        &[
            "hidden_act",
            "hidden_activation",
            "rope_parameters",
            "rope_theta",
            "rope_local_base_freq",
            "rope_scaling",
            "original_max_position_embeddings",
            "layer_types",
            "sliding_window_pattern",
            "use_bidirectional_attention",
        ],
    ),
    (
        &["mixtral", "qwen3_moe"],
        &["num_local_experts", "router_jitter_noise", "use_sliding_window"],
    ),
    (&["smollm3"], &["no_rope_layer_interval"]),
    (&["phi3"], &["partial_rotary_factor"]),
    (&["vit", "deit", "cait"], &["drop_path_rate", "timm"]),
    (&["gpt2"], &["n_inner", "n_ctx"]),
    (
        &["opt"],
        &[
            "word_embed_proj_dim",
            "_remove_final_layer_norm",
            "layer_norm_elementwise_affine",
        ],
    ),
    (
        &["gpt_neox"],
        &[
            "rope_parameters",
            "rope_scaling",
            "rotary_emb_base",
            "rotary_pct",
            "original_max_position_embeddings",
        ],
    ),
];

fn renamed(model_type: &str, architecture: &str) -> LlamaConfig {
    let mut config = LlamaConfig::new(64, 8, 1, 1, 16);
    config.model_type = model_type.into();
    config.extra.insert("architectures".into(), json!([architecture]));
    config
}

fn like_roberta(model_type: &str, architecture: &str) -> BertConfig {
    let mut config = BertConfig::roberta(64, 8, 1, 1);
    config.model_type = model_type.into();
    config.extra.insert("architectures".into(), json!([architecture]));
    config
}

fn with_fields(mut config: LlamaConfig, fields: Value) -> LlamaConfig {
    config.extra.extend(fields.as_object().cloned().unwrap_or_default());
    config
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_family_has_an_example_that_is_valid_and_comes_back_from_its_json() {
        for model_type in ModelConfig::MODEL_TYPES {
            let example = ModelConfig::example(model_type).unwrap();
            example.validate().unwrap();
            assert_eq!(example.model_type(), *model_type);
            assert_eq!(ModelConfig::from_json(&example.to_json()).unwrap(), example);
        }
    }

    #[test]
    fn fields_of_the_struct_and_others_are_known() {
        let known = ModelConfig::known_fields("llama");
        for field in ["hidden_size", "rope_theta", "num_labels"] {
            assert!(known.iter().any(|k| k == field), "{field} in {known:?}");
        }
        assert!(!known.iter().any(|k| k == "n_embd"));
    }
}
