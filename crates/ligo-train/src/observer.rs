use std::fmt;
use std::path::PathBuf;

use ligo_cost::Cost;

use crate::EvalPoint;

/// What one optimizer step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// The mean loss over the masked tokens of the step.
    pub loss: f64,
    /// The norm of the whole gradient before clipping.
    pub grad_norm: f64,
    /// The factor that clipping put on the gradient.
    pub clip_scale: f64,
    /// The learning rate.
    pub lr: f64,
    /// Whether the update was left out because loss or gradient were not finite.
    pub skipped: bool,
    /// Tokens read in this step.
    pub step_tokens: u64,
    /// Tokens read since the run began.
    pub tokens: u64,
    /// What this step cost.
    pub step_cost: Cost,
    /// What the training cost since the run began.
    pub cost: Cost,
}

impl StepReport {
    /// Tokens per second of this step.
    pub fn tokens_per_second(&self) -> f64 {
        self.step_tokens as f64 / self.step_cost.seconds.max(1e-9)
    }
}

/// Something that happened between steps.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The run goes on from a checkpoint.
    Resumed {
        /// Steps already done.
        step: u64,
        /// The checkpoint.
        path: PathBuf,
    },
    /// A checkpoint was not used.
    CheckpointRejected {
        /// The checkpoint.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// `metrics.jsonl` held a line that is no record; it and what followed were cut off.
    MetricsCut {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A checkpoint is on disk.
    Saved {
        /// Steps done.
        step: u64,
        /// The checkpoint.
        path: PathBuf,
        /// How long it took.
        seconds: f64,
    },
    /// A checkpoint could not be written and the run goes on without it.
    SaveFailed {
        /// Steps done.
        step: u64,
        /// Why.
        reason: String,
    },
    /// A step was skipped.
    SkippedNonFinite {
        /// The step, counted from 0.
        step: u64,
        /// The loss.
        loss: f64,
        /// The norm of the whole gradient.
        grad_norm: f64,
    },
    /// Something was not finite, and the run goes on from its last checkpoint.
    RolledBack {
        /// Steps that were done.
        step: u64,
        /// Steps that are done now.
        to: u64,
        /// What was not finite.
        reason: String,
    },
    /// The loss of a step stands out from those before it. Nothing is done about it.
    LossSpike {
        /// The step, counted from 0.
        step: u64,
        /// The loss.
        loss: f64,
        /// Standard deviations above the mean of the losses before it.
        height: f64,
    },
}

/// As people read it, without the run's name.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resumed { step, .. } => write!(f, "continues at step {step}"),
            Self::CheckpointRejected { path, reason } => {
                write!(f, "checkpoint {} is not used: {reason}", path.display())
            }
            Self::Saved { step, path, .. } => write!(f, "step {step} is saved in {}", path.display()),
            Self::SaveFailed { step, reason } => write!(f, "step {step} could not be saved: {reason}"),
            Self::SkippedNonFinite { step, loss, grad_norm } => {
                write!(f, "step {step} skipped, loss {loss}, gradient norm {grad_norm}")
            }
            Self::RolledBack { step, to, reason } => {
                write!(f, "back from step {step} to the checkpoint of step {to}: {reason}")
            }
            Self::LossSpike { step, loss, height } => write!(
                f,
                "the loss of step {step} stands out: {loss:.4}, {height:.1} standard deviations above those before"
            ),
            Self::MetricsCut { path, line } => write!(
                f,
                "line {line} of {} is damaged; it and what followed are cut off",
                path.display()
            ),
        }
    }
}

/// Watches a run. Every method does nothing unless it is overridden.
pub trait Observer {
    /// After each step.
    fn on_step(&mut self, _report: &StepReport) {}
    /// After each evaluation.
    fn on_eval(&mut self, _point: &EvalPoint) {}
    /// After each validation batch, with the number done and the number of all.
    fn on_eval_batch(&mut self, _done: usize, _total: usize) {}
    /// When something else happens.
    fn on_event(&mut self, _event: &Event) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
