use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use crate::bert::Bert;
use crate::network::{Network, spans};
use crate::spans::span_scores;
use crate::{Error, Features, Inputs, Linear, Pass, Scores};

/// RoBERTa that says where an answer begins and ends.
#[derive(Module, Debug)]
pub struct RobertaForQuestionAnswering {
    /// Everything below the head.
    pub roberta: Bert,
    /// `[2, D]`: begins here, ends here.
    pub qa_outputs: Linear,
}

impl RobertaForQuestionAnswering {
    pub(crate) fn skeleton(c: &BertConfig, device: &Device) -> Self {
        Self {
            roberta: Bert::skeleton(c, false, device),
            qa_outputs: Linear::skeleton(c.hidden_size, 2, device),
        }
    }
}

impl Network for RobertaForQuestionAnswering {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = spans(inputs)?;
        let hidden = self.roberta.forward(&inputs.text, pass, &mut |_| {})?;
        Ok(span_scores(self.qa_outputs.forward(hidden), inputs))
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        Ok(self.qa_outputs.forward(self.roberta.evaluate(features)?))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.roberta.hidden_states(features)
    }
}
