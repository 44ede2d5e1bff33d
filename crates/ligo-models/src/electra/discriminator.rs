use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::{ElectraConfig, HiddenAct};

use super::Electra;
use crate::network::{Network, replaced};
use crate::{Error, Features, HeadScores, Inputs, Linear, Pass, Scores};

/// ELECTRA that says of each token whether it was replaced.
#[derive(Module, Debug)]
pub struct ElectraForPreTraining {
    /// Everything below the head.
    pub electra: Electra,
    /// The head.
    pub discriminator_predictions: DiscriminatorHead,
}

/// A dense layer, its activation, and a number for each token.
#[derive(Module, Debug)]
pub struct DiscriminatorHead {
    /// `[D, D]`.
    pub dense: Linear,
    /// `[1, D]`.
    pub dense_prediction: Linear,
    #[module(skip)]
    activation: HiddenAct,
}

impl ElectraForPreTraining {
    pub(crate) fn skeleton(c: &ElectraConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        Self {
            electra: Electra::skeleton(c, device),
            discriminator_predictions: DiscriminatorHead {
                dense: Linear::skeleton(d, d, device),
                dense_prediction: Linear::skeleton(d, 1, device),
                activation: c.hidden_act,
            },
        }
    }
}

impl DiscriminatorHead {
    /// `W₂ act(W₁ x + b₁) + b₂`: above 0 where a token seems to be replaced.
    ///
    /// # Shapes
    /// `x [B, L, D]`; the result is `[B, L, 1]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let inner = self.dense.forward_activated(x, self.activation);
        self.dense_prediction.forward(inner)
    }
}

impl Network for ElectraForPreTraining {
    /// The binary cross entropy of `z` is that of two classes with logits 0 and `z`. Padding does not count.
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = replaced(inputs)?;
        let hidden = self.electra.forward(&inputs.text, pass, &mut |_| {})?;
        let [batch, length, _] = hidden.dims();
        let z = self.discriminator_predictions.forward(hidden);
        let z = z.reshape([batch * length, 1]);
        let labels = match &inputs.text.attention_mask {
            Some(mask) => inputs.labels.clone().mask_fill(mask.clone().equal_elem(0.0), -1),
            None => inputs.labels.clone(),
        };
        let logits = Tensor::cat(vec![z.zeros_like(), z], 1);
        Ok(HeadScores::labeled(logits, labels.reshape([batch * length])).into())
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        Ok(self.discriminator_predictions.forward(self.electra.evaluate(features)?))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.electra.hidden_states(features)
    }
}
