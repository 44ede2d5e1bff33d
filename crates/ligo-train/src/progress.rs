use ligo_data::Cursor;
use serde::{Deserialize, Serialize};

use crate::meter::Usage;
use crate::{EvalPoint, Outcome, Rollback, Spent, TrainResult};

/// How far a run is: the counters of its state. What is a function of the step (learning rate, seeds) is not kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) step: u64,
    pub(crate) cursor: Cursor,
    pub(crate) tokens: u64,
    pub(crate) flops_exact: f64,
    pub(crate) flops_electra: f64,
    pub(crate) seconds: f64,
    pub(crate) eval_seconds: f64,
    pub(crate) save_seconds: f64,
    pub(crate) last_train_loss: Option<f64>,
    pub(crate) skipped_steps: Vec<u64>,
    pub(crate) skipped_in_a_row: u64,
    pub(crate) curve: Vec<EvalPoint>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rollbacks: Vec<Rollback>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) loss_spikes: Vec<u64>,
    #[serde(default)]
    pub(crate) usage: Usage,
}

impl Progress {
    /// A run at its beginning that was preceded by work that it is charged for.
    pub(crate) fn after(spent: &Spent) -> Self {
        Self {
            flops_exact: spent.flops_exact,
            flops_electra: spent.flops_electra,
            seconds: spent.seconds,
            ..Self::default()
        }
    }

    /// The point of the validation curve for a loss measured now.
    pub(crate) fn point(&self, loss: f64) -> EvalPoint {
        EvalPoint {
            step: self.step,
            tokens: self.tokens,
            flops_exact: self.flops_exact,
            flops_electra: self.flops_electra,
            seconds: self.seconds,
            loss,
        }
    }

    /// Whether the weights of this moment were evaluated.
    pub(crate) fn is_evaluated(&self) -> bool {
        self.curve.last().is_some_and(|p| p.step == self.step)
    }

    pub(crate) fn result(&self, outcome: Outcome) -> TrainResult {
        let energy = self.usage.energy(self.step);
        TrainResult {
            outcome,
            steps: self.step,
            curve: self.curve.clone(),
            last_train_loss: self.last_train_loss,
            tokens: self.tokens,
            flops_exact: self.flops_exact,
            flops_electra: self.flops_electra,
            seconds: self.seconds,
            eval_seconds: self.eval_seconds,
            save_seconds: self.save_seconds,
            skipped_steps: self.skipped_steps.clone(),
            rollbacks: self.rollbacks.clone(),
            loss_spikes: self.loss_spikes.clone(),
            energy_joules: energy.map(|e| e.joules),
            energy_measured: energy.is_some_and(|e| e.measured),
            peak_memory_bytes: self.usage.peak_memory_bytes,
        }
    }
}
