//! Decoders that come from no file, and what they learn from.

use burn::tensor::{Device, Tensor};
use ligo_arch::{GemmaConfig, Gpt2Config, GptNeoxConfig, LlamaConfig, ModelConfig, OptConfig};
use ligo_models::CausalInputs;

/// Vocabulary 13, hidden 8, two layers, two heads, feed-forward 12.
pub fn tiny_gpt2() -> Gpt2Config {
    Gpt2Config {
        n_inner: Some(12),
        n_positions: 7,
        ..Gpt2Config::new(13, 8, 2, 2)
    }
}

/// Vocabulary 13, hidden 8, two layers, four query heads of width 4 that share two key-value heads, feed-forward 12.
pub fn tiny_llama() -> LlamaConfig {
    LlamaConfig {
        num_key_value_heads: Some(2),
        head_dim: Some(4),
        attention_dropout: 0.1,
        ..LlamaConfig::new(13, 8, 2, 4, 12)
    }
}

/// The same as another model of the family.
pub fn like_llama(model_type: &str) -> LlamaConfig {
    LlamaConfig {
        model_type: model_type.into(),
        ..tiny_llama()
    }
}

/// One of each kind, with dropout where it has any.
pub fn kinds() -> Vec<ModelConfig> {
    let untied = Gpt2Config {
        tie_word_embeddings: false,
        ..tiny_gpt2()
    };
    let tied = LlamaConfig {
        tie_word_embeddings: true,
        ..like_llama("qwen2")
    };
    let biased = LlamaConfig {
        attention_bias: true,
        mlp_bias: true,
        num_key_value_heads: Some(4),
        ..tiny_llama()
    };
    let scaled = LlamaConfig {
        rope_scaling: serde_json::from_str(r#"{"type": "yarn", "factor": 4.0}"#).ok(),
        ..like_llama("qwen3")
    };
    let llamas = [tiny_llama(), biased, like_llama("mistral"), tied, scaled];
    let gpts = [tiny_gpt2(), untied].into_iter().map(ModelConfig::Gpt2);
    // Two of the four dimensions of a head are turned.
    let parallel = GptNeoxConfig {
        attention_dropout: 0.1,
        hidden_dropout: 0.1,
        rotary_pct: Some(0.5),
        ..GptNeoxConfig::new(13, 8, 2, 2)
    };
    let serial = GptNeoxConfig {
        use_parallel_residual: false,
        attention_bias: false,
        tie_word_embeddings: true,
        ..parallel.clone()
    };
    let neoxes = [parallel, serial].into_iter().map(ModelConfig::GptNeox);
    gpts.chain(llamas.into_iter().chain(kin()).map(ModelConfig::Llama))
        .chain(neoxes)
        .chain(opts().map(ModelConfig::Opt))
        .chain(gemmas().into_iter().map(ModelConfig::Gemma))
        .collect()
}

/// What is like a Llama, with what each of them has otherwise.
fn kin() -> [LlamaConfig; 4] {
    let with = |model_type, fields: &str| {
        let mut config = like_llama(model_type);
        config
            .extra
            .extend(serde_json::from_str::<serde_json::Map<_, _>>(fields).unwrap_or_default());
        config
    };
    // The first of two layers rotates nothing.
    let smollm3 = LlamaConfig {
        tie_word_embeddings: true,
        ..with("smollm3", r#"{"no_rope_layers": [0, 1, 1]}"#)
    };
    // Half of each head is turned, and otherwise beyond four positions.
    let long = r#"{"type": "longrope", "short_factor": [0.5], "long_factor": [3.0]}"#;
    let phi3 = LlamaConfig {
        rope_scaling: serde_json::from_str(long).ok(),
        ..with(
            "phi3",
            r#"{"resid_pdrop": 0.1, "partial_rotary_factor": 0.5, "original_max_position_embeddings": 4}"#,
        )
    };
    // The first of two layers has no experts, and tokens of the second go through two of three.
    let dense_below = with(
        "qwen3_moe",
        r#"{"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 6, "mlp_only_layers": [0], "norm_topk_prob": false}"#,
    );
    [smollm3, phi3, like_llama("olmo2"), dense_below]
}

/// A mixture whose loss is more than that of next tokens.
pub fn balanced() -> ModelConfig {
    let mut config = like_llama("mixtral");
    let fields = r#"{"num_local_experts": 3, "num_experts_per_tok": 2, "output_router_logits": true, "router_aux_loss_coef": 0.3}"#;
    config
        .extra
        .extend(serde_json::from_str::<serde_json::Map<_, _>>(fields).unwrap_or_default());
    ModelConfig::Llama(config)
}

/// Normalized in front of its parts, and behind sums with a token table of another width.
fn opts() -> impl Iterator<Item = OptConfig> {
    let before = OptConfig {
        ffn_dim: 12,
        max_position_embeddings: 7,
        attention_dropout: 0.1,
        ..OptConfig::new(13, 8, 2, 2)
    };
    let after = OptConfig {
        do_layer_norm_before: false,
        word_embed_proj_dim: Some(6),
        enable_bias: false,
        ..before.clone()
    };
    [before, after].into_iter()
}

/// Windows hide something of five tokens.
fn gemmas() -> [GemmaConfig; 3] {
    let first = GemmaConfig {
        num_key_value_heads: 2,
        attention_dropout: 0.1,
        ..GemmaConfig::new(13, 8, 2, 4, 12)
    };
    let second = GemmaConfig {
        attn_logit_softcapping: Some(1.5),
        final_logit_softcapping: Some(2.0),
        ..GemmaConfig::gemma2(13, 8, 2, 2, 12)
    };
    let third = GemmaConfig::gemma3(13, 8, 2, 2, 12);
    [first, second, third].map(|config| GemmaConfig {
        sliding_window: Some(3),
        ..config
    })
}

/// Two sequences of five tokens, each of two documents; two labels do not count.
pub fn next_tokens(device: &Device) -> CausalInputs {
    CausalInputs {
        input_ids: Tensor::from_data([[1, 12, 3, 4, 7], [5, 2, 9, 0, 6]], device),
        labels: Tensor::from_data([[12, 3, 4, 7, -100], [2, 9, -1, 6, 1]], device),
        documents: Some(Tensor::from_data([[0, 0, 0, 1, 1], [3, 3, 5, 5, 5]], device)),
        position_ids: None,
    }
}
