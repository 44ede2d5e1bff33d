use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use super::Bert;
use crate::network::Network;
use crate::{Error, Features, Inputs, Pass, Scores};

/// BERT without a head: what comes out are hidden states.
#[derive(Module, Debug)]
pub struct BareBert {
    /// All of it.
    pub bert: Bert,
}

/// RoBERTa without a head.
#[derive(Module, Debug)]
pub struct BareRoberta {
    /// All of it.
    pub roberta: Bert,
}

impl BareBert {
    pub(crate) fn skeleton(c: &BertConfig, pooler: bool, device: &Device) -> Self {
        let bert = Bert::skeleton(c, pooler, device);
        Self { bert }
    }
}

impl BareRoberta {
    pub(crate) fn skeleton(c: &BertConfig, pooler: bool, device: &Device) -> Self {
        let roberta = Bert::skeleton(c, pooler, device);
        Self { roberta }
    }
}

impl Network for BareBert {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        self.bert.scores(inputs, pass)
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.bert.logits(features)
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.bert.hidden_states(features)
    }
}

impl Network for BareRoberta {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        self.roberta.scores(inputs, pass)
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.roberta.logits(features)
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.roberta.hidden_states(features)
    }
}

/// Stands for the head that is not there.
impl Network for Bert {
    fn scores(&self, _: &Inputs, _: &Pass) -> Result<Scores, Error> {
        Err(Error::NoHead)
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.evaluate(features)
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        Self::hidden_states(self, features)
    }
}
