use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::{BertConfig, HiddenAct};

use super::Attention;
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm, Linear, split};

/// One layer of the encoder: attention, then two feed-forward matrices, each followed by a normalization.
#[derive(Module, Debug)]
pub struct Layer {
    /// Self-attention.
    pub attention: Attention,
    /// The first feed-forward matrix.
    pub intermediate: Intermediate,
    /// The second one.
    pub output: FeedForwardOutput,
}

/// The first feed-forward matrix and its activation.
#[derive(Module, Debug)]
pub struct Intermediate {
    /// `[F, D]`.
    pub dense: Linear,
    #[module(skip)]
    activation: HiddenAct,
}

/// The second feed-forward matrix, residual connection and normalization.
#[derive(Module, Debug)]
pub struct FeedForwardOutput {
    /// `[D, F]`.
    pub dense: Linear,
    /// After the residual connection.
    pub layer_norm: LayerNorm,
    #[module(skip)]
    dropout: f64,
}

impl Layer {
    pub(super) fn skeleton(c: &BertConfig, device: &Device) -> Self {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        Self {
            attention: Attention::skeleton(c, device),
            intermediate: Intermediate {
                dense: Linear::skeleton(d, f, device),
                activation: c.hidden_act,
            },
            output: FeedForwardOutput {
                dense: Linear::skeleton(f, d, device),
                layer_norm: LayerNorm::skeleton(d, c.layer_norm_eps, device),
                dropout: c.hidden_dropout_prob,
            },
        }
    }
}

impl Stacked for Layer {
    /// 1 for a token and 0 for padding, `[B, L]`.
    type Context = Option<Tensor<2>>;

    // Attention weights, and the output of either part.
    const SITES: u64 = 3;

    /// `a = Attention(x)`, then `LayerNorm(a + dropout(W₂ act(W₁ a + b₁) + b₂))`.
    fn forward(&self, x: Tensor<3>, attention_mask: &Self::Context, dropout: &DropoutStream) -> Tensor<3> {
        let attended = self.attention.forward(x, attention_mask.clone(), dropout);
        let inner = self.intermediate.forward(attended.clone());
        self.output.forward(inner, attended, dropout)
    }
}

impl Intermediate {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.dense.forward_activated(split::enter(x), self.activation)
    }
}

impl FeedForwardOutput {
    fn forward(&self, inner: Tensor<3>, residual: Tensor<3>, dropout: &DropoutStream) -> Tensor<3> {
        let drop = dropout.next(self.dropout);
        self.layer_norm.forward_branch(&self.dense, inner, drop, residual)
    }
}
