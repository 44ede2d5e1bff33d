use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use super::LmHead;
use crate::bert::Bert;
use crate::network::{Network, masked};
use crate::{Error, Features, HeadScores, Inputs, Pass, Scores};

/// RoBERTa with a masked-language-model head.
#[derive(Module, Debug)]
pub struct RobertaForMaskedLm {
    /// Everything below the head.
    pub roberta: Bert,
    /// The head.
    pub lm_head: LmHead,
}

impl RobertaForMaskedLm {
    pub(crate) fn skeleton(c: &BertConfig, pooler: bool, device: &Device) -> Self {
        Self {
            roberta: Bert::skeleton(c, pooler, device),
            lm_head: LmHead::skeleton(c, device),
        }
    }

    fn predict<const N: usize>(&self, hidden: Tensor<N>) -> Tensor<N> {
        let token_table = &self.roberta.embeddings.word_embeddings.weight;
        self.lm_head.forward(hidden, token_table)
    }
}

impl Network for RobertaForMaskedLm {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = masked(inputs)?;
        let logits = self.predict(self.roberta.at_masked(inputs, pass)?);
        Ok(HeadScores::labeled(logits, inputs.labels.clone()).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        Ok(self.predict(self.roberta.evaluate(features)?))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.roberta.hidden_states(features)
    }
}
