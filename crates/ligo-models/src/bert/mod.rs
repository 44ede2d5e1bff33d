//! BERT (Devlin et al., arXiv:1810.04805) as `transformers` computes it, with a head for masked tokens, classes of texts or
//! answers. [RoBERTa](crate::roberta) shares everything below the heads.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `F` feed-forward, `V` vocabulary, `N` masked tokens, `K` classes.

mod answering;
mod attention;
mod bare;
mod classification;
mod embeddings;
mod encoder;
mod head;
mod layer;
mod masked_lm;
mod pooler;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

pub use answering::{BertForQuestionAnswering, RobertaForQuestionAnswering};
pub use attention::{Attention, AttentionOutput, SelfAttention};
pub use bare::{BareBert, BareRoberta};
pub use classification::BertForSequenceClassification;
pub use embeddings::Embeddings;
pub use encoder::Encoder;
pub use head::{Decoder, Heads, PredictionHead, Transform};
pub use layer::{FeedForwardOutput, Intermediate, Layer};
pub use masked_lm::BertForMaskedLm;
pub use pooler::Pooler;

use crate::network::text;
use crate::{Error, Features, MlmInputs, Pass, TextFeatures, stack};

/// Embeddings, layers and, where the model has one, a pooler. Normalized after each residual connection.
#[derive(Module, Debug)]
pub struct Bert {
    /// The first hidden states.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: Encoder,
    /// Summarizes a sequence.
    pub pooler: Option<Pooler>,
}

impl Bert {
    pub(crate) fn skeleton(c: &BertConfig, pooler: bool, device: &Device) -> Self {
        Self {
            embeddings: Embeddings::skeleton(c, device),
            encoder: Encoder::skeleton(c, device),
            pooler: pooler.then(|| Pooler::skeleton(c, device)),
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
        let x = self.embeddings.forward(ids, types, &pass.dropout);
        self.encoder.forward(x, text.attention_mask.clone(), pass, inspect)
    }

    /// The hidden states `[N, D]` after the last layer where tokens are masked.
    pub(crate) fn at_masked(&self, inputs: &MlmInputs, pass: &Pass) -> Result<Tensor<2>, Error> {
        let hidden = self.forward(&inputs.text(), pass, &mut |_| {})?;
        Ok(inputs.at_masked(hidden))
    }

    /// The hidden states `[B, L, D]` after the last layer, without dropout.
    pub(crate) fn evaluate(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.forward(text(features)?, &Pass::evaluation(), &mut |_| {})
    }

    /// The hidden states `[B, L, D]` after the embeddings and after each layer, without dropout.
    pub(crate) fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        let text = text(features)?;
        stack::states(|inspect| self.forward(text, &Pass::evaluation(), inspect))
    }

    /// The summary `[B, D]` of each sequence: its first token's state, through the pooler where there is one.
    pub(crate) fn summary(&self, hidden: Tensor<3>) -> Tensor<2> {
        let first = first_token(hidden);
        match &self.pooler {
            Some(pooler) => pooler.forward(first),
            None => first,
        }
    }
}

/// The state of each sequence's first token: `[B, D]` of `[B, L, D]`.
pub(crate) fn first_token(hidden: Tensor<3>) -> Tensor<2> {
    let [batch, _, width] = hidden.dims();
    hidden.slice_dim(1, 0..1).reshape([batch, width])
}
