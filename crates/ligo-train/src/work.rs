use ligo_cost::Flops;
use ligo_models::{DropoutStream, Layers, Pass, TokenDrop};

use crate::{StepContext, Trained};

/// What one micro-batch computes, as far as it is not everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// The layers that run.
    pub layers: Layers,
    /// Tokens that layers in the middle leave out.
    pub tokens: Option<TokenDrop>,
    /// The parameters that are trained; the backward pass ends at the lowest of them.
    pub trained: Trained,
    /// Whether a teacher runs forward too.
    pub teacher: bool,
    /// Whether layers are computed again in the backward pass.
    pub recompute: bool,
    /// Labels of its batch, once the batch is there: what a masked model predicts differs from one to the next. A micro-batch without
    /// any is passed over.
    pub labels: Option<usize>,
}

impl Work {
    /// What a micro-batch of ordinary training, a teacher's included, will compute: known before the run, since every choice follows from
    /// its seed. `depth` is the number of layers of the model's first stack.
    pub fn planned(depth: usize, at: &StepContext<'_>) -> Self {
        Self {
            teacher: at.teacher().is_some(),
            ..Self::of(depth, at)
        }
    }

    /// What the settings say of a micro-batch of a model of `depth` layers. A sub-model drops no layers of its own.
    pub(crate) fn of(depth: usize, at: &StepContext<'_>) -> Self {
        let (config, key) = (at.config, at.key());
        let frozen = config.freeze.map(|freeze| freeze.trained(&key)).unwrap_or_default();
        let submodel = config.submodels.and_then(|submodels| submodels.draw(depth, &key));
        let dropping = || config.layer_drop.map(|drop| drop.layers(depth, &key));
        let (layers, trained) = submodel.unwrap_or_else(|| (dropping().unwrap_or_default(), Trained::default()));
        Self {
            layers,
            tokens: config.token_drop.and_then(|drop| drop.tokens(depth, &key)),
            trained: trained.and(frozen),
            teacher: false,
            recompute: config.gradient_checkpointing,
            labels: None,
        }
    }

    /// The forward pass.
    pub(crate) fn pass(&self, dropout: DropoutStream) -> Pass {
        Pass {
            dropout,
            layers: self.layers.clone(),
            tokens: self.tokens,
            recompute: self.recompute,
        }
    }
}

/// The price of steps by what they compute.
pub trait StepCost {
    /// A step of so many micro-batches.
    fn of(&self, micro_batches: &[Work]) -> Flops;

    /// A step that computes everything, for the run's identity and for people.
    fn whole(&self) -> Flops;
}

/// Every step costs the same.
impl StepCost for Flops {
    fn of(&self, _: &[Work]) -> Flops {
        *self
    }

    fn whole(&self) -> Flops {
        *self
    }
}

impl<T: StepCost + ?Sized> StepCost for Box<T> {
    fn of(&self, micro_batches: &[Work]) -> Flops {
        self.as_ref().of(micro_batches)
    }

    fn whole(&self) -> Flops {
        self.as_ref().whole()
    }
}
