//! BERT (Devlin et al., arXiv:1810.04805) as `transformers`' `BertForMaskedLM` computes it.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `F` feed-forward, `V` vocabulary, `N` masked tokens.

mod attention;
mod embeddings;
mod encoder;
mod head;
mod layer;
mod pooler;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use ligo_arch::BertConfig;

pub use attention::{Attention, AttentionOutput, SelfAttention};
pub use embeddings::Embeddings;
pub use encoder::Encoder;
pub use head::{Decoder, Heads, PredictionHead, Transform};
pub use layer::{FeedForwardOutput, Intermediate, Layer};
pub use pooler::Pooler;

use crate::{DropoutStream, MlmInputs};

/// BERT with a masked-language-model head, normalised after each residual connection.
#[derive(Module, Debug)]
pub struct BertForMaskedLm {
    /// Everything below the heads.
    pub bert: Bert,
    /// The heads.
    pub cls: Heads,
}

/// Embeddings, layers and, where the checkpoint has one, a pooler.
#[derive(Module, Debug)]
pub struct Bert {
    /// The first hidden states.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: Encoder,
    /// Carried, never computed.
    pub pooler: Option<Pooler>,
}

impl BertForMaskedLm {
    pub(crate) fn skeleton(c: &BertConfig, pooler: bool, next_sentence: bool, device: &Device) -> Self {
        Self {
            bert: Bert {
                embeddings: Embeddings::skeleton(c, device),
                encoder: Encoder::skeleton(c, device),
                pooler: pooler.then(|| Pooler::skeleton(c, device)),
            },
            cls: Heads::skeleton(c, next_sentence, device),
        }
    }

    /// Mean cross entropy at the masked positions; see [`Model::loss`](crate::Model::loss).
    pub fn loss(&self, inputs: &MlmInputs, dropout: &DropoutStream) -> Tensor<1> {
        let hidden = self.bert.forward(
            inputs.input_ids.clone(),
            inputs.token_type_ids.clone(),
            inputs.attention_mask.clone(),
            dropout,
            |_| {},
        );
        let [batch, length, width] = hidden.dims();
        // The head costs as much as several layers, and only one token in seven has a label.
        let masked = hidden
            .reshape([batch * length, width])
            .select(0, inputs.masked_positions.clone());
        ligo_ops::cross_entropy(self.predict(masked), inputs.labels.clone())
    }

    /// Logits at every position; see [`Model::logits`](crate::Model::logits).
    pub fn logits(
        &self,
        input_ids: Tensor<2, Int>,
        token_type_ids: Option<Tensor<2, Int>>,
        attention_mask: Option<Tensor<2>>,
    ) -> Tensor<3> {
        let off = DropoutStream::off();
        let hidden = self
            .bert
            .forward(input_ids, token_type_ids, attention_mask, &off, |_| {});
        self.predict(hidden)
    }

    /// Hidden states after the embeddings and after each layer; see
    /// [`Model::hidden_states`](crate::Model::hidden_states).
    pub fn hidden_states(
        &self,
        input_ids: Tensor<2, Int>,
        token_type_ids: Option<Tensor<2, Int>>,
        attention_mask: Option<Tensor<2>>,
    ) -> Vec<Tensor<3>> {
        let mut states = Vec::with_capacity(self.bert.encoder.layer.len() + 1);
        let off = DropoutStream::off();
        let keep = |x: &Tensor<3>| states.push(x.clone());
        self.bert.forward(input_ids, token_type_ids, attention_mask, &off, keep);
        states
    }

    fn predict<const N: usize>(&self, hidden: Tensor<N>) -> Tensor<N> {
        let token_table = &self.bert.embeddings.word_embeddings.weight;
        self.cls.predictions.forward(hidden, token_table)
    }
}

impl Bert {
    /// The hidden states after the last layer; `inspect` sees those after the embeddings and after each layer.
    ///
    /// # Shapes
    /// `input_ids` and `token_type_ids [B, L]`; `attention_mask [B, L]`, 1 for a token and 0 for padding; the
    /// result is `[B, L, D]`.
    ///
    /// # Panics
    /// When `L` is more than the number of positions, or an id or type is not in its table.
    pub fn forward(
        &self,
        input_ids: Tensor<2, Int>,
        token_type_ids: Option<Tensor<2, Int>>,
        attention_mask: Option<Tensor<2>>,
        dropout: &DropoutStream,
        mut inspect: impl FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let x = self.embeddings.forward(input_ids, token_type_ids, dropout);
        inspect(&x);
        self.encoder.forward(x, attention_mask, dropout, inspect)
    }
}
