use ligo_models::DropoutStream;

use crate::TrainConfig;
use crate::seed::{Purpose, dropout_seed, seed_for};

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
        self.step as f64 / self.config.steps.max(1) as f64
    }

    /// The seed of a choice for this micro-batch.
    pub(crate) fn seed(&self, purpose: Purpose) -> u64 {
        seed_for(purpose, self.config.seed, self.step, self.micro_step)
    }

    /// The seed of a choice for the whole step.
    pub(crate) fn step_seed(&self, purpose: Purpose) -> u64 {
        seed_for(purpose, self.config.seed, self.step, 0)
    }
}
