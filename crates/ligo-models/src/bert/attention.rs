use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use crate::heads::attend_both_ways;
use crate::{DropoutStream, LayerNorm, Linear, split};

/// Self-attention with its output projection, residual connection and normalization.
#[derive(Module, Debug)]
pub struct Attention {
    /// The heads; `self` in Hugging Face names.
    pub self_: SelfAttention,
    /// What follows them.
    pub output: AttentionOutput,
}

/// Queries, keys and values of all heads.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// `[D, D]`.
    pub query: Linear,
    /// `[D, D]`.
    pub key: Linear,
    /// `[D, D]`.
    pub value: Linear,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    dropout: f64,
}

/// Projection of the joined heads, residual connection and normalization.
#[derive(Module, Debug)]
pub struct AttentionOutput {
    /// `[D, D]`.
    pub dense: Linear,
    /// After the residual connection.
    pub layer_norm: LayerNorm,
    #[module(skip)]
    dropout: f64,
}

impl Attention {
    pub(super) fn skeleton(c: &BertConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        Self {
            self_: SelfAttention {
                query: Linear::skeleton(d, d, device),
                key: Linear::skeleton(d, d, device),
                value: Linear::skeleton(d, d, device),
                num_heads: c.num_attention_heads,
                dropout: c.attention_probs_dropout_prob,
            },
            output: AttentionOutput {
                dense: Linear::skeleton(d, d, device),
                layer_norm: LayerNorm::skeleton(d, c.layer_norm_eps, device),
                dropout: c.hidden_dropout_prob,
            },
        }
    }

    /// `LayerNorm(x + dropout(dense(heads(x))))` (Devlin et al., arXiv:1810.04805).
    ///
    /// # Shapes
    /// `x [B, L, D]`; `attention_mask [B, L]`, 1 for a token and 0 for padding; the result is `[B, L, D]`.
    pub fn forward(&self, x: Tensor<3>, attention_mask: Option<Tensor<2>>, dropout: &DropoutStream) -> Tensor<3> {
        let heads = self.self_.forward(x.clone(), attention_mask, dropout);
        self.output.forward(heads, x, dropout)
    }
}

impl SelfAttention {
    fn forward(&self, x: Tensor<3>, attention_mask: Option<Tensor<2>>, dropout: &DropoutStream) -> Tensor<3> {
        let x = split::enter(x);
        let q = self.query.forward(x.clone());
        let k = self.key.forward(x.clone());
        let v = self.value.forward(x);
        let dropout = dropout.next(self.dropout);
        attend_both_ways([q, k, v], self.num_heads, attention_mask, dropout)
    }
}

impl AttentionOutput {
    fn forward(&self, heads: Tensor<3>, residual: Tensor<3>, dropout: &DropoutStream) -> Tensor<3> {
        let drop = dropout.next(self.dropout);
        self.layer_norm.forward_branch(&self.dense, heads, drop, residual)
    }
}
