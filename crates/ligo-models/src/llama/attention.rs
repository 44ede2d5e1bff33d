use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::LlamaConfig;
use ligo_ops::AttentionOptions;

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
    /// Of each query, `[d]`, in Qwen3; of all of a token together, `[H·d]`, in OLMo 2.
    pub q_norm: Option<RmsNorm>,
    /// The same of keys.
    pub k_norm: Option<RmsNorm>,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    head_width: usize,
    /// How many positions it reaches over, where that is limited.
    #[module(skip)]
    window: Option<usize>,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    output_dropout: Option<f64>,
    #[module(skip)]
    is_rotated: bool,
}

impl Attention {
    pub(crate) fn skeleton(c: &LlamaConfig, layer: usize, window: Option<usize>, device: &Device) -> Self {
        let d = c.hidden_size;
        let (all, shared) = (
            c.num_attention_heads * c.head_width(),
            c.key_value_heads() * c.head_width(),
        );
        let norm = |all: usize| {
            let width = match c.normalizes_outputs() {
                true => Some(all),
                false => c.has_head_norms().then(|| c.head_width()),
            };
            width.map(|width| RmsNorm::skeleton(width, c.rms_norm_eps, device))
        };
        let input = |width| Linear::skeleton_with(d, width, c.has_input_bias(), device);
        Self {
            q_proj: input(all),
            k_proj: input(shared),
            v_proj: input(shared),
            o_proj: Linear::skeleton_with(all, d, c.has_output_bias(), device),
            q_norm: norm(all),
            k_norm: norm(shared),
            num_heads: c.num_attention_heads,
            head_width: c.head_width(),
            window,
            dropout: c.attention_dropout,
            output_dropout: c.output_dropout(),
            is_rotated: c.is_rotated(layer),
        }
    }

    /// `residual + dropout(o_proj(heads(x)))`.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        residual: Tensor<3>,
        around: &AttentionContext,
        dropout: &DropoutStream,
    ) -> Tensor<3> {
        let heads = self.heads(x, around, dropout);
        let drop = self.output_dropout.and_then(|share| dropout.next(share));
        self.o_proj.forward_add(heads, drop, residual)
    }

    /// What the heads read, side by side.
    ///
    /// # Shapes
    /// `x [B, L, D]`; the result is `[B, L, H·d]`.
    pub(crate) fn heads(&self, x: Tensor<3>, around: &AttentionContext, dropout: &DropoutStream) -> Tensor<3> {
        let q = by_head(self.q_proj.forward(x.clone()), self.q_norm.as_ref());
        let k = by_head(self.k_proj.forward(x.clone()), self.k_norm.as_ref());
        let [q, k] = [q, k].map(|x| match self.is_rotated {
            true => ligo_ops::rotary(x, self.head_width, &around.angles),
            false => x,
        });
        let v = self.v_proj.forward(x);
        let options = AttentionOptions {
            dropout: dropout.next(self.dropout),
            ..around.visibility.attention_within(self.window, self.num_heads)
        };
        ligo_ops::grouped_attention(q, k, v, options)
    }
}

/// Every head normalized by itself, or all of them together, as wide as the norm is, where there is one.
///
/// # Shapes
/// `x` and the result `[B, L, H·d]`.
pub(crate) fn by_head(x: Tensor<3>, norm: Option<&RmsNorm>) -> Tensor<3> {
    let Some(norm) = norm else { return x };
    let [batch, length, width] = x.dims();
    let [head] = norm.weight.dims();
    let heads = x.reshape([batch, length, width / head, head]);
    norm.forward(heads).reshape([batch, length, width])
}
