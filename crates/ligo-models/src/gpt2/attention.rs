use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::Gpt2Config;

use crate::causal::Visibility;
use crate::decoder::Heads;
use crate::{DropoutStream, Linear, split};

/// Causal self-attention with its output projection.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys and values; files hold the three as one.
    pub c_attn: QueryKeyValue,
    /// Joins the heads, `[D, D]`.
    pub c_proj: Linear,
    #[module(skip)]
    heads: Heads,
}

/// Three projections of the residual stream.
#[derive(Module, Debug)]
pub struct QueryKeyValue {
    /// `[D, D]`.
    pub query: Linear,
    /// `[D, D]`.
    pub key: Linear,
    /// `[D, D]`.
    pub value: Linear,
}

impl Attention {
    pub(super) fn skeleton(c: &Gpt2Config, device: &Device) -> Self {
        let square = || Linear::skeleton(c.n_embd, c.n_embd, device);
        Self {
            c_attn: QueryKeyValue {
                query: square(),
                key: square(),
                value: square(),
            },
            c_proj: square(),
            heads: Heads {
                count: c.n_head,
                dropout: c.attn_pdrop,
                output_dropout: c.resid_pdrop,
            },
        }
    }

    /// `residual + dropout(c_proj(heads(x)))`.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        residual: Tensor<3>,
        visibility: &Visibility,
        dropout: &DropoutStream,
    ) -> Tensor<3> {
        let QueryKeyValue { query, key, value } = &self.c_attn;
        let x = split::enter(x);
        let parts = [query, key, value].map(|projection| projection.forward(x.clone()));
        self.heads.forward(parts, visibility, &self.c_proj, residual, dropout)
    }
}
