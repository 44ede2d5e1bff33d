use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::CaitConfig;

use super::{Mlp, TalkingHeads};
use crate::skeleton::vacant;
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm};

/// One layer of the first stack; each sub-layer is normalized before and scaled element by element behind (LayerScale).
#[derive(Module, Debug)]
pub struct Block {
    /// Before attention.
    pub norm1: LayerNorm,
    /// Talking-heads attention.
    pub attn: TalkingHeads,
    /// Before the feed-forward matrices.
    pub norm2: LayerNorm,
    /// The feed-forward matrices.
    pub mlp: Mlp,
    /// Factors of what attention says, `[D]`.
    pub gamma_1: Param<Tensor<1>>,
    /// Factors of what the feed-forward matrices say, `[D]`.
    pub gamma_2: Param<Tensor<1>>,
    #[module(skip)]
    drop_path: f64,
}

impl Block {
    pub(super) fn skeleton(c: &CaitConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        Self {
            norm1: LayerNorm::skeleton(d, c.layer_norm_eps, device),
            attn: TalkingHeads::skeleton(c, device),
            norm2: LayerNorm::skeleton(d, c.layer_norm_eps, device),
            mlp: Mlp::skeleton(d, c.intermediate_size, c.hidden_act, c.hidden_dropout_prob, device),
            gamma_1: vacant([d], device),
            gamma_2: vacant([d], device),
            drop_path: c.drop_path_rate,
        }
    }
}

impl Stacked for Block {
    type Context = ();

    // Attention weights, both outputs twice, and what is between the feed-forward matrices.
    const SITES: u64 = 6;

    /// `a = x + γ₁ ∘ Attention(LayerNorm(x))`, then `a + γ₂ ∘ Mlp(LayerNorm(a))`.
    fn forward(&self, x: Tensor<3>, (): &(), dropout: &DropoutStream) -> Tensor<3> {
        let normal = self.norm1.forward(x.clone());
        let x = self
            .attn
            .forward(normal, x, self.gamma_1.val(), dropout, self.drop_path);
        let normal = self.norm2.forward(x.clone());
        self.mlp.forward(normal, x, self.gamma_2.val(), dropout, self.drop_path)
    }
}
