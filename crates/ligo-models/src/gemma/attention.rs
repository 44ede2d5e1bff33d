use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::GemmaConfig;
use ligo_ops::AttentionOptions;

use crate::llama::by_head;
use crate::rotation::AttentionContext;
use crate::{DropoutStream, Linear, RmsNorm};

/// Causal self-attention with rotated queries and keys, of which several queries may share one.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[H·d, D]`.
    pub q_proj: Linear,
    /// `[G·d, D]`.
    pub k_proj: Linear,
    /// `[G·d, D]`.
    pub v_proj: Linear,
    /// Joins the heads, `[D, H·d]`.
    pub o_proj: Linear,
    /// Of each query, `[d]`; Gemma 3 has it.
    pub q_norm: Option<RmsNorm>,
    /// Of each key, `[d]`.
    pub k_norm: Option<RmsNorm>,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    head_width: usize,
    /// How many positions it reaches over, where that is limited.
    #[module(skip)]
    window: Option<usize>,
    #[module(skip)]
    scale: f64,
    /// Where scores level off.
    #[module(skip)]
    cap: Option<f64>,
    #[module(skip)]
    dropout: f64,
}

impl Attention {
    pub(super) fn skeleton(c: &GemmaConfig, window: Option<usize>, device: &Device) -> Self {
        let d = c.hidden_size;
        let (all, shared) = (c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim);
        let norm = || {
            c.has_head_norms()
                .then(|| RmsNorm::skeleton(c.head_dim, c.rms_norm_eps, device))
        };
        let linear = |inputs, outputs| Linear::skeleton_with(inputs, outputs, c.attention_bias, device);
        Self {
            q_proj: linear(d, all),
            k_proj: linear(d, shared),
            v_proj: linear(d, shared),
            o_proj: linear(all, d),
            q_norm: norm(),
            k_norm: norm(),
            num_heads: c.num_attention_heads,
            head_width: c.head_dim,
            window,
            scale: c.score_scale(),
            cap: c.score_cap(),
            dropout: c.attention_dropout,
        }
    }

    /// What the heads read, side by side: the input of `o_proj`.
    pub(super) fn heads(&self, x: Tensor<3>, around: &AttentionContext, dropout: &DropoutStream) -> Tensor<3> {
        let q = by_head(self.q_proj.forward(x.clone()), self.q_norm.as_ref());
        let k = by_head(self.k_proj.forward(x.clone()), self.k_norm.as_ref());
        let [q, k] = [q, k].map(|x| ligo_ops::rotary(x, self.head_width, &around.angles));
        let v = self.v_proj.forward(x);
        let options = AttentionOptions {
            dropout: dropout.next(self.dropout),
            scale: Some(self.scale),
            soft_cap: self.cap,
            ..around.visibility.attention_within(self.window, self.num_heads)
        };
        ligo_ops::grouped_attention(q, k, v, options)
    }
}
