use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::CaitConfig;
use ligo_ops::HeadMix;

use super::mlp::BranchEnd;
use crate::skeleton::vacant;
use crate::{DropoutStream, Linear};

/// Attention whose heads exchange scores before the softmax and weights behind it (Shazeer et al., arXiv:2003.02436).
#[derive(Module, Debug)]
pub struct TalkingHeads {
    /// What the heads read; one tensor in files.
    pub qkv: Qkv,
    /// `[D, D]`; joins the heads.
    pub proj: Linear,
    /// Mixes the scores of the heads. Its bias cancels in the softmax; it is there because files have it.
    pub proj_l: Talk,
    /// Mixes their weights.
    pub proj_w: Talk,
    #[module(skip)]
    attention_dropout: f64,
    #[module(skip)]
    dropout: f64,
}

/// An affine map over the heads.
#[derive(Module, Debug)]
pub struct Talk {
    /// `[H, H]`.
    pub weight: Param<Tensor<2>>,
    /// `[H]`.
    pub bias: Param<Tensor<1>>,
}

/// Queries, keys and values of all heads.
#[derive(Module, Debug)]
pub struct Qkv {
    /// `[D, D]`; the first third of the rows in files.
    pub query: Linear,
    /// `[D, D]`; the second.
    pub key: Linear,
    /// `[D, D]`; the last.
    pub value: Linear,
}

impl TalkingHeads {
    pub(super) fn skeleton(c: &CaitConfig, device: &Device) -> Self {
        let (d, h) = (c.hidden_size, c.num_attention_heads);
        let projection = || Linear::skeleton_with(d, d, c.qkv_bias, device);
        Self {
            qkv: Qkv {
                query: projection(),
                key: projection(),
                value: projection(),
            },
            proj: Linear::skeleton(d, d, device),
            proj_l: Talk::skeleton(h, device),
            proj_w: Talk::skeleton(h, device),
            attention_dropout: c.attention_probs_dropout_prob,
            dropout: c.hidden_dropout_prob,
        }
    }

    /// `residual + dropout(γ ∘ proj(W_w softmax(W_l (q kᵀ / √(D/H)) + b_l) + b_w) v)`; `path` drops the whole branch.
    ///
    /// # Shapes
    /// `x`, `residual` and the result `[B, N, D]`; `gamma [D]`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        residual: Tensor<3>,
        gamma: Tensor<1>,
        dropout: &DropoutStream,
        path: f64,
    ) -> Tensor<3> {
        let q = self.qkv.query.forward(x.clone());
        let k = self.qkv.key.forward(x.clone());
        let v = self.qkv.value.forward(x);
        let dropped = dropout.next(self.attention_dropout);
        let heads = ligo_ops::talking_heads(q, k, v, self.proj_l.val(), self.proj_w.val(), dropped);
        let end = BranchEnd {
            gamma,
            elements: dropout.next(self.dropout),
            path: dropout.next(path),
        };
        end.add(&self.proj, heads, residual)
    }
}

impl Talk {
    fn skeleton(heads: usize, device: &Device) -> Self {
        Self {
            weight: vacant([heads, heads], device),
            bias: vacant([heads], device),
        }
    }

    fn val(&self) -> HeadMix {
        HeadMix {
            weight: self.weight.val(),
            bias: self.bias.val(),
        }
    }
}
