use burn::tensor::Device;
use ligo_arch::GemmaConfig;

use crate::llama::{Attending, Attention};

/// The attention of a layer: a Llama's with a scale of its own, and scores that level off in a Gemma 2.
pub(super) fn attention(c: &GemmaConfig, window: Option<usize>, device: &Device) -> Attention {
    let attending = Attending {
        hidden: c.hidden_size,
        heads: [c.num_attention_heads, c.num_key_value_heads],
        head_width: c.head_dim,
        norms: c.has_head_norms().then_some([c.head_dim; 2]),
        epsilon: c.rms_norm_eps,
        biases: [c.attention_bias; 2],
        window,
        scale: Some(c.score_scale()),
        cap: c.score_cap(),
        dropout: c.attention_dropout,
        output_dropout: None,
        is_rotated: true,
    };
    Attention::of(&attending, device)
}
