use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::LlamaConfig;

use super::Attention;
use crate::rotation::Surroundings;
use crate::stack::Stacked;
use crate::{DropoutStream, Linear, RmsNorm};

/// One layer: attention and a gated feed-forward network, each behind a normalisation and added to the residual stream.
#[derive(Module, Debug)]
pub struct Layer {
    /// Causal self-attention.
    pub self_attn: Attention,
    /// The feed-forward network.
    pub mlp: FeedForward,
    /// In front of the attention.
    pub input_layernorm: RmsNorm,
    /// In front of the feed-forward network.
    pub post_attention_layernorm: RmsNorm,
}

/// SwiGLU: one projection gates the other (Shazeer, arXiv:2002.05202).
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[F, D]`.
    pub gate_proj: Linear,
    /// `[F, D]`.
    pub up_proj: Linear,
    /// `[D, F]`.
    pub down_proj: Linear,
}

impl Layer {
    pub(super) fn skeleton(c: &LlamaConfig, window: Option<usize>, device: &Device) -> Self {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let linear = |inputs, outputs| Linear::skeleton_with(inputs, outputs, c.has_ffn_bias(), device);
        let norm = || RmsNorm::skeleton(d, c.rms_norm_eps, device);
        Self {
            self_attn: Attention::skeleton(c, window, device),
            mlp: FeedForward {
                gate_proj: linear(d, f),
                up_proj: linear(d, f),
                down_proj: linear(f, d),
            },
            input_layernorm: norm(),
            post_attention_layernorm: norm(),
        }
    }
}

impl Stacked for Layer {
    type Context = Surroundings;

    // Attention weights.
    const SITES: u64 = 1;

    /// `a = x + attention(norm(x))`, then `a + mlp(norm(a))`.
    fn forward(&self, x: Tensor<3>, around: &Surroundings, dropout: &DropoutStream) -> Tensor<3> {
        let normal = self.input_layernorm.forward(x.clone());
        let x = self.self_attn.forward(normal, x, around, dropout);
        let normal = self.post_attention_layernorm.forward(x.clone());
        self.mlp.forward(normal, x)
    }
}

impl FeedForward {
    /// `residual + down_proj(silu(gate_proj(x)) · up_proj(x))`.
    ///
    /// # Shapes
    /// `x`, `residual` and the result `[.., D]`.
    pub fn forward<const N: usize>(&self, x: Tensor<N>, residual: Tensor<N>) -> Tensor<N> {
        let gate = self.gate_proj.forward(x.clone());
        let inner = ligo_ops::swiglu(gate, self.up_proj.forward(x));
        self.down_proj.forward_add(inner, None, residual)
    }
}
