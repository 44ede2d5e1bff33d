use serde::{Deserialize, Serialize};

/// One point of the validation curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalPoint {
    /// Steps done.
    pub step: u64,
    /// Tokens read.
    pub tokens: u64,
    /// Exact FLOPs spent.
    pub flops_exact: f64,
    /// FLOPs spent, as the ELECTRA counter counts them.
    pub flops_electra: f64,
    /// Seconds of training, without evaluation and saving.
    pub seconds: f64,
    /// Mean loss over the masked validation tokens, in nats.
    pub loss: f64,
}

/// The price of one optimizer step, all micro-batches included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostPerStep {
    /// Exact FLOPs.
    pub exact: f64,
    /// FLOPs as the ELECTRA counter counts them.
    pub electra: f64,
}

/// A return to a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Steps that were done.
    pub step: u64,
    /// Steps that the checkpoint had.
    pub to: u64,
}

/// What was spent before a run's first step and belongs to its price, such as trying other starts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Exact FLOPs.
    pub flops_exact: f64,
    /// FLOPs as the ELECTRA counter counts them.
    pub flops_electra: f64,
    /// Seconds.
    pub seconds: f64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All steps are done.
    Completed,
    /// It was asked to stop and saved its state.
    Interrupted {
        /// Steps done.
        step: u64,
    },
}

/// What a run did, from its first step on (earlier sessions included).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainResult {
    /// How it ended.
    pub outcome: Outcome,
    /// Steps done.
    pub steps: u64,
    /// The validation curve.
    pub curve: Vec<EvalPoint>,
    /// The loss of the last step; `None` when there was none or it was not finite.
    pub last_train_loss: Option<f64>,
    /// Tokens read.
    pub tokens: u64,
    /// Exact FLOPs.
    pub flops_exact: f64,
    /// FLOPs as the ELECTRA counter counts them.
    pub flops_electra: f64,
    /// Seconds of training, without evaluation and saving.
    pub seconds: f64,
    /// Seconds of evaluation.
    pub eval_seconds: f64,
    /// Seconds of saving.
    pub save_seconds: f64,
    /// Steps that were skipped because loss or gradient were not finite.
    pub skipped_steps: Vec<u64>,
    /// Where the run went back to a checkpoint because something was not finite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollbacks: Vec<Rollback>,
    /// Steps whose loss stood out from those before, counted from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loss_spikes: Vec<u64>,
    /// Joules of the training steps, without evaluation and saving; `None` where nobody could tell.
    #[serde(default)]
    pub energy_joules: Option<f64>,
    /// Whether an instrument counted all of them; otherwise they are time multiplied by an assumed power.
    #[serde(default)]
    pub energy_measured: bool,
    /// The most memory that was in use at once: of the process, or of the GPU where one computed.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
}

impl TrainResult {
    /// Tokens per second of training.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds.max(1e-9)
    }

    /// This run and another one that took over where it ended, as one: steps, tokens and costs go on counting. At the seam
    /// the curve shows what the second run began with, since growing costs no step and may raise the loss.
    #[must_use]
    pub fn followed_by(mut self, next: Self) -> Self {
        let shifted = next.curve.iter().map(|p| EvalPoint {
            step: p.step + self.steps,
            tokens: p.tokens + self.tokens,
            flops_exact: p.flops_exact + self.flops_exact,
            flops_electra: p.flops_electra + self.flops_electra,
            seconds: p.seconds + self.seconds,
            loss: p.loss,
        });
        self.curve.pop();
        self.curve.extend(shifted);
        let before = self.steps;
        let later = |steps: &[u64]| -> Vec<u64> { steps.iter().map(|step| step + before).collect() };
        self.skipped_steps.extend(later(&next.skipped_steps));
        self.loss_spikes.extend(later(&next.loss_spikes));
        self.rollbacks.extend(next.rollbacks.iter().map(|back| Rollback {
            step: back.step + before,
            to: back.to + before,
        }));
        Self {
            outcome: next.outcome,
            steps: self.steps + next.steps,
            curve: self.curve,
            last_train_loss: next.last_train_loss,
            tokens: self.tokens + next.tokens,
            flops_exact: self.flops_exact + next.flops_exact,
            flops_electra: self.flops_electra + next.flops_electra,
            seconds: self.seconds + next.seconds,
            eval_seconds: self.eval_seconds + next.eval_seconds,
            save_seconds: self.save_seconds + next.save_seconds,
            skipped_steps: self.skipped_steps,
            rollbacks: self.rollbacks,
            loss_spikes: self.loss_spikes,
            energy_joules: self.energy_joules.zip(next.energy_joules).map(|(a, b)| a + b),
            energy_measured: self.energy_measured && next.energy_measured,
            peak_memory_bytes: self.peak_memory_bytes.max(next.peak_memory_bytes),
        }
    }

    /// The last validation loss.
    pub fn final_loss(&self) -> Option<f64> {
        self.curve.last().map(|p| p.loss)
    }
}
