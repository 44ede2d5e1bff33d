//! ModernBERT (Warner et al., arXiv:2412.13663) as `transformers`' `ModernBertForMaskedLM` computes it.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `F` feed-forward, `V` vocabulary, `N` masked tokens.

mod layer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::{HiddenAct, ModernBertConfig};

pub use layer::{Attention, FeedForward, Layer};

use crate::causal::CausalInput;
use crate::network::{Network, masked, text};
use crate::rotation::Rotations;
use crate::skeleton::vacant;
use crate::{Embedding, Error, Features, HeadScores, Inputs, LayerNorm, Linear, Pass, Scores, TextFeatures, stack};

/// The first token stands for its sequence.
const STAYING: usize = 1;

/// ModernBERT with a masked-language-model head.
#[derive(Module, Debug)]
pub struct ModernBertForMaskedLm {
    /// Everything below the head.
    pub model: ModernBert,
    /// In front of the decoder.
    pub head: Head,
    /// The decoder.
    pub decoder: Decoder,
}

/// Embeddings, layers and the last normalization.
#[derive(Module, Debug)]
pub struct ModernBert {
    /// The first hidden states.
    pub embeddings: Embeddings,
    /// First layer first.
    pub layers: Vec<Layer>,
    /// After the last layer.
    pub final_norm: LayerNorm,
    #[module(skip)]
    rotations: Rotations,
}

/// The token table, its entries normalized.
#[derive(Module, Debug)]
pub struct Embeddings {
    /// `[V, D]`.
    pub tok_embeddings: Embedding,
    /// Normalizes tokens.
    pub norm: LayerNorm,
    #[module(skip)]
    dropout: f64,
}

/// Dense layer, activation and normalization.
#[derive(Module, Debug)]
pub struct Head {
    /// `[D, D]`.
    pub dense: Linear,
    /// After the activation.
    pub norm: LayerNorm,
    #[module(skip)]
    activation: HiddenAct,
}

/// A decoder that may share the token table.
#[derive(Module, Debug)]
pub struct Decoder {
    /// That of an untied model, `[V, D]`; a tied one decodes with its token table.
    pub weight: Option<Param<Tensor<2>>>,
    /// `[V]`, where it has one.
    pub bias: Option<Param<Tensor<1>>>,
}

impl ModernBertForMaskedLm {
    pub(crate) fn skeleton(c: &ModernBertConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        let norm = || LayerNorm::skeleton_with(d, c.norm_eps, c.norm_bias, device);
        Self {
            model: ModernBert {
                embeddings: Embeddings {
                    tok_embeddings: Embedding::skeleton(c.vocab_size, d, device),
                    norm: norm(),
                    dropout: c.embedding_dropout,
                },
                layers: (c.layers().enumerate())
                    .map(|(layer, kind)| Layer::skeleton(c, layer, kind, device))
                    .collect(),
                final_norm: norm(),
                rotations: Rotations::new(&|kind| c.rotation(kind)),
            },
            head: Head {
                dense: Linear::skeleton_with(d, d, c.classifier_bias, device),
                norm: norm(),
                activation: c.classifier_activation,
            },
            decoder: Decoder {
                weight: (!c.tie_word_embeddings).then(|| vacant([c.vocab_size, d], device)),
                bias: c.decoder_bias.then(|| vacant([c.vocab_size], device)),
            },
        }
    }

    /// `LayerNorm(act(dense(LayerNorm(x)))) Eᵀ + bias` with `E` the decoder or, when tied, the token table.
    fn predict<const N: usize>(&self, hidden: Tensor<N>) -> Tensor<N> {
        let x = self.model.final_norm.forward(hidden);
        let x = self.head.dense.forward_activated(x, self.head.activation);
        let own = self.decoder.weight.as_ref();
        let matrix = own.unwrap_or(&self.model.embeddings.tok_embeddings.weight);
        let bias = self.decoder.bias.as_ref().map(Param::val);
        ligo_ops::linear(self.head.norm.forward(x), matrix.val(), bias)
    }
}

impl ModernBert {
    /// Hidden states before the last normalization; `inspect` sees those after the embeddings and after each layer.
    fn forward(
        &self,
        text: &TextFeatures,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let Embeddings {
            tok_embeddings,
            norm,
            dropout,
        } = &self.embeddings;
        let around = self.rotations.around(&CausalInput::from(text));
        let x = tok_embeddings.forward(text.input_ids.clone());
        let x = norm.forward_dropout(x, pass.dropout.next(*dropout));
        stack::run(&self.layers, x, &around, STAYING, pass, inspect)
    }
}

impl Network for ModernBertForMaskedLm {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = masked(inputs)?;
        let hidden = self.model.forward(&inputs.text(), pass, &mut |_| {})?;
        let logits = self.predict(inputs.at_masked(hidden));
        Ok(HeadScores::labeled(logits, inputs.labels.clone()).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        let hidden = self.model.forward(text(features)?, &Pass::evaluation(), &mut |_| {})?;
        Ok(self.predict(hidden))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        let text = text(features)?;
        stack::states(|inspect| self.model.forward(text, &Pass::evaluation(), inspect))
    }
}
