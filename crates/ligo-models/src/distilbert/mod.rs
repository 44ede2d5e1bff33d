//! DistilBERT (Sanh et al., arXiv:1910.01108) as `transformers`' `DistilBertForMaskedLM` computes it.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `F` feed-forward, `V` vocabulary, `N` masked tokens.

mod layer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::{DistilBertConfig, HiddenAct};

pub use layer::{Attention, FeedForward, Layer};

use crate::network::{Network, masked, text};
use crate::skeleton::vacant;
use crate::{Embedding, Error, Features, HeadScores, Inputs, LayerNorm, Linear, Pass, Scores, TextFeatures, stack};

/// The first token stands for its sequence.
const STAYING: usize = 1;

/// DistilBERT with a masked-language-model head.
#[derive(Module, Debug)]
pub struct DistilBertForMaskedLm {
    /// Everything below the head.
    pub distilbert: DistilBert,
    /// In front of the decoder, `[D, D]`.
    pub vocab_transform: Linear,
    /// After its activation.
    pub vocab_layer_norm: LayerNorm,
    /// The decoder.
    pub vocab_projector: Projector,
    #[module(skip)]
    activation: HiddenAct,
}

/// A decoder that may share the token table.
#[derive(Module, Debug)]
pub struct Projector {
    /// That of an untied model, `[V, D]`; a tied one decodes with its token table.
    pub weight: Option<Param<Tensor<2>>>,
    /// `[V]`.
    pub bias: Param<Tensor<1>>,
}

/// Embeddings and layers.
#[derive(Module, Debug)]
pub struct DistilBert {
    /// The first hidden states.
    pub embeddings: Embeddings,
    /// The layers.
    pub transformer: Transformer,
}

/// Token and position tables, their sum normalized.
#[derive(Module, Debug)]
pub struct Embeddings {
    /// `[V, D]`.
    pub word_embeddings: Embedding,
    /// `[positions, D]`.
    pub position_embeddings: Embedding,
    /// Normalizes the sum.
    pub layer_norm: LayerNorm,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    max_positions: usize,
}

/// The stack of layers.
#[derive(Module, Debug)]
pub struct Transformer {
    /// First layer first.
    pub layer: Vec<Layer>,
}

impl DistilBertForMaskedLm {
    pub(crate) fn skeleton(c: &DistilBertConfig, device: &Device) -> Self {
        let d = c.dim;
        let norm = || LayerNorm::skeleton(d, c.layer_norm_eps(), device);
        Self {
            distilbert: DistilBert {
                embeddings: Embeddings {
                    word_embeddings: Embedding::skeleton(c.vocab_size, d, device),
                    position_embeddings: Embedding::skeleton(c.max_position_embeddings, d, device),
                    layer_norm: norm(),
                    dropout: c.dropout,
                    max_positions: c.max_position_embeddings,
                },
                transformer: Transformer {
                    layer: (0..c.n_layers).map(|_| Layer::skeleton(c, device)).collect(),
                },
            },
            vocab_transform: Linear::skeleton(d, d, device),
            vocab_layer_norm: norm(),
            vocab_projector: Projector {
                weight: (!c.tie_word_embeddings).then(|| vacant([c.vocab_size, d], device)),
                bias: vacant([c.vocab_size], device),
            },
            activation: c.activation,
        }
    }

    /// `LayerNorm(act(transform(x))) Eᵀ + bias` with `E` the decoder or, when tied, the token table.
    fn predict<const N: usize>(&self, hidden: Tensor<N>) -> Tensor<N> {
        let x = self.vocab_transform.forward_activated(hidden, self.activation);
        let own = self.vocab_projector.weight.as_ref();
        let matrix = own.unwrap_or(&self.distilbert.embeddings.word_embeddings.weight);
        let bias = self.vocab_projector.bias.val();
        ligo_ops::linear(self.vocab_layer_norm.forward(x), matrix.val(), Some(bias))
    }
}

impl DistilBert {
    /// The hidden states after the last layer; `inspect` sees those after the embeddings and after each layer.
    fn forward(
        &self,
        text: &TextFeatures,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let Embeddings {
            word_embeddings,
            position_embeddings,
            layer_norm,
            dropout,
            max_positions,
        } = &self.embeddings;
        let [_, length] = text.input_ids.dims();
        assert!(
            length <= *max_positions,
            "the sequence has {length} tokens; the model has positions for {max_positions}"
        );
        let words = word_embeddings.forward(text.input_ids.clone());
        let x = ligo_ops::add_positions(words, position_embeddings.weight.val(), None);
        let x = layer_norm.forward_dropout(x, pass.dropout.next(*dropout));
        stack::run(&self.transformer.layer, x, &text.attention_mask, STAYING, pass, inspect)
    }
}

impl Network for DistilBertForMaskedLm {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = masked(inputs)?;
        let hidden = self.distilbert.forward(&inputs.text(), pass, &mut |_| {})?;
        let logits = self.predict(inputs.at_masked(hidden));
        Ok(HeadScores::labeled(logits, inputs.labels.clone()).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        let hidden = self
            .distilbert
            .forward(text(features)?, &Pass::evaluation(), &mut |_| {})?;
        Ok(self.predict(hidden))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        let text = text(features)?;
        stack::states(|inspect| self.distilbert.forward(text, &Pass::evaluation(), inspect))
    }
}
