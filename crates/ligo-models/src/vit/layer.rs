use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::{HiddenAct, VitConfig};

use super::Attention;
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm, Linear, image::drop_path, split};

/// One layer: attention, then two feed-forward matrices, each behind a normalization and beside a residual connection.
#[derive(Module, Debug)]
pub struct Layer {
    /// Before attention.
    pub layernorm_before: LayerNorm,
    /// Self-attention.
    pub attention: Attention,
    /// Before the feed-forward matrices.
    pub layernorm_after: LayerNorm,
    /// `[F, D]`; the first feed-forward matrix.
    pub intermediate: Dense,
    /// `[D, F]`; the second one.
    pub output: Dense,
    #[module(skip)]
    activation: HiddenAct,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    drop_path: f64,
}

/// A linear layer that files call `dense`.
#[derive(Module, Debug)]
pub struct Dense {
    /// `[out, in]`.
    pub dense: Linear,
}

impl Dense {
    pub(super) fn skeleton(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self {
            dense: Linear::skeleton(inputs, outputs, device),
        }
    }
}

impl Layer {
    pub(super) fn skeleton(c: &VitConfig, index: usize, device: &Device) -> Self {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let norm = || LayerNorm::skeleton(d, c.layer_norm_eps, device);
        Self {
            layernorm_before: norm(),
            attention: Attention::skeleton(c, device),
            layernorm_after: norm(),
            intermediate: Dense::skeleton(d, f, device),
            output: Dense::skeleton(f, d, device),
            activation: c.hidden_act,
            dropout: c.hidden_dropout_prob,
            drop_path: c.drop_path(index),
        }
    }

    /// `residual + layer(x)`, with dropout of elements, then of the whole branch.
    fn add(&self, residual: Tensor<3>, layer: &Dense, x: Tensor<3>, dropout: &DropoutStream) -> Tensor<3> {
        let (elements, path) = (dropout.next(self.dropout), dropout.next(self.drop_path));
        if path.is_none() {
            return layer.dense.forward_add(x, elements, residual);
        }
        residual + drop_path(ligo_ops::dropout(layer.dense.join(x), elements), path)
    }
}

impl Stacked for Layer {
    type Context = ();

    // Attention weights, and the output of either part twice.
    const SITES: u64 = 5;

    /// `a = x + Attention(LayerNorm(x))`, then `a + W₂ act(W₁ LayerNorm(a) + b₁) + b₂`.
    fn forward(&self, x: Tensor<3>, (): &(), dropout: &DropoutStream) -> Tensor<3> {
        let heads = self.attention.heads(self.layernorm_before.forward(x.clone()), dropout);
        let x = self.add(x, &self.attention.output, heads, dropout);
        let normal = split::enter(self.layernorm_after.forward(x.clone()));
        let inner = self.intermediate.dense.forward_activated(normal, self.activation);
        self.add(x, &self.output, inner, dropout)
    }
}
