use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::CaitConfig;
use ligo_ops::cross_attention;

use super::{Mlp, mlp::BranchEnd};
use crate::skeleton::vacant;
use crate::{DropoutStream, LayerNorm, Linear};

/// One layer of the second stack: the class token reads the patches, which stay as they are. Nothing is dropped in it.
#[derive(Module, Debug)]
pub struct ClassBlock {
    /// Before attention.
    pub norm1: LayerNorm,
    /// Attention of the class token.
    pub attn: ClassAttention,
    /// Before the feed-forward matrices.
    pub norm2: LayerNorm,
    /// The feed-forward matrices.
    pub mlp: Mlp,
    /// Factors of what attention says, `[D]`.
    pub gamma_1: Param<Tensor<1>>,
    /// Factors of what the feed-forward matrices say, `[D]`.
    pub gamma_2: Param<Tensor<1>>,
}

/// Attention with one query for each image.
#[derive(Module, Debug)]
pub struct ClassAttention {
    /// `[D, D]`; reads the class token.
    pub q: Linear,
    /// `[D, D]`.
    pub k: Linear,
    /// `[D, D]`.
    pub v: Linear,
    /// `[D, D]`; mixes the heads.
    pub proj: Linear,
    #[module(skip)]
    num_heads: usize,
}

impl ClassBlock {
    pub(super) fn skeleton(c: &CaitConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        let projection = || Linear::skeleton_with(d, d, c.qkv_bias, device);
        Self {
            norm1: LayerNorm::skeleton(d, c.layer_norm_eps, device),
            attn: ClassAttention {
                q: projection(),
                k: projection(),
                v: projection(),
                proj: Linear::skeleton(d, d, device),
                num_heads: c.num_attention_heads,
            },
            norm2: LayerNorm::skeleton(d, c.layer_norm_eps, device),
            mlp: Mlp::skeleton(d, c.class_ffn(), c.hidden_act, 0.0, device),
            gamma_1: vacant([d], device),
            gamma_2: vacant([d], device),
        }
    }

    /// `a = t + γ₁ ∘ Attention(LayerNorm([t; patches]))`, then `a + γ₂ ∘ Mlp(LayerNorm(a))`.
    ///
    /// # Shapes
    /// `token` and the result `[B, 1, D]`, `patches [B, N, D]`.
    pub fn forward(&self, token: Tensor<3>, patches: Tensor<3>) -> Tensor<3> {
        let all = self.norm1.forward(Tensor::cat(vec![token.clone(), patches], 1));
        let token = self.attn.forward(all, token, self.gamma_1.val());
        let normal = self.norm2.forward(token.clone());
        let nothing = DropoutStream::off();
        self.mlp.forward(normal, token, self.gamma_2.val(), &nothing, 0.0)
    }
}

impl ClassAttention {
    /// The first token attends to all, itself included.
    fn forward(&self, x: Tensor<3>, residual: Tensor<3>, gamma: Tensor<1>) -> Tensor<3> {
        let q = self.q.forward(x.clone().slice_dim(1, 0..1));
        let (k, v) = (self.k.forward(x.clone()), self.v.forward(x));
        let heads = cross_attention(q, k, v, self.num_heads);
        let end = BranchEnd {
            gamma,
            elements: None,
            path: None,
        };
        end.add(&self.proj, heads, residual)
    }
}
