use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::{AlbertConfig, HiddenAct};

use crate::heads::attend_both_ways;
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm, Linear, split};

/// One layer: attention and a feed-forward network, each added to what it reads and normalized.
#[derive(Module, Debug)]
pub struct Layer {
    /// Self-attention.
    pub attention: Attention,
    /// `[F, D]`; the first feed-forward matrix.
    pub ffn: Linear,
    /// `[D, F]`; the second one.
    pub ffn_output: Linear,
    /// Behind the feed-forward network.
    pub full_layer_layer_norm: LayerNorm,
    #[module(skip)]
    activation: HiddenAct,
}

/// Queries, keys and values of all heads, what joins them, and a normalization.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[D, D]`.
    pub query: Linear,
    /// `[D, D]`.
    pub key: Linear,
    /// `[D, D]`.
    pub value: Linear,
    /// Joins the heads, `[D, D]`.
    pub dense: Linear,
    /// Behind the residual connection.
    pub layer_norm: LayerNorm,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    weights_dropout: f64,
    #[module(skip)]
    output_dropout: f64,
}

impl Layer {
    pub(super) fn skeleton(c: &AlbertConfig, device: &Device) -> Self {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let square = || Linear::skeleton(d, d, device);
        let norm = || LayerNorm::skeleton(d, c.layer_norm_eps, device);
        Self {
            attention: Attention {
                query: square(),
                key: square(),
                value: square(),
                dense: square(),
                layer_norm: norm(),
                num_heads: c.num_attention_heads,
                weights_dropout: c.attention_probs_dropout_prob,
                output_dropout: c.hidden_dropout_prob,
            },
            ffn: Linear::skeleton(d, f, device),
            ffn_output: Linear::skeleton(f, d, device),
            full_layer_layer_norm: norm(),
            activation: c.hidden_act,
        }
    }
}

impl Attention {
    /// `LayerNorm(x + dropout(dense(heads(x))))`.
    fn forward(&self, x: Tensor<3>, mask: Option<Tensor<2>>, dropout: &DropoutStream) -> Tensor<3> {
        let read = split::enter(x.clone());
        let parts = [&self.query, &self.key, &self.value].map(|projection| projection.forward(read.clone()));
        let drop = dropout.next(self.weights_dropout);
        let heads = attend_both_ways(parts, self.num_heads, mask, drop);
        let drop = dropout.next(self.output_dropout);
        self.layer_norm.forward_branch(&self.dense, heads, drop, x)
    }
}

impl Stacked for Layer {
    /// 1 for a token and 0 for padding, `[B, L]`.
    type Context = Option<Tensor<2>>;

    // Attention weights and the output of attention; `transformers` has none behind the feed-forward network.
    const SITES: u64 = 2;

    /// `a = Attention(x)`, then `LayerNorm(a + W₂ act(W₁ a + b₁) + b₂)`.
    fn forward(&self, x: Tensor<3>, mask: &Self::Context, dropout: &DropoutStream) -> Tensor<3> {
        let attended = self.attention.forward(x, mask.clone(), dropout);
        let read = split::enter(attended.clone());
        let inner = self.ffn.forward_activated(read, self.activation);
        self.full_layer_layer_norm
            .forward_branch(&self.ffn_output, inner, None, attended)
    }
}
