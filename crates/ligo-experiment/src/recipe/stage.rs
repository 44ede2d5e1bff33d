//! A stretch of a method: as a recipe says it, and ready to run.

use ligo_arch::ModelConfig;
use ligo_growth::OperatorSpec;
use ligo_train::TrainConfig;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::{KeepMoments, Selection};

/// One stretch of a method that trains several models one after the other; the last one is the large model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StageSection {
    /// Fields of `[large.model]` that differ, such as the number of layers. Nothing in the last stage.
    pub model: Table,
    /// Whether it is the small model, whatever `model` and `layers` say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub small: bool,
    /// The number of layers, whatever the family calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// What makes this model of the one before. By default the method's operator in the first stage, and StackBERT's
    /// layers in the others; between models of one size that is a copy.
    pub operator: Option<OperatorSpec>,
    /// Share of the large model's steps; the last stage takes what the others leave.
    pub share: f64,
    /// Where its learning rate begins.
    #[serde(skip_serializing_if = "StageSchedule::is_anew")]
    pub schedule: StageSchedule,
    /// What becomes of the optimizer's state, where it is not what the method says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_moments: Option<KeepMoments>,
    /// Settings that differ from `[large.train]`.
    pub train: Table,
}

/// The learning rate of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageSchedule {
    /// A schedule of its own, from warm-up to end.
    #[default]
    Anew,
    /// One schedule over all steps of the method, which this stage goes on with.
    Continued,
}

impl StageSchedule {
    fn is_anew(&self) -> bool {
        *self == Self::Anew
    }
}

/// How learning rates follow the width of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rates {
    /// They are the same for all models.
    #[default]
    Same,
    /// Those of matrices are for the width of the small model, and fall as a model is wider (Yang et al., arXiv:2203.03466).
    Mup,
}

impl Rates {
    /// The factor on the rates of a model's matrices.
    pub(super) fn factor(self, small: &ModelConfig, model: &ModelConfig) -> f64 {
        match self {
            Self::Same => 1.0,
            Self::Mup => small.sizes().hidden as f64 / model.sizes().hidden as f64,
        }
    }
}

/// One stretch of a method's training, ready to run.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The folder inside the method's own; the last stage has none.
    pub folder: Option<String>,
    /// The model that is trained, with the ε that the operator asks for unless that is still to be chosen.
    pub model: ModelConfig,
    /// What makes it of the one before; a fixed one of those that are tried, where there are several.
    pub operator: OperatorSpec,
    /// Operators of which the best is taken.
    pub select: Option<Selection>,
    /// What becomes of the optimizer's state.
    pub keep_moments: KeepMoments,
    /// How it is trained, but for the seed.
    pub train: TrainConfig,
    /// Where it is left, if it is the beginning of a run of all `train.steps`, which others go on with.
    pub until: Option<u64>,
}

impl Stage {
    /// The steps that are made.
    pub fn steps(&self) -> u64 {
        self.until.unwrap_or(self.train.steps)
    }
}

/// Whether a method of these stages makes use of the small model: its weights or its knowledge. Methods that train a model of growing
/// size from scratch do not, and owe nothing for its training.
pub fn use_small_model(stages: &[Stage]) -> bool {
    let starts_fresh = stages
        .first()
        .is_some_and(|stage| stage.operator == OperatorSpec::Scratch);
    !starts_fresh || stages.iter().any(|stage| stage.train.distillation.is_some())
}

/// Settings with the seeds of one run: its dropout and its order of data.
pub fn seeded(train: &TrainConfig, seed: u64) -> TrainConfig {
    TrainConfig {
        seed: train.seed.wrapping_add(seed),
        data_order_seed: train.data_order_seed.wrapping_add(seed),
        ..train.clone()
    }
}
