//! ViT (Dosovitskiy et al., arXiv:2010.11929) and DeiT (Touvron et al., arXiv:2012.12877) as `transformers` computes them.
//!
//! Letters in shapes: `B` images, `N` patches, `L` tokens (patches, a class token and in DeiT a distillation token), `D` hidden,
//! `F` feed-forward, `K` classes.

mod attention;
mod embeddings;
mod layer;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::VitConfig;

pub use attention::{Attention, Projections};
pub use embeddings::{Embeddings, PatchEmbeddings};
pub use layer::{Dense, Layer};

use crate::network::{Network, images, pixels};
use crate::{Error, Features, HeadScores, Inputs, LayerNorm, Linear, Pass, Scores, stack};

/// A model with a classifier on its class token. Files call what is below the classifier by the name of the family.
macro_rules! on_class_token {
    ($(#[$about:meta])* $name:ident, $below:ident) => {
        $(#[$about])*
        #[derive(Module, Debug)]
        pub struct $name {
            /// Everything below the classifier.
            pub $below: Vit,
            /// `[K, D]`.
            pub classifier: Linear,
        }

        impl $name {
            pub(crate) fn skeleton(c: &VitConfig, pooler: bool, device: &Device) -> Self {
                Self {
                    $below: Vit::skeleton(c, pooler, device),
                    classifier: Linear::skeleton(c.hidden_size, c.labels(), device),
                }
            }
        }

        impl Network for $name {
            fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
                let inputs = images(inputs)?;
                let token = self.$below.heads(&inputs.pixels, 1, pass)?;
                Ok(HeadScores::of_token(self.classifier.forward(token), &inputs.targets).into())
            }

            fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
                let token = self.$below.heads(pixels(features)?, 1, &Pass::evaluation())?;
                Ok(self.classifier.forward(token))
            }

            fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
                self.$below.hidden_states(features)
            }
        }
    };
}

on_class_token!(
    /// ViT with a classifier on its class token.
    VitForImageClassification,
    vit
);

on_class_token!(
    /// DeiT with a classifier on its class token; the distillation token is read by the other tokens alone.
    DeitForImageClassification,
    deit
);

/// DeiT with a classifier on each of its two tokens.
///
/// Its logits are the mean of both, as in `transformers`. Without a teacher both classifiers learn the same targets; the loss is the mean of theirs.
#[derive(Module, Debug)]
pub struct DeitWithTeacher {
    /// Everything below the classifiers.
    pub deit: Vit,
    /// `[K, D]`; reads the class token.
    pub cls_classifier: Linear,
    /// `[K, D]`; reads the distillation token.
    pub distillation_classifier: Linear,
}

/// Embeddings, layers, the last normalization and, where the checkpoint has one, a pooler.
#[derive(Module, Debug)]
pub struct Vit {
    /// The first hidden states.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: Encoder,
    /// Behind the last layer.
    pub layernorm: LayerNorm,
    /// Carried, never computed: classifiers read the normalized tokens.
    pub pooler: Option<Dense>,
}

/// The stack of layers.
#[derive(Module, Debug)]
pub struct Encoder {
    /// First layer first.
    pub layer: Vec<Layer>,
}

impl Vit {
    fn skeleton(c: &VitConfig, pooler: bool, device: &Device) -> Self {
        let d = c.hidden_size;
        let layers = (0..c.num_hidden_layers).map(|i| Layer::skeleton(c, i, device));
        Self {
            embeddings: Embeddings::skeleton(c, device),
            encoder: Encoder {
                layer: layers.collect(),
            },
            layernorm: LayerNorm::skeleton(d, c.layer_norm_eps, device),
            pooler: pooler.then(|| Dense::skeleton(d, c.pooler_size(), device)),
        }
    }

    /// The hidden states behind the last layer; `inspect` sees those after the embeddings and after each layer.
    ///
    /// # Shapes
    /// `pixels [B, C, H, W]`; the result is `[B, L, D]`, the class token first.
    ///
    /// # Errors
    /// Those of [`Pass::check`].
    ///
    /// # Panics
    /// When the images are not of the model's size.
    pub fn forward(
        &self,
        pixels: Tensor<4>,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let x = self.embeddings.forward(pixels, &pass.dropout);
        let staying = self.embeddings.prefix_tokens();
        stack::run(&self.encoder.layer, x, &(), staying, pass, inspect)
    }

    /// The first tokens, normalized: what classifiers read.
    fn heads(&self, pixels: &Tensor<4>, count: usize, pass: &Pass) -> Result<Tensor<3>, Error> {
        let x = self.forward(pixels.clone(), pass, &mut |_| {})?;
        // The normalization looks at one token at a time, so the others need none.
        Ok(self.layernorm.forward(x.slice_dim(1, 0..count)))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        let pixels = pixels(features)?;
        stack::states(|inspect| self.forward(pixels.clone(), &Pass::evaluation(), inspect))
    }
}

impl DeitWithTeacher {
    pub(crate) fn skeleton(c: &VitConfig, pooler: bool, device: &Device) -> Self {
        let classifier = || Linear::skeleton(c.hidden_size, c.labels(), device);
        Self {
            deit: Vit::skeleton(c, pooler, device),
            cls_classifier: classifier(),
            distillation_classifier: classifier(),
        }
    }

    /// What the classifiers say of their tokens, `[B, 1, K]` each.
    fn both(&self, pixels: &Tensor<4>, pass: &Pass) -> Result<[Tensor<3>; 2], Error> {
        let tokens = self.deit.heads(pixels, 2, pass)?;
        let class = tokens.clone().slice_dim(1, 0..1);
        let distillation = tokens.slice_dim(1, 1..2);
        Ok([
            self.cls_classifier.forward(class),
            self.distillation_classifier.forward(distillation),
        ])
    }
}

impl Network for DeitWithTeacher {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = images(inputs)?;
        let [head, other] = self
            .both(&inputs.pixels, pass)?
            .map(|logits| HeadScores::of_token(logits, &inputs.targets));
        Ok(Scores {
            head,
            other: Some(other),
            added: None,
        })
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        let [class, distillation] = self.both(pixels(features)?, &Pass::evaluation())?;
        Ok((class + distillation) * 0.5)
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.deit.hidden_states(features)
    }
}
