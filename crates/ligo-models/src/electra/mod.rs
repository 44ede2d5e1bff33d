//! ELECTRA (Clark et al., arXiv:2003.10555) as `transformers` computes it: [BERT](crate::bert)'s embeddings and layers with a projection between them,
//! under the head of the discriminator or of the generator.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `E` tables of tokens, `F` feed-forward, `V` vocabulary, `N` tokens with labels.

mod discriminator;
mod generator;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::ElectraConfig;

pub use discriminator::{DiscriminatorHead, ElectraForPreTraining};
pub use generator::{ElectraForMaskedLm, GeneratorHead, LanguageHead};

use crate::bert::{Embeddings, Encoder};
use crate::network::text;
use crate::{Error, Features, Linear, Pass, TextFeatures, stack};

/// Embeddings and layers, normalized after each residual connection.
#[derive(Module, Debug)]
pub struct Electra {
    /// The sum of the tables, normalized, `E` wide.
    pub embeddings: Embeddings,
    /// From `E` to `D` where these differ, `[D, E]`.
    pub embeddings_project: Option<Linear>,
    /// The layers.
    pub encoder: Encoder,
}

impl Electra {
    fn skeleton(c: &ElectraConfig, device: &Device) -> Self {
        let project = |width| Linear::skeleton(width, c.hidden_size, device);
        Self {
            embeddings: Embeddings::skeleton(&c.embeddings(), device),
            embeddings_project: c.projected_from().map(project),
            encoder: Encoder::skeleton(&c.encoder(), device),
        }
    }

    /// The hidden states after the last layer; `inspect` sees those after the embeddings and after each layer.
    ///
    /// # Shapes
    /// See [`TextFeatures`]; the result is `[B, L, D]`.
    ///
    /// # Errors
    /// Those of [`Pass::check`].
    ///
    /// # Panics
    /// When `L` is more than the longest sequence, or an id or type is not in its table.
    pub fn forward(
        &self,
        text: &TextFeatures,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let (ids, types) = (text.input_ids.clone(), text.token_type_ids.clone());
        let mut x = self.embeddings.forward(ids, types, &pass.dropout);
        if let Some(project) = &self.embeddings_project {
            x = project.forward(x);
        }
        self.encoder.forward(x, text.attention_mask.clone(), pass, inspect)
    }

    /// The hidden states `[B, L, D]` after the last layer, without dropout.
    fn evaluate(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.forward(text(features)?, &Pass::evaluation(), &mut |_| {})
    }

    /// The hidden states `[B, L, D]` after the embeddings and after each layer, without dropout.
    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        let text = text(features)?;
        stack::states(|inspect| self.forward(text, &Pass::evaluation(), inspect))
    }
}
