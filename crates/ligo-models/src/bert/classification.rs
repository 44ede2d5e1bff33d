use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use super::Bert;
use crate::network::{Network, sequences};
use crate::{DropoutStream, Error, Features, HeadScores, Inputs, Linear, Pass, Scores};

/// BERT with a classifier of whole texts on top of its pooler.
#[derive(Module, Debug)]
pub struct BertForSequenceClassification {
    /// Everything below the classifier; has a pooler.
    pub bert: Bert,
    /// `[K, D]`.
    pub classifier: Linear,
    #[module(skip)]
    dropout: f64,
}

impl BertForSequenceClassification {
    pub(crate) fn skeleton(c: &BertConfig, labels: usize, device: &Device) -> Self {
        Self {
            bert: Bert::skeleton(c, true, device),
            classifier: Linear::skeleton(c.hidden_size, labels, device),
            dropout: c.classifier_dropout(),
        }
    }

    /// `classifier(dropout(pooler(x)))`: `[B, K]` of `[B, L, D]`.
    fn classify(&self, hidden: Tensor<3>, dropout: &DropoutStream) -> Tensor<2> {
        let summary = ligo_ops::dropout(self.bert.summary(hidden), dropout.next(self.dropout));
        self.classifier.forward(summary)
    }
}

impl Network for BertForSequenceClassification {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = sequences(inputs)?;
        let hidden = self.bert.forward(&inputs.text, pass, &mut |_| {})?;
        let logits = self.classify(hidden, &pass.dropout);
        Ok(HeadScores::labeled(logits, inputs.labels.clone()).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        let hidden = self.bert.evaluate(features)?;
        Ok(self.classify(hidden, &DropoutStream::off()).unsqueeze_dim(1))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.bert.hidden_states(features)
    }
}
