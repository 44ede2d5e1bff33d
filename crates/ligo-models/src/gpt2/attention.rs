use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::Gpt2Config;
use ligo_ops::AttentionOptions;

use crate::causal::Visibility;
use crate::{DropoutStream, Linear};

/// Causal self-attention with its output projection.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys and values; files hold the three as one.
    pub c_attn: QueryKeyValue,
    /// Joins the heads, `[D, D]`.
    pub c_proj: Linear,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    output_dropout: f64,
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
            num_heads: c.n_head,
            dropout: c.attn_pdrop,
            output_dropout: c.resid_pdrop,
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
        let q = self.c_attn.query.forward(x.clone());
        let k = self.c_attn.key.forward(x.clone());
        let v = self.c_attn.value.forward(x);
        let options = AttentionOptions {
            dropout: dropout.next(self.dropout),
            ..visibility.attention(self.num_heads)
        };
        let heads = ligo_ops::grouped_attention(q, k, v, options);
        self.c_proj
            .forward_add(heads, dropout.next(self.output_dropout), residual)
    }
}
