use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::VitConfig;

use super::Dense;
use crate::heads::attend_both_ways;
use crate::{DropoutStream, Linear, split};

/// Self-attention with its output matrix.
#[derive(Module, Debug)]
pub struct Attention {
    /// What the heads read.
    pub attention: Projections,
    /// `[D, D]`; mixes the heads.
    pub output: Dense,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    dropout: f64,
}

/// Queries, keys and values of all heads.
#[derive(Module, Debug)]
pub struct Projections {
    /// `[D, D]`.
    pub query: Linear,
    /// `[D, D]`.
    pub key: Linear,
    /// `[D, D]`.
    pub value: Linear,
}

impl Attention {
    pub(super) fn skeleton(c: &VitConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        let projection = || Linear::skeleton_with(d, d, c.qkv_bias, device);
        Self {
            attention: Projections {
                query: projection(),
                key: projection(),
                value: projection(),
            },
            output: Dense::skeleton(d, d, device),
            num_heads: c.num_attention_heads,
            dropout: c.attention_probs_dropout_prob,
        }
    }

    /// What every token reads of every token, in front of the output projection.
    ///
    /// # Shapes
    /// `x` and the result `[B, L, D]`.
    pub fn heads(&self, x: Tensor<3>, dropout: &DropoutStream) -> Tensor<3> {
        let x = split::enter(x);
        let q = self.attention.query.forward(x.clone());
        let k = self.attention.key.forward(x.clone());
        let v = self.attention.value.forward(x);
        let dropout = dropout.next(self.dropout);
        attend_both_ways([q, k, v], self.num_heads, None, dropout)
    }
}
