use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use crate::bert::{Bert, first_token};
use crate::network::{Network, sequences};
use crate::{DropoutStream, Error, Features, HeadScores, Inputs, Linear, Pass, Scores};

/// RoBERTa with a classifier of whole texts.
#[derive(Module, Debug)]
pub struct RobertaForSequenceClassification {
    /// Everything below the classifier; has no pooler.
    pub roberta: Bert,
    /// The classifier.
    pub classifier: ClassificationHead,
}

/// A classifier of two layers.
#[derive(Module, Debug)]
pub struct ClassificationHead {
    /// `[D, D]`.
    pub dense: Linear,
    /// `[K, D]`.
    pub out_proj: Linear,
    #[module(skip)]
    dropout: f64,
}

impl RobertaForSequenceClassification {
    pub(crate) fn skeleton(c: &BertConfig, labels: usize, device: &Device) -> Self {
        let d = c.hidden_size;
        Self {
            roberta: Bert::skeleton(c, false, device),
            classifier: ClassificationHead {
                dense: Linear::skeleton(d, d, device),
                out_proj: Linear::skeleton(d, labels, device),
                dropout: c.classifier_dropout(),
            },
        }
    }
}

impl ClassificationHead {
    /// `out_proj(dropout(tanh(dense(dropout(x)))))` of each sequence's first token.
    ///
    /// # Shapes
    /// `hidden [B, L, D]`; the result is `[B, K]`.
    pub fn forward(&self, hidden: Tensor<3>, dropout: &DropoutStream) -> Tensor<2> {
        let x = ligo_ops::dropout(first_token(hidden), dropout.next(self.dropout));
        let x = self.dense.forward(x).tanh();
        self.out_proj.forward(ligo_ops::dropout(x, dropout.next(self.dropout)))
    }
}

impl Network for RobertaForSequenceClassification {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = sequences(inputs)?;
        let hidden = self.roberta.forward(&inputs.text, pass, &mut |_| {})?;
        let logits = self.classifier.forward(hidden, &pass.dropout);
        Ok(HeadScores::labeled(logits, inputs.labels.clone()).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        let hidden = self.roberta.evaluate(features)?;
        Ok(self.classifier.forward(hidden, &DropoutStream::off()).unsqueeze_dim(1))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.roberta.hidden_states(features)
    }
}
