use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::{DistilBertConfig, HiddenAct};

use crate::heads::attend_both_ways;
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm, Linear, split};

/// One layer: attention and a feed-forward network, each added to what it reads and normalized.
#[derive(Module, Debug)]
pub struct Layer {
    /// Self-attention.
    pub attention: Attention,
    /// Behind the attention.
    pub sa_layer_norm: LayerNorm,
    /// The feed-forward network.
    pub ffn: FeedForward,
    /// Behind the feed-forward network.
    pub output_layer_norm: LayerNorm,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    attention_dropout: f64,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    activation: HiddenAct,
}

/// Queries, keys and values of all heads, and what joins them.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[D, D]`.
    pub q_lin: Linear,
    /// `[D, D]`.
    pub k_lin: Linear,
    /// `[D, D]`.
    pub v_lin: Linear,
    /// Joins the heads, `[D, D]`.
    pub out_lin: Linear,
}

/// Two matrices with an activation between them.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[F, D]`.
    pub lin1: Linear,
    /// `[D, F]`.
    pub lin2: Linear,
}

impl Layer {
    pub(super) fn skeleton(c: &DistilBertConfig, device: &Device) -> Self {
        let (d, f) = (c.dim, c.hidden_dim);
        let square = || Linear::skeleton(d, d, device);
        let norm = || LayerNorm::skeleton(d, c.layer_norm_eps(), device);
        Self {
            attention: Attention {
                q_lin: square(),
                k_lin: square(),
                v_lin: square(),
                out_lin: square(),
            },
            sa_layer_norm: norm(),
            ffn: FeedForward {
                lin1: Linear::skeleton(d, f, device),
                lin2: Linear::skeleton(f, d, device),
            },
            output_layer_norm: norm(),
            num_heads: c.n_heads,
            attention_dropout: c.attention_dropout,
            dropout: c.dropout,
            activation: c.activation,
        }
    }
}

impl Stacked for Layer {
    /// 1 for a token and 0 for padding, `[B, L]`.
    type Context = Option<Tensor<2>>;

    // Attention weights, and the output of the feed-forward network.
    const SITES: u64 = 2;

    /// `a = LayerNorm(x + attention(x))`, then `LayerNorm(a + dropout(ffn(a)))`.
    fn forward(&self, x: Tensor<3>, mask: &Self::Context, dropout: &DropoutStream) -> Tensor<3> {
        let Attention {
            q_lin,
            k_lin,
            v_lin,
            out_lin,
        } = &self.attention;
        let read = split::enter(x.clone());
        let parts = [q_lin, k_lin, v_lin].map(|projection| projection.forward(read.clone()));
        let drop = dropout.next(self.attention_dropout);
        let heads = attend_both_ways(parts, self.num_heads, mask.clone(), drop);
        let attended = self.sa_layer_norm.forward_branch(out_lin, heads, None, x);
        let read = split::enter(attended.clone());
        let inner = self.ffn.lin1.forward_activated(read, self.activation);
        let drop = dropout.next(self.dropout);
        self.output_layer_norm
            .forward_branch(&self.ffn.lin2, inner, drop, attended)
    }
}
