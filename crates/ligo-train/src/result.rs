use ligo_cost::Cost;
use serde::{Deserialize, Serialize};

/// One point of the validation curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalPoint {
    /// Steps done.
    pub step: u64,
    /// Tokens read.
    pub tokens: u64,
    /// What the training up to here cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Mean loss over the masked validation tokens, in nats.
    pub loss: f64,
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
    /// What the training cost.
    #[serde(flatten)]
    pub cost: Cost,
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
        self.tokens as f64 / self.cost.seconds.max(1e-9)
    }

    /// This run and another one that took over where it ended, as one: steps, tokens and costs go on counting. At the seam
    /// the curve shows what the second run began with, since growing costs no step and may raise the loss.
    #[must_use]
    pub fn followed_by(mut self, next: Self) -> Self {
        let shifted = next.curve.iter().map(|p| EvalPoint {
            step: p.step + self.steps,
            tokens: p.tokens + self.tokens,
            cost: p.cost + self.cost,
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
            cost: self.cost + next.cost,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn results_of_earlier_versions_are_read_to_the_bit_and_written_as_they_were() {
        let stored = r#"{"outcome":"completed","steps":2,"curve":[{"step":2,"tokens":192,"flops_exact":0.30000000000000004,"flops_electra":2.5,"seconds":0.1,"loss":4.321}],"last_train_loss":null,"tokens":192,"flops_exact":0.30000000000000004,"flops_electra":333333333333333.3,"seconds":0.062149226999999994,"eval_seconds":0.5,"save_seconds":0.25,"skipped_steps":[],"energy_joules":null,"energy_measured":false,"peak_memory_bytes":null}"#;
        let result: TrainResult = serde_json::from_str(stored).unwrap();
        let cost = Cost::of_measures([0.1 + 0.2, 1e15 / 3.0, 0.062_149_226_999_999_994]);
        assert_eq!(
            result.cost.measures().map(f64::to_bits),
            cost.measures().map(f64::to_bits)
        );
        assert_eq!(result.curve[0].cost, Cost::of_measures([0.1 + 0.2, 2.5, 0.1]));
        assert_eq!(serde_json::to_string(&result).unwrap(), stored);
    }
}
