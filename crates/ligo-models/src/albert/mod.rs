//! ALBERT (Lan et al., arXiv:1909.11942) as `transformers`' `AlbertForMaskedLM` computes it: a few groups of layers that run many times.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `E` tables of tokens, `F` feed-forward, `V` vocabulary, `N` masked tokens.

mod layer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::{AlbertConfig, HiddenAct};

pub use layer::{Attention, Layer};

use crate::bert::Embeddings;
use crate::network::{Network, masked, text};
use crate::skeleton::vacant;
use crate::{Error, Features, HeadScores, Inputs, LayerNorm, Linear, Pass, Scores, TextFeatures, stack};

/// The first token stands for its sequence.
const STAYING: usize = 1;

/// ALBERT with a masked-language-model head.
#[derive(Module, Debug)]
pub struct AlbertForMaskedLm {
    /// Everything below the heads.
    pub albert: Albert,
    /// Predicts masked tokens.
    pub predictions: Predictions,
    /// Says which of two segments comes first; carried, never computed.
    pub sop_classifier: Option<OrderHead>,
}

/// Embeddings and layers.
#[derive(Module, Debug)]
pub struct Albert {
    /// The sum of the tables, normalized, `E` wide.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: Encoder,
    /// `[D, D]`; carried, never computed.
    pub pooler: Option<Linear>,
}

/// What turns embeddings into hidden states, and the groups of layers.
#[derive(Module, Debug)]
pub struct Encoder {
    /// `[D, E]`.
    pub embedding_hidden_mapping_in: Linear,
    /// First group first.
    pub albert_layer_groups: Vec<Group>,
    /// The group of each layer.
    #[module(skip)]
    order: Vec<usize>,
}

/// Layers that run one after the other.
#[derive(Module, Debug)]
pub struct Group {
    /// First layer first.
    pub albert_layers: Vec<Layer>,
}

/// A dense layer to the width of the token table, an activation, a normalization and the decoder.
#[derive(Module, Debug)]
pub struct Predictions {
    /// `[E, D]`.
    pub dense: Linear,
    /// After the activation.
    pub layer_norm: LayerNorm,
    /// The decoder of an untied model; a tied one decodes with its token table.
    pub decoder: Option<Decoder>,
    /// Bias of the decoder, `[V]`. Files may also hold it as `predictions.decoder.bias`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: HiddenAct,
}

/// The matrix of an untied decoder.
#[derive(Module, Debug)]
pub struct Decoder {
    /// `[V, E]`.
    pub weight: Param<Tensor<2>>,
}

/// The head for the order of sentences.
#[derive(Module, Debug)]
pub struct OrderHead {
    /// `[2, D]`.
    pub classifier: Linear,
}

impl AlbertForMaskedLm {
    pub(crate) fn skeleton(c: &AlbertConfig, pooler: bool, order: bool, device: &Device) -> Self {
        let (d, e) = (c.hidden_size, c.embedding_size);
        let group = || Group {
            albert_layers: (0..c.inner_group_num).map(|_| Layer::skeleton(c, device)).collect(),
        };
        Self {
            albert: Albert {
                embeddings: Embeddings::skeleton(&c.embeddings(), device),
                encoder: Encoder {
                    embedding_hidden_mapping_in: Linear::skeleton(e, d, device),
                    albert_layer_groups: (0..c.num_hidden_groups).map(|_| group()).collect(),
                    order: (0..c.num_hidden_layers).map(|layer| c.group_of(layer)).collect(),
                },
                pooler: pooler.then(|| Linear::skeleton(d, d, device)),
            },
            predictions: Predictions {
                dense: Linear::skeleton(d, e, device),
                layer_norm: LayerNorm::skeleton(e, c.layer_norm_eps, device),
                decoder: (!c.tie_word_embeddings).then(|| Decoder {
                    weight: vacant([c.vocab_size, e], device),
                }),
                bias: vacant([c.vocab_size], device),
                activation: c.hidden_act,
            },
            sop_classifier: order.then(|| OrderHead {
                classifier: Linear::skeleton(d, 2, device),
            }),
        }
    }

    /// `LayerNorm(act(dense(x))) Eᵀ + bias` with `E` the decoder or, when tied, the token table.
    fn predict<const N: usize>(&self, hidden: Tensor<N>) -> Tensor<N> {
        let head = &self.predictions;
        let x = head
            .layer_norm
            .forward(head.dense.forward_activated(hidden, head.activation));
        let own = head.decoder.as_ref().map(|decoder| &decoder.weight);
        let matrix = own.unwrap_or(&self.albert.embeddings.word_embeddings.weight);
        ligo_ops::linear(x, matrix.val(), Some(head.bias.val()))
    }
}

impl Encoder {
    /// The layers in the order in which they run. A layer that runs several times is there several times; its tensors are one.
    fn layers(&self) -> Vec<Layer> {
        let groups = self.order.iter().map(|group| &self.albert_layer_groups[*group]);
        groups.flat_map(|group| group.albert_layers.iter().cloned()).collect()
    }
}

impl Albert {
    /// The hidden states after the last layer; `inspect` sees those after the embeddings and after each layer.
    fn forward(
        &self,
        text: &TextFeatures,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let (ids, types) = (text.input_ids.clone(), text.token_type_ids.clone());
        let x = self.embeddings.forward(ids, types, &pass.dropout);
        let x = self.encoder.embedding_hidden_mapping_in.forward(x);
        stack::run(&self.encoder.layers(), x, &text.attention_mask, STAYING, pass, inspect)
    }
}

impl Network for AlbertForMaskedLm {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = masked(inputs)?;
        let hidden = self.albert.forward(&inputs.text(), pass, &mut |_| {})?;
        let logits = self.predict(inputs.at_masked(hidden));
        Ok(HeadScores::labeled(logits, inputs.labels.clone()).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        let hidden = self.albert.forward(text(features)?, &Pass::evaluation(), &mut |_| {})?;
        Ok(self.predict(hidden))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        let text = text(features)?;
        stack::states(|inspect| self.albert.forward(text, &Pass::evaluation(), inspect))
    }
}
