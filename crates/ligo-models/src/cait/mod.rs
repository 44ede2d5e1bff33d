//! CaiT (Touvron et al., arXiv:2103.17239) as `timm`'s `Cait` computes it.
//!
//! Letters in shapes: `B` images, `N` patches, `D` hidden, `H` heads, `F` feed-forward, `K` classes.

mod block;
mod class_block;
mod mlp;
mod talking_heads;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::{CaitConfig, Patches};

pub use block::Block;
pub use class_block::{ClassAttention, ClassBlock};
pub use mlp::Mlp;
pub use talking_heads::{Qkv, Talk, TalkingHeads};

use crate::image::{cut, repeat};
use crate::network::{Network, images, pixels};
use crate::skeleton::vacant;
use crate::{Error, Features, HeadScores, Inputs, LayerNorm, Linear, Pass, Scores, stack};

/// CaiT: patches attend to each other in one stack of layers, then a class token reads them in another.
#[derive(Module, Debug)]
pub struct Cait {
    /// Enters before the second stack, `[D]`; files hold it as `[1, 1, D]`.
    pub cls_token: Param<Tensor<1>>,
    /// `[N, D]`; files hold it as `[1, N, D]`. The class token has no position.
    pub pos_embed: Param<Tensor<2>>,
    /// Makes a token of each patch.
    pub patch_embed: PatchEmbed,
    /// Layers in which patches attend to patches.
    pub blocks: Vec<Block>,
    /// Layers in which the class token attends to all.
    pub blocks_token_only: Vec<ClassBlock>,
    /// Behind the last layer.
    pub norm: LayerNorm,
    /// `[K, D]`; the classifier.
    pub head: Linear,
    #[module(skip)]
    dropout: f64,
}

/// A convolution whose kernels do not overlap, as a linear layer on patches.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// `[D, C·P·P]`; files hold it as `[D, C, P, P]`.
    pub proj: Linear,
    #[module(skip)]
    patches: Patches,
}

impl Cait {
    pub(crate) fn skeleton(c: &CaitConfig, device: &Device) -> Self {
        let (d, patches) = (c.hidden_size, c.patches());
        let blocks = (0..c.num_hidden_layers).map(|_| Block::skeleton(c, device));
        let class_blocks = (0..c.depth_token_only).map(|_| ClassBlock::skeleton(c, device));
        Self {
            cls_token: vacant([d], device),
            pos_embed: vacant([patches.count(), d], device),
            patch_embed: PatchEmbed {
                proj: Linear::skeleton(patches.numbers(), d, device),
                patches,
            },
            blocks: blocks.collect(),
            blocks_token_only: class_blocks.collect(),
            norm: LayerNorm::skeleton(d, c.layer_norm_eps, device),
            head: Linear::skeleton(d, c.labels(), device),
            dropout: c.hidden_dropout_prob,
        }
    }

    /// The patches behind the first stack; `inspect` sees them after the embeddings and after each of its layers.
    ///
    /// # Shapes
    /// `pixels [B, C, H, W]`; the result is `[B, N, D]`.
    ///
    /// # Errors
    /// Those of [`Pass::check`].
    ///
    /// # Panics
    /// When the images are not of the model's size.
    pub fn patches(
        &self,
        pixels: Tensor<4>,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let patches = cut(pixels, &self.patch_embed.patches);
        let x = ligo_ops::add_positions(self.patch_embed.proj.forward(patches), self.pos_embed.val(), None);
        let x = ligo_ops::dropout(x, pass.dropout.next(self.dropout));
        stack::run(&self.blocks, x, &(), 0, pass, inspect)
    }

    /// What the classifier says, `[B, 1, K]`.
    fn classify(&self, pixels: &Tensor<4>, pass: &Pass) -> Result<Tensor<3>, Error> {
        let patches = self.patches(pixels.clone(), pass, &mut |_| {})?;
        let token = repeat(self.cls_token.val(), patches.dims()[0]);
        let layers = self.blocks_token_only.iter();
        let token = layers.fold(token, |token, layer| layer.forward(token, patches.clone()));
        Ok(self.head.forward(self.norm.forward(token)))
    }
}

impl Network for Cait {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = images(inputs)?;
        let logits = self.classify(&inputs.pixels, pass)?;
        Ok(HeadScores::of_token(logits, &inputs.targets).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.classify(pixels(features)?, &Pass::evaluation())
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        let pixels = pixels(features)?;
        stack::states(|inspect| self.patches(pixels.clone(), &Pass::evaluation(), inspect))
    }
}
