//! The kinds of line in `metrics.jsonl`. A number that is not finite is written as `null` and read as NaN.

use ligo_cost::Cost;
use serde::{Deserialize, Serialize};

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Record {
    /// A training step (or the mean over the steps since the last such line).
    Train(TrainRecord),
    /// An evaluation on the validation set.
    Eval(EvalRecord),
    /// Something worth remembering: a skipped step, a resume, a checkpoint.
    Event(EventRecord),
}

/// What a training step reported. Tokens, FLOPs and seconds count from the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainRecord {
    /// Finished optimizer steps.
    pub step: u64,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Training loss in nats per predicted token.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss: f64,
    /// Learning rate of this step.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub lr: f64,
    /// Global gradient norm before clipping.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub grad_norm: f64,
    /// What the training cost so far.
    #[serde(flatten)]
    pub cost: Cost,
    /// Throughput since the last line.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub tokens_per_second: f64,
    /// Seconds that each rank of the run computed for since the last line; nothing where one is alone. What is missing to the seconds that
    /// passed, a rank waited for the others and for sums.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rank_seconds: Vec<f64>,
}

/// What an evaluation reported. Tokens, FLOPs and seconds are those of the training before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// Finished optimizer steps.
    pub step: u64,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Validation loss in nats per predicted token.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss: f64,
    /// What the training cost so far.
    #[serde(flatten)]
    pub cost: Cost,
}

/// A remark on a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Finished optimizer steps.
    pub step: u64,
    /// A short name to filter by, such as `resume` or `skipped_step`.
    pub kind: String,
    /// What happened, in words.
    pub message: String,
}

impl Record {
    /// The step this record belongs to.
    #[must_use]
    pub fn step(&self) -> u64 {
        match self {
            Self::Train(record) => record.step,
            Self::Eval(record) => record.step,
            Self::Event(record) => record.step,
        }
    }

    /// The value of the `type` key.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Train(_) => "train",
            Self::Eval(_) => "eval",
            Self::Event(_) => "event",
        }
    }
}

impl From<TrainRecord> for Record {
    fn from(record: TrainRecord) -> Self {
        Self::Train(record)
    }
}

impl From<EvalRecord> for Record {
    fn from(record: EvalRecord) -> Self {
        Self::Eval(record)
    }
}

impl From<EventRecord> for Record {
    fn from(record: EventRecord) -> Self {
        Self::Event(record)
    }
}
