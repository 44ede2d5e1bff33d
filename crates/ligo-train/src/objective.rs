use burn::tensor::{Device, Tensor};
use ligo_arch::ModelConfig;
use ligo_models::{DropoutStream, Inputs, Model};

use crate::{Error, Leaves};

/// What a run minimises. The loop knows parameters by name and nothing of models; an objective turns them into a model.
pub trait Objective {
    /// A short name for files and messages, such as `pretrain`.
    fn name(&self) -> &str;

    /// The model that these leaves stand for. Its tensors hang on the leaves, so gradients reach them.
    ///
    /// # Errors
    /// A leaf is missing or does not fit.
    fn model(&self, leaves: &Leaves) -> Result<Model, Error>;

    /// The mean loss over the labels of a micro-batch, one element.
    ///
    /// # Errors
    /// As [`Objective::model`].
    fn loss(&self, leaves: &Leaves, batch: &Inputs, dropout: &DropoutStream) -> Result<Tensor<1>, Error> {
        Ok(self.model(leaves)?.loss(batch, dropout)?)
    }
}

/// Ordinary training: the leaves are the model's own parameters.
#[derive(Clone, Debug)]
pub struct PretrainObjective {
    skeleton: Model,
}

impl PretrainObjective {
    /// Trains a model of this configuration with these optional tensors (such as the pooler's), which get no gradient from the
    /// masked loss but belong to the model.
    ///
    /// # Errors
    /// The configuration is not valid, or a name is not one of its optional tensors.
    pub fn new(config: &ModelConfig, optional: &[&str], device: &Device) -> Result<Self, Error> {
        let skeleton = Model::skeleton_with(config, optional, device)?;
        Ok(Self { skeleton })
    }

    /// Names and shapes of the parameters that the store must hold.
    pub fn param_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.skeleton.param_shapes()
    }
}

impl Objective for PretrainObjective {
    fn name(&self) -> &str {
        "pretrain"
    }

    fn model(&self, leaves: &Leaves) -> Result<Model, Error> {
        self.skeleton
            .clone()
            .install(&mut |name: &str, _: &[usize]| leaves.tensor(name))
    }
}
