use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::{HiddenAct, VitConfig};

use super::Attention;
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm, Linear, activation::activate, image::drop_path};

/// One layer: attention, then two feed-forward matrices, each behind a normalisation and beside a residual connection.
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

    /// Dropout of elements, then of the whole sub-layer.
    fn thin_out(&self, x: Tensor<3>, dropout: &DropoutStream) -> Tensor<3> {
        let x = ligo_ops::dropout(x, dropout.next(self.dropout));
        drop_path(x, dropout.next(self.drop_path))
    }
}

impl Stacked for Layer {
    type Context = ();

    // Attention weights, and the output of either part twice.
    const SITES: u64 = 5;

    /// `a = x + Attention(LayerNorm(x))`, then `a + W₂ act(W₁ LayerNorm(a) + b₁) + b₂`.
    fn forward(&self, x: Tensor<3>, (): &(), dropout: &DropoutStream) -> Tensor<3> {
        let attended = self
            .attention
            .forward(self.layernorm_before.forward(x.clone()), dropout);
        let x = x + self.thin_out(attended, dropout);
        let inner = self.intermediate.dense.forward(self.layernorm_after.forward(x.clone()));
        let fed = self.output.dense.forward(activate(inner, self.activation));
        x + self.thin_out(fed, dropout)
    }
}
