use ligo_models::DropoutStream;

use crate::TrainConfig;
use crate::seed::{StepKey, dropout_seed};

/// Where in a run something is asked for. What changes from step to step is a pure function of it, so that a resumed run needs no
/// state for it.
#[derive(Clone, Copy, Debug)]
pub struct StepContext<'a> {
    /// The run's settings.
    pub config: &'a TrainConfig,
    /// The step, counted from 0.
    pub step: u64,
    /// The micro-batch of the step, counted from 0.
    pub micro_step: usize,
}

impl StepContext<'_> {
    /// Dropout of this micro-batch.
    pub fn dropout(&self) -> DropoutStream {
        DropoutStream::new(dropout_seed(self.config.seed, self.step, self.micro_step))
    }

    /// How far the run is: 0 at its first step, 1 after its last.
    pub fn progress(&self) -> f64 {
        self.key().progress()
    }

    /// What choices of this micro-batch are a function of.
    pub(crate) fn key(&self) -> StepKey {
        StepKey {
            seed: self.config.seed,
            steps: self.config.steps,
            step: self.step,
            micro_step: self.micro_step,
        }
    }

    /// The teacher's weight and the temperature, while it teaches.
    pub(crate) fn teacher(&self) -> Option<(f64, f64)> {
        let distillation = self.config.distillation?;
        let weight = distillation.weight(self.step, self.config.steps);
        (weight > 0.0).then_some((weight, distillation.temperature))
    }
}
