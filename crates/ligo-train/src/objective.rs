use std::collections::HashSet;

use burn::tensor::{Device, Tensor};
use ligo_arch::ModelConfig;
use ligo_models::{Inputs, Model, Pass};

use crate::freeze::Places;
use crate::muon;
use crate::unfolded::Unfolded;
use crate::{Error, Leaves, OptimizerKind, ParamStore, StepContext, TrainConfig, Trained, Work};

/// A model as training sees it: [`Model`], or one of your own.
pub trait Learner {
    /// The mean loss over the labels of a batch, one element.
    ///
    /// # Errors
    /// The model does not learn from such batches, or cannot go through such a pass.
    fn loss(&self, batch: &Inputs, pass: &Pass) -> Result<Tensor<1>, Error>;
}

impl Learner for Model {
    fn loss(&self, batch: &Inputs, pass: &Pass) -> Result<Tensor<1>, Error> {
        Ok(self.loss_with(batch, pass)?)
    }
}

/// What a run minimizes. The loop knows parameters by name and nothing of models; an objective turns them into a model.
pub trait Objective {
    /// A short name for files and messages, such as `pretrain`.
    fn name(&self) -> &str;

    /// The model's tensors, made of the parameters once for all micro-batches of a step or an evaluation, and the way back from their
    /// gradients to those of the parameters. Ordinarily they are the same.
    ///
    /// # Errors
    /// A parameter is missing or does not fit.
    fn unfold(&self, store: &ParamStore) -> Result<Unfolded<'_>, Error> {
        Ok(Unfolded::same(store))
    }

    /// The model that these leaves, the tensors of [`Objective::unfold`], stand for. Its tensors hang on the leaves, so gradients reach them.
    /// Evaluation takes it whole.
    ///
    /// # Errors
    /// A leaf is missing or does not fit.
    fn model(&self, leaves: &Leaves) -> Result<Box<dyn Learner>, Error>;

    /// What a micro-batch computes; [`Objective::loss`] does it, and costs are counted from it. All micro-batches of a step train the same
    /// parameters.
    fn work(&self, at: &StepContext<'_>) -> Work {
        Work {
            recompute: at.config.gradient_checkpointing,
            ..Work::default()
        }
    }

    /// Whether a step that trains so much collects the gradient of this leaf.
    fn is_trained(&self, _name: &str, _trained: &Trained) -> bool {
        true
    }

    /// Whether a parameter is a matrix that Muon updates, where that is the optimizer.
    fn is_matrix(&self, _name: &str) -> bool {
        false
    }

    /// The mean loss over the labels of a micro-batch, one element.
    ///
    /// # Errors
    /// As [`Objective::model`].
    fn loss(&self, leaves: &Leaves, batch: &Inputs, at: &StepContext<'_>) -> Result<Tensor<1>, Error> {
        let pass = self.work(at).pass(at.dropout());
        self.model(leaves)?.loss(batch, &pass)
    }

    /// The sum of the squares of all gradients of a step, for clipping, where `gradients`, in the order of the store, are not all of them: ranks that hold
    /// parts of parameters each ask the others. `None` where they are.
    ///
    /// # Errors
    /// [`Error::RankLost`].
    fn squares(&self, _store: &ParamStore, _gradients: &[Option<Tensor<1>>]) -> Result<Option<f64>, Error> {
        Ok(None)
    }

    /// What of the settings this objective cannot do, one sentence per fault.
    fn faults(&self, config: &TrainConfig) -> Vec<String> {
        let cannot = |key: &str| format!("the objective `{}` does not support {key}", self.name());
        let muon = (config.optimizer.kind == OptimizerKind::Muon).then_some("optimizer.kind = \"muon\"");
        config.special_passes().into_iter().chain(muon).map(cannot).collect()
    }
}

/// Ordinary training: the leaves are the model's own parameters. Layers and tokens are dropped, sub-models trained and parameters
/// frozen as the run's settings say.
#[derive(Clone, Debug)]
pub struct PretrainObjective {
    skeleton: Model,
    places: Places,
    matrices: HashSet<String>,
}

impl PretrainObjective {
    /// The revision of its arithmetic. Raise it together with a change that gives other numbers.
    pub const REVISION: u32 = 1;

    /// Trains a model of this configuration with these optional tensors (such as the pooler's), which get no gradient from the
    /// masked loss but belong to the model.
    ///
    /// # Errors
    /// The configuration is not valid, or a name is not one of its optional tensors.
    pub fn new(config: &ModelConfig, optional: &[&str], device: &Device) -> Result<Self, Error> {
        let skeleton = Model::skeleton_with(config, optional, device)?;
        let table = config.table();
        let matrices = table.params().filter(muon::is_for_muon).map(|param| param.name);
        Ok(Self {
            skeleton,
            places: Places::new(&table),
            matrices: matrices.collect(),
        })
    }

    /// The model with these leaves.
    ///
    /// # Errors
    /// A leaf is missing or does not fit.
    pub fn network(&self, leaves: &Leaves) -> Result<Model, Error> {
        self.skeleton
            .clone()
            .install(&mut |name: &str, _: &[usize]| leaves.tensor(name))
    }

    /// Names and shapes of the parameters that the store must hold.
    pub fn param_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.skeleton.param_shapes()
    }

    /// What of the settings does not fit the model's depth.
    pub(crate) fn depth_faults(&self, config: &TrainConfig) -> Vec<String> {
        config.depth_faults(self.places.depth)
    }
}

impl Objective for PretrainObjective {
    fn name(&self) -> &str {
        "pretrain"
    }

    fn model(&self, leaves: &Leaves) -> Result<Box<dyn Learner>, Error> {
        Ok(Box::new(self.network(leaves)?))
    }

    fn work(&self, at: &StepContext<'_>) -> Work {
        Work::of(self.places.depth, at)
    }

    fn is_trained(&self, name: &str, trained: &Trained) -> bool {
        self.places.is_trained(name, trained)
    }

    fn is_matrix(&self, name: &str) -> bool {
        self.matrices.contains(name)
    }

    fn faults(&self, config: &TrainConfig) -> Vec<String> {
        let mut faults = self.depth_faults(config);
        if config.distillation.is_some() {
            faults.push("distillation needs a teacher, and this run has none".into());
        }
        faults
    }
}
