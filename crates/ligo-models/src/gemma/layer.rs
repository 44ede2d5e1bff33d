use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::{GemmaConfig, LayerType};

use super::attention::attention;
use crate::llama::Attention;
use crate::rotation::Around;
use crate::stack::Stacked;
use crate::{DropoutStream, Linear, RmsNorm, split};

/// One layer: attention and a gated feed-forward network, each behind a normalization and, since Gemma 2, in front of another one, and added to
/// the residual stream.
#[derive(Module, Debug)]
pub struct Layer {
    /// Causal self-attention.
    pub self_attn: Attention,
    /// The feed-forward network.
    pub mlp: FeedForward,
    /// In front of the attention.
    pub input_layernorm: RmsNorm,
    /// Behind the attention; in the first Gemma in front of the feed-forward network.
    pub post_attention_layernorm: RmsNorm,
    /// In front of the feed-forward network.
    pub pre_feedforward_layernorm: Option<RmsNorm>,
    /// Behind the feed-forward network.
    pub post_feedforward_layernorm: Option<RmsNorm>,
    #[module(skip)]
    kind: LayerType,
}

/// GeGLU: one projection gates the other (Shazeer, arXiv:2002.05202).
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
    pub(super) fn skeleton(c: &GemmaConfig, window: Option<usize>, kind: LayerType, device: &Device) -> Self {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let linear = |inputs, outputs| Linear::skeleton_with(inputs, outputs, false, device);
        let norm = || RmsNorm::skeleton(d, c.rms_norm_eps, device);
        let further = || c.has_output_norms().then(norm);
        Self {
            self_attn: attention(c, window, device),
            mlp: FeedForward {
                gate_proj: linear(d, f),
                up_proj: linear(d, f),
                down_proj: linear(f, d),
            },
            input_layernorm: norm(),
            post_attention_layernorm: norm(),
            pre_feedforward_layernorm: further(),
            post_feedforward_layernorm: further(),
            kind,
        }
    }
}

impl Stacked for Layer {
    type Context = Around;

    // Attention weights.
    const SITES: u64 = 1;

    /// `a = x + norm(attention(norm(x)))`, then `a + norm(mlp(norm(a)))`; the outer norms where there are any.
    fn forward(&self, x: Tensor<3>, around: &Around, dropout: &DropoutStream) -> Tensor<3> {
        let around = around.of(self.kind);
        let normal = self.input_layernorm.forward(x.clone());
        let heads = self.self_attn.heads(normal, around, dropout);
        let join = &self.self_attn.o_proj;
        let (Some(before), Some(behind)) = (&self.pre_feedforward_layernorm, &self.post_feedforward_layernorm) else {
            let x = join.forward_add(heads, None, x);
            let normal = self.post_attention_layernorm.forward(x.clone());
            return self.mlp.down_proj.forward_add(self.mlp.inner(normal), None, x);
        };
        let x = x + self.post_attention_layernorm.forward(join.join(heads));
        let inner = self.mlp.inner(before.forward(x.clone()));
        x + behind.forward(self.mlp.down_proj.join(inner))
    }
}

impl FeedForward {
    /// `gelu(gate_proj(x)) · up_proj(x)`, the input of `down_proj`.
    fn inner(&self, x: Tensor<3>) -> Tensor<3> {
        let x = split::enter(x);
        let gate = self.gate_proj.forward(x.clone());
        ligo_ops::geglu(gate, self.up_proj.forward(x))
    }
}
