use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::LlamaConfig;

use super::{Attention, DecoderLayer};
use crate::mixture::Ledger;
use crate::rotation::AttentionContext;
use crate::stack::Stacked;
use crate::{DropoutStream, Linear, RmsNorm, split};

/// One layer: attention and a gated feed-forward network, each behind a normalization and added to the residual stream.
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
    #[module(skip)]
    output_dropout: Option<f64>,
}

impl DecoderLayer for Layer {
    fn skeleton(c: &LlamaConfig, layer: usize, window: Option<usize>, device: &Device) -> Self {
        let norm = || RmsNorm::skeleton(c.hidden_size, c.rms_norm_eps, device);
        Self {
            self_attn: Attention::skeleton(c, layer, window, device),
            mlp: FeedForward::skeleton(c, device),
            input_layernorm: norm(),
            post_attention_layernorm: norm(),
        }
    }

    fn context(tokens: AttentionContext, _: Option<Ledger>) -> AttentionContext {
        tokens
    }
}

impl Stacked for Layer {
    type Context = AttentionContext;

    // Attention weights.
    const SITES: u64 = 1;

    /// And what comes out of either part, in a Phi-3.
    fn sites(&self) -> u64 {
        Self::SITES + if self.mlp.output_dropout.is_some() { 2 } else { 0 }
    }

    /// `a = x + attention(norm(x))`, then `a + mlp(norm(a))`.
    fn forward(&self, x: Tensor<3>, around: &AttentionContext, dropout: &DropoutStream) -> Tensor<3> {
        let normal = self.input_layernorm.forward(x.clone());
        let x = self.self_attn.forward(normal, x, around, dropout);
        let normal = self.post_attention_layernorm.forward(x.clone());
        self.mlp.forward(normal, x, dropout)
    }
}

impl FeedForward {
    pub(crate) fn skeleton(c: &LlamaConfig, device: &Device) -> Self {
        Self::skeleton_of(c, c.intermediate_size, device)
    }

    /// With so many neurons.
    pub(crate) fn skeleton_of(c: &LlamaConfig, f: usize, device: &Device) -> Self {
        let d = c.hidden_size;
        let linear = |inputs, outputs| Linear::skeleton_with(inputs, outputs, c.has_ffn_bias(), device);
        Self {
            gate_proj: linear(d, f),
            up_proj: linear(d, f),
            down_proj: linear(f, d),
            output_dropout: c.output_dropout(),
        }
    }

    /// `residual + dropout(down_proj(neurons(x)))`.
    fn forward(&self, x: Tensor<3>, residual: Tensor<3>, dropout: &DropoutStream) -> Tensor<3> {
        let drop = self.output_dropout.and_then(|share| dropout.next(share));
        self.down_proj.forward_add(self.neurons(x), drop, residual)
    }

    /// `silu(gate_proj(x)) · up_proj(x)`.
    ///
    /// # Shapes
    /// `x [.., D]`; the result is `[.., F]`.
    pub(crate) fn neurons<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let x = split::enter(x);
        let gate = self.gate_proj.forward(x.clone());
        ligo_ops::swiglu(gate, self.up_proj.forward(x))
    }
}
