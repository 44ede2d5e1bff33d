use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::OptConfig;

use crate::causal::Visibility;
use crate::decoder::{Heads, Neurons};
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm, Linear, split};

/// One layer: attention and a feed-forward network, each added to the residual stream, with a normalization in front of it or behind the sum.
#[derive(Module, Debug)]
pub struct Layer {
    /// Causal self-attention.
    pub self_attn: Attention,
    /// Of the attention.
    pub self_attn_layer_norm: LayerNorm,
    /// `[F, D]`.
    pub fc1: Linear,
    /// `[D, F]`.
    pub fc2: Linear,
    /// Of the feed-forward network.
    pub final_layer_norm: LayerNorm,
    #[module(skip)]
    neurons: Neurons,
    #[module(skip)]
    normalizes_before: bool,
}

/// Causal self-attention.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[D, D]`.
    pub q_proj: Linear,
    /// `[D, D]`.
    pub k_proj: Linear,
    /// `[D, D]`.
    pub v_proj: Linear,
    /// Joins the heads, `[D, D]`.
    pub out_proj: Linear,
    #[module(skip)]
    heads: Heads,
}

impl Layer {
    pub(super) fn skeleton(c: &OptConfig, device: &Device) -> Self {
        let (d, f) = (c.hidden_size, c.ffn_dim);
        let linear = |inputs, outputs| Linear::skeleton_with(inputs, outputs, c.enable_bias, device);
        let norm = || LayerNorm::skeleton(d, c.layer_norm_eps(), device);
        Self {
            self_attn: Attention {
                q_proj: linear(d, d),
                k_proj: linear(d, d),
                v_proj: linear(d, d),
                out_proj: linear(d, d),
                heads: Heads {
                    count: c.num_attention_heads,
                    dropout: c.attention_dropout,
                    output_dropout: c.dropout,
                },
            },
            self_attn_layer_norm: norm(),
            fc1: linear(d, f),
            fc2: linear(f, d),
            final_layer_norm: norm(),
            neurons: Neurons {
                activation: c.activation_function,
                dropout: c.dropout,
            },
            normalizes_before: c.do_layer_norm_before,
        }
    }

    /// `x + part(norm(x))`, or `norm(x + part(x))`; the part adds what is given to it.
    fn around(
        &self,
        norm: &LayerNorm,
        x: Tensor<3>,
        part: impl FnOnce(Tensor<3>, Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        match self.normalizes_before {
            true => part(norm.forward(x.clone()), x),
            false => norm.forward(part(x.clone(), x)),
        }
    }
}

impl Stacked for Layer {
    type Context = Visibility;

    // Attention weights, and the output of either part.
    const SITES: u64 = 3;

    fn forward(&self, x: Tensor<3>, visibility: &Visibility, dropout: &DropoutStream) -> Tensor<3> {
        let attention = &self.self_attn;
        let x = self.around(&self.self_attn_layer_norm, x, |x, residual| {
            let Attention {
                q_proj, k_proj, v_proj, ..
            } = attention;
            let x = split::enter(x);
            let parts = [q_proj, k_proj, v_proj].map(|projection| projection.forward(x.clone()));
            let heads = attention.heads;
            heads.forward(parts, visibility, &attention.out_proj, residual, dropout)
        });
        self.around(&self.final_layer_norm, x, |x, residual| {
            self.neurons.forward([&self.fc1, &self.fc2], x, residual, dropout)
        })
    }
}
