use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::{Patches, VitConfig};

use crate::image::cut;
use crate::skeleton::vacant;
use crate::{DropoutStream, Linear};

/// Patches behind learned tokens, with their positions.
#[derive(Module, Debug)]
pub struct Embeddings {
    /// In front of every image, `[D]`; files hold it as `[1, 1, D]`.
    pub cls_token: Param<Tensor<1>>,
    /// Behind the class token of a DeiT, `[D]`.
    pub distillation_token: Option<Param<Tensor<1>>>,
    /// `[L, D]`; files hold it as `[1, L, D]`.
    pub position_embeddings: Param<Tensor<2>>,
    /// Makes a token of each patch.
    pub patch_embeddings: PatchEmbeddings,
    #[module(skip)]
    dropout: f64,
}

/// A convolution whose kernels do not overlap, as a linear layer on patches.
#[derive(Module, Debug)]
pub struct PatchEmbeddings {
    /// `[D, C·P·P]`; files hold it as `[D, C, P, P]`.
    pub projection: Linear,
    #[module(skip)]
    patches: Patches,
}

impl Embeddings {
    pub(super) fn skeleton(c: &VitConfig, device: &Device) -> Self {
        let (d, patches) = (c.hidden_size, c.patches());
        Self {
            cls_token: vacant([d], device),
            distillation_token: c.is_deit().then(|| vacant([d], device)),
            position_embeddings: vacant([patches.count() + c.prefix_tokens(), d], device),
            patch_embeddings: PatchEmbeddings {
                projection: Linear::skeleton(patches.numbers(), d, device),
                patches,
            },
            dropout: c.hidden_dropout_prob,
        }
    }

    /// Tokens in front of the patches.
    pub(super) fn prefix_tokens(&self) -> usize {
        1 + usize::from(self.distillation_token.is_some())
    }

    /// `dropout([class; distillation; patches] + positions)`.
    ///
    /// # Shapes
    /// `pixels [B, C, H, W]`; the result is `[B, L, D]`.
    ///
    /// # Panics
    /// When the images are not of the model's size.
    pub fn forward(&self, pixels: Tensor<4>, dropout: &DropoutStream) -> Tensor<3> {
        let patches = cut(pixels, &self.patch_embeddings.patches);
        let patches = self.patch_embeddings.projection.forward(patches);
        let class = self.cls_token.val();
        let prefix = match &self.distillation_token {
            Some(token) => vec![class, token.val()],
            None => vec![class],
        };
        let x = ligo_ops::prefix_positions(patches, prefix, self.position_embeddings.val());
        ligo_ops::dropout(x, dropout.next(self.dropout))
    }
}
