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

use crate::image::soft_cross_entropy;
use crate::network::{Network, images, pixels};
use crate::{DropoutStream, Error, Features, Inputs, LayerNorm, Linear};

/// ViT with a classifier on its class token.
#[derive(Module, Debug)]
pub struct VitForImageClassification {
    /// Everything below the classifier.
    pub vit: Vit,
    /// `[K, D]`.
    pub classifier: Linear,
}

/// DeiT with a classifier on its class token; the distillation token is read by the other tokens alone.
#[derive(Module, Debug)]
pub struct DeitForImageClassification {
    /// Everything below the classifier.
    pub deit: Vit,
    /// `[K, D]`.
    pub classifier: Linear,
}

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

/// Embeddings, layers, the last normalisation and, where the checkpoint has one, a pooler.
#[derive(Module, Debug)]
pub struct Vit {
    /// The first hidden states.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: Encoder,
    /// Behind the last layer.
    pub layernorm: LayerNorm,
    /// Carried, never computed: classifiers read the normalised tokens.
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
    /// # Panics
    /// When the images are not of the model's size.
    pub fn forward(
        &self,
        pixels: Tensor<4>,
        dropout: &DropoutStream,
        mut inspect: impl FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let x = self.embeddings.forward(pixels, dropout);
        inspect(&x);
        self.encoder.layer.iter().fold(x, |x, layer| {
            let x = layer.forward(x, dropout);
            inspect(&x);
            x
        })
    }

    /// The first tokens, normalised: what classifiers read.
    fn heads(&self, pixels: &Tensor<4>, count: usize, dropout: &DropoutStream) -> Tensor<3> {
        let x = self.forward(pixels.clone(), dropout, |_| {});
        // The normalisation looks at one token at a time, so the others need none.
        self.layernorm.forward(x.slice_dim(1, 0..count))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        let mut states = Vec::with_capacity(self.encoder.layer.len() + 1);
        self.forward(pixels(features)?.clone(), &DropoutStream::off(), |x| {
            states.push(x.clone());
        });
        Ok(states)
    }

    /// Loss of a classifier on the class token.
    fn loss(&self, classifier: &Linear, inputs: &Inputs, dropout: &DropoutStream) -> Result<Tensor<1>, Error> {
        let inputs = images(inputs)?;
        let token = self.heads(&inputs.pixels, 1, dropout);
        let logits = classifier.forward(token).squeeze_dim::<2>(1);
        Ok(soft_cross_entropy(logits, inputs.targets.clone()))
    }

    /// What a classifier says of the class token.
    fn logits(&self, classifier: &Linear, features: &Features) -> Result<Tensor<3>, Error> {
        let token = self.heads(pixels(features)?, 1, &DropoutStream::off());
        Ok(classifier.forward(token))
    }
}

impl VitForImageClassification {
    pub(crate) fn skeleton(c: &VitConfig, pooler: bool, device: &Device) -> Self {
        Self {
            vit: Vit::skeleton(c, pooler, device),
            classifier: Linear::skeleton(c.hidden_size, c.labels(), device),
        }
    }
}

impl Network for VitForImageClassification {
    fn loss(&self, inputs: &Inputs, dropout: &DropoutStream) -> Result<Tensor<1>, Error> {
        self.vit.loss(&self.classifier, inputs, dropout)
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.vit.logits(&self.classifier, features)
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.vit.hidden_states(features)
    }
}

impl DeitForImageClassification {
    pub(crate) fn skeleton(c: &VitConfig, pooler: bool, device: &Device) -> Self {
        Self {
            deit: Vit::skeleton(c, pooler, device),
            classifier: Linear::skeleton(c.hidden_size, c.labels(), device),
        }
    }
}

impl Network for DeitForImageClassification {
    fn loss(&self, inputs: &Inputs, dropout: &DropoutStream) -> Result<Tensor<1>, Error> {
        self.deit.loss(&self.classifier, inputs, dropout)
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.deit.logits(&self.classifier, features)
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.deit.hidden_states(features)
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
    fn both(&self, pixels: &Tensor<4>, dropout: &DropoutStream) -> [Tensor<3>; 2] {
        let tokens = self.deit.heads(pixels, 2, dropout);
        let class = tokens.clone().slice_dim(1, 0..1);
        let distillation = tokens.slice_dim(1, 1..2);
        [
            self.cls_classifier.forward(class),
            self.distillation_classifier.forward(distillation),
        ]
    }
}

impl Network for DeitWithTeacher {
    fn loss(&self, inputs: &Inputs, dropout: &DropoutStream) -> Result<Tensor<1>, Error> {
        let inputs = images(inputs)?;
        let [class, distillation] = self
            .both(&inputs.pixels, dropout)
            .map(|logits| soft_cross_entropy(logits.squeeze_dim::<2>(1), inputs.targets.clone()));
        Ok((class + distillation) * 0.5)
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        let [class, distillation] = self.both(pixels(features)?, &DropoutStream::off());
        Ok((class + distillation) * 0.5)
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.deit.hidden_states(features)
    }
}
