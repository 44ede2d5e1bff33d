use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use super::{Bert, Heads};
use crate::network::{Network, masked};
use crate::{Error, Features, HeadScores, Inputs, Pass, Scores};

/// BERT with a masked-language-model head.
#[derive(Module, Debug)]
pub struct BertForMaskedLm {
    /// Everything below the heads.
    pub bert: Bert,
    /// The heads.
    pub cls: Heads,
}

impl BertForMaskedLm {
    pub(crate) fn skeleton(c: &BertConfig, pooler: bool, next_sentence: bool, device: &Device) -> Self {
        Self {
            bert: Bert::skeleton(c, pooler, device),
            cls: Heads::skeleton(c, next_sentence, device),
        }
    }

    fn predict<const N: usize>(&self, hidden: Tensor<N>) -> Tensor<N> {
        let token_table = &self.bert.embeddings.word_embeddings.weight;
        self.cls.predictions.forward(hidden, token_table)
    }
}

impl Network for BertForMaskedLm {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = masked(inputs)?;
        let logits = self.predict(self.bert.at_masked(inputs, pass)?);
        Ok(HeadScores::labeled(logits, inputs.labels.clone()).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        Ok(self.predict(self.bert.evaluate(features)?))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.bert.hidden_states(features)
    }
}
