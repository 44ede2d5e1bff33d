use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::{ElectraConfig, HiddenAct};

use super::Electra;
use crate::network::{Network, masked};
use crate::skeleton::vacant;
use crate::{Error, Features, HeadScores, Inputs, LayerNorm, Linear, Pass, Scores};

/// ELECTRA with a masked-language-model head.
#[derive(Module, Debug)]
pub struct ElectraForMaskedLm {
    /// Everything below the head.
    pub electra: Electra,
    /// In front of the decoder.
    pub generator_predictions: GeneratorHead,
    /// The decoder.
    pub generator_lm_head: LanguageHead,
}

/// A dense layer to the width of the token table, GELU and a normalization.
#[derive(Module, Debug)]
pub struct GeneratorHead {
    /// `[E, D]`.
    pub dense: Linear,
    /// After the activation.
    pub layer_norm: LayerNorm,
}

/// A decoder that may share the token table.
#[derive(Module, Debug)]
pub struct LanguageHead {
    /// That of an untied model, `[V, E]`; a tied one decodes with its token table.
    pub weight: Option<Param<Tensor<2>>>,
    /// `[V]`.
    pub bias: Param<Tensor<1>>,
}

impl ElectraForMaskedLm {
    pub(crate) fn skeleton(c: &ElectraConfig, device: &Device) -> Self {
        let width = c.embedding_size;
        Self {
            electra: Electra::skeleton(c, device),
            generator_predictions: GeneratorHead {
                dense: Linear::skeleton(c.hidden_size, width, device),
                layer_norm: LayerNorm::skeleton(width, c.layer_norm_eps, device),
            },
            generator_lm_head: LanguageHead {
                weight: (!c.tie_word_embeddings).then(|| vacant([c.vocab_size, width], device)),
                bias: vacant([c.vocab_size], device),
            },
        }
    }

    /// `LayerNorm(gelu(dense(x))) Eᵀ + bias` with `E` the decoder or, when tied, the token table.
    fn predict<const N: usize>(&self, hidden: Tensor<N>) -> Tensor<N> {
        let GeneratorHead { dense, layer_norm } = &self.generator_predictions;
        let x = layer_norm.forward(dense.forward_activated(hidden, HiddenAct::Gelu));
        let own = self.generator_lm_head.weight.as_ref();
        let matrix = own.unwrap_or(&self.electra.embeddings.word_embeddings.weight);
        ligo_ops::linear(x, matrix.val(), Some(self.generator_lm_head.bias.val()))
    }
}

impl Network for ElectraForMaskedLm {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = masked(inputs)?;
        let hidden = self.electra.forward(&inputs.text(), pass, &mut |_| {})?;
        let logits = self.predict(inputs.at_masked(hidden));
        Ok(HeadScores::labeled(logits, inputs.labels.clone()).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        Ok(self.predict(self.electra.evaluate(features)?))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.electra.hidden_states(features)
    }
}
