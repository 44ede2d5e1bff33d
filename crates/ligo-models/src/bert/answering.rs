use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use super::Bert;
use crate::network::{Network, spans};
use crate::spans::span_scores;
use crate::{Error, Features, Inputs, Linear, Pass, Scores};

/// A model that says where an answer begins and ends. Files call what is below the head by the name of the family.
macro_rules! answering {
    ($(#[$about:meta])* $name:ident, $below:ident) => {
        $(#[$about])*
        #[derive(Module, Debug)]
        pub struct $name {
            /// Everything below the head.
            pub $below: Bert,
            /// `[2, D]`: begins here, ends here.
            pub qa_outputs: Linear,
        }

        impl $name {
            pub(crate) fn skeleton(c: &BertConfig, device: &Device) -> Self {
                Self {
                    $below: Bert::skeleton(c, false, device),
                    qa_outputs: Linear::skeleton(c.hidden_size, 2, device),
                }
            }
        }

        impl Network for $name {
            fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
                let inputs = spans(inputs)?;
                let hidden = self.$below.forward(&inputs.text, pass, &mut |_| {})?;
                Ok(span_scores(self.qa_outputs.forward(hidden), inputs))
            }

            fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
                Ok(self.qa_outputs.forward(self.$below.evaluate(features)?))
            }

            fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
                self.$below.hidden_states(features)
            }
        }
    };
}

answering!(
    /// BERT that says where an answer begins and ends.
    BertForQuestionAnswering,
    bert
);

answering!(
    /// RoBERTa that says where an answer begins and ends.
    RobertaForQuestionAnswering,
    roberta
);
