use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::Gpt2Config;

use super::Attention;
use crate::causal::Visibility;
use crate::decoder::Neurons;
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm, Linear};

/// One layer: attention and a feed-forward network, each behind a normalization and added to the residual stream.
#[derive(Module, Debug)]
pub struct Block {
    /// In front of the attention.
    pub ln_1: LayerNorm,
    /// Causal self-attention.
    pub attn: Attention,
    /// In front of the feed-forward network.
    pub ln_2: LayerNorm,
    /// The feed-forward network.
    pub mlp: FeedForward,
}

/// Two matrices with an activation between them.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[F, D]`.
    pub c_fc: Linear,
    /// `[D, F]`.
    pub c_proj: Linear,
    #[module(skip)]
    neurons: Neurons,
}

impl Block {
    pub(super) fn skeleton(c: &Gpt2Config, device: &Device) -> Self {
        let (d, f) = (c.n_embd, c.inner());
        let norm = || LayerNorm::skeleton(d, c.layer_norm_epsilon, device);
        Self {
            ln_1: norm(),
            attn: Attention::skeleton(c, device),
            ln_2: norm(),
            mlp: FeedForward {
                c_fc: Linear::skeleton(d, f, device),
                c_proj: Linear::skeleton(f, d, device),
                neurons: Neurons {
                    activation: c.activation_function,
                    dropout: c.resid_pdrop,
                },
            },
        }
    }
}

impl Stacked for Block {
    type Context = Visibility;

    // Attention weights, and the output of either part.
    const SITES: u64 = 3;

    /// `a = x + attn(ln_1(x))`, then `a + mlp(ln_2(a))`.
    fn forward(&self, x: Tensor<3>, visibility: &Visibility, dropout: &DropoutStream) -> Tensor<3> {
        let x = self.attn.forward(self.ln_1.forward(x.clone()), x, visibility, dropout);
        let FeedForward { c_fc, c_proj, neurons } = &self.mlp;
        neurons.forward([c_fc, c_proj], self.ln_2.forward(x.clone()), x, dropout)
    }
}
