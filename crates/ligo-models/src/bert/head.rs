use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::{BertConfig, HiddenAct};

use crate::{LayerNorm, Linear, skeleton::vacant};

/// The heads of a BERT; `cls` in Hugging Face names.
#[derive(Module, Debug)]
pub struct Heads {
    /// Predicts masked tokens.
    pub predictions: PredictionHead,
    /// Predicts whether two sentences follow each other; carried like the [`Pooler`](super::Pooler).
    pub seq_relationship: Option<Linear>,
}

/// The masked-language-model head.
#[derive(Module, Debug)]
pub struct PredictionHead {
    /// What comes before the decoder.
    pub transform: Transform,
    /// The decoder of an untied model; a tied one decodes with its token table.
    pub decoder: Option<Decoder>,
    /// Bias of the decoder, `[V]`. Files may also hold it as `cls.predictions.decoder.bias`.
    pub bias: Param<Tensor<1>>,
}

/// Dense layer, activation and normalization.
#[derive(Module, Debug)]
pub struct Transform {
    /// `[D, D]`.
    pub dense: Linear,
    /// After the activation.
    pub layer_norm: LayerNorm,
    #[module(skip)]
    activation: HiddenAct,
}

/// The matrix that turns a hidden state into logits.
#[derive(Module, Debug)]
pub struct Decoder {
    /// `[V, D]`.
    pub weight: Param<Tensor<2>>,
}

impl Heads {
    pub(super) fn skeleton(c: &BertConfig, next_sentence: bool, device: &Device) -> Self {
        let d = c.hidden_size;
        Self {
            predictions: PredictionHead {
                transform: Transform {
                    dense: Linear::skeleton(d, d, device),
                    layer_norm: LayerNorm::skeleton(d, c.layer_norm_eps, device),
                    activation: c.hidden_act,
                },
                decoder: Decoder::skeleton(c, device),
                bias: vacant([c.vocab_size], device),
            },
            seq_relationship: next_sentence.then(|| Linear::skeleton(d, 2, device)),
        }
    }
}

impl Decoder {
    pub(crate) fn skeleton(c: &BertConfig, device: &Device) -> Option<Self> {
        (!c.tie_word_embeddings).then(|| Self {
            weight: vacant([c.vocab_size, c.hidden_size], device),
        })
    }

    /// What hidden states are decoded with: the token table where the model has no decoder of its own.
    pub(crate) fn matrix(decoder: Option<&Self>, token_table: &Param<Tensor<2>>) -> Tensor<2> {
        decoder.map_or_else(|| token_table.val(), |decoder| decoder.weight.val())
    }
}

impl PredictionHead {
    /// `LayerNorm(act(dense(x))) Eᵀ + bias` with `E` the decoder or, when tied, `token_table`.
    ///
    /// # Shapes
    /// `x [.., D]`, `token_table [V, D]`; the result is `[.., V]`.
    pub fn forward<const N: usize>(&self, x: Tensor<N>, token_table: &Param<Tensor<2>>) -> Tensor<N> {
        let matrix = Decoder::matrix(self.decoder.as_ref(), token_table);
        let transform = &self.transform;
        let dense = transform.dense.forward_activated(x, transform.activation);
        let x = transform.layer_norm.forward(dense);
        ligo_ops::linear(x, matrix, Some(self.bias.val()))
    }
}
