use std::path::PathBuf;

use ligo_ops::Precision;
use thiserror::Error;

/// What can end a training run.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration holds values that cannot work.
    #[error("the training configuration has {} fault(s): {}", faults.len(), faults.join("; "))]
    Config {
        /// One sentence per fault.
        faults: Vec<String>,
    },
    /// The run folder holds checkpoints of a run with other settings.
    #[error("the checkpoints in {} belong to a run with other settings: {}", dir.display(), differences.join("; "))]
    OtherRun {
        /// The run's folder.
        dir: PathBuf,
        /// What differs.
        differences: Vec<String>,
    },
    /// A parameter was asked for that the store does not hold.
    #[error("there is no trainable parameter `{name}` among the {count} of this run")]
    UnknownParameter {
        /// The name.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// A parameter was given twice.
    #[error("the parameter `{name}` is given twice")]
    DuplicateParameter {
        /// The name.
        name: String,
    },
    /// A list of values does not fill its tensor.
    #[error("`{name}` of shape {shape:?} needs {expected} values, found {found}")]
    WrongNumberOfValues {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values the shape holds.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The loss or the gradient of a step is NaN or infinite.
    #[error(
        "step {step} has loss {loss} and gradient norm {grad_norm}, expected finite numbers; weights and optimizer are as before the step"
    )]
    NonFinite {
        /// The step, counted from 0.
        step: u64,
        /// The loss.
        loss: f64,
        /// The norm of the whole gradient.
        grad_norm: f64,
    },
    /// Too many steps in a row were skipped because they were not finite.
    #[error("{count} steps in a row up to step {step} had no finite loss and gradient, allowed are {allowed}")]
    TooManySkipped {
        /// The last one, counted from 0.
        step: u64,
        /// How many.
        count: u64,
        /// The limit.
        allowed: u64,
    },
    /// A run went back to the same checkpoint too often.
    #[error(
        "the run went back to its checkpoint of step {step} {count} times, allowed are {allowed}; the last time since {reason}"
    )]
    TooManyRollbacks {
        /// Steps done there.
        step: u64,
        /// How often it would have gone back.
        count: u64,
        /// The limit.
        allowed: u64,
        /// What was not finite.
        reason: String,
    },
    /// No validation batch was given, or one without a masked token.
    #[error("the validation data has no masked token, so there is nothing to evaluate on")]
    NothingToEvaluate,
    /// A batch has no masked token.
    #[error("the training batch of step {step} has no masked token, so there is nothing to learn from")]
    NothingToLearn {
        /// The step, counted from 0.
        step: u64,
    },
    /// The validation loss is NaN or infinite.
    #[error("the validation loss after {step} steps is {loss}, expected a finite number")]
    NonFiniteEvaluation {
        /// Steps done.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// A model could not be built from the parameters.
    #[error(transparent)]
    Model(#[from] ligo_models::Error),
    /// A batch could not be read.
    #[error(transparent)]
    Data(#[from] ligo_data::Error),
    /// A checkpoint could not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] ligo_checkpoint::Error),
    /// An objective failed in a way of its own.
    #[error("the objective `{objective}` failed: {source}")]
    Objective {
        /// Its name.
        objective: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The run's checkpoints have disappeared between two calls of `run`.
    #[error("{} holds no valid checkpoint any more, although {updates} updates were done", dir.display())]
    LostCheckpoints {
        /// The run's folder.
        dir: PathBuf,
        /// Updates that the parameters in memory have had.
        updates: u64,
    },
    /// Metrics could not be written.
    #[error(transparent)]
    Metrics(#[from] ligo_metrics::Error),
    /// An objective or a model of a caller's own failed.
    #[error(transparent)]
    Own(Box<dyn std::error::Error + Send + Sync>),
    /// The device failed.
    #[error("the device could not {action}: {reason}")]
    Device {
        /// What was tried.
        action: String,
        /// What the device said.
        reason: String,
    },
    /// The device has no memory left for a step.
    #[error("the device could not {action}: {reason}")]
    DeviceMemory {
        /// What was tried.
        action: String,
        /// What the device said, in a line.
        reason: String,
    },
    /// The device has no products in the precision that the settings ask for.
    #[error("precision {precision} is asked for, and {device} computes in {} only", listed(has))]
    UnsupportedPrecision {
        /// What was asked for.
        precision: Precision,
        /// The device.
        device: String,
        /// What the device has.
        has: Vec<Precision>,
    },
    /// A checkpoint holds something else than this run needs.
    #[error("the checkpoint {} does not fit: {reason}", path.display())]
    BadCheckpoint {
        /// Its folder.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// A file could not be written or read.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The growth operator.
    #[error(transparent)]
    Growth(#[from] ligo_growth::Error),
    /// The micro-batches of a step cannot be shared out to the ranks.
    #[error(
        "{accumulation} micro-batches a step cannot be shared out evenly to {ranks} ranks: start {} ranks, or change accumulation to a multiple of {ranks}",
        divisors(*accumulation)
    )]
    UnevenShares {
        /// Micro-batches of a step.
        accumulation: usize,
        /// Ranks of the run.
        ranks: usize,
    },
    /// Another rank cannot be reached any more.
    #[error("{} is lost: {reason}; the same command goes on from the last checkpoint", rank.map_or("a rank of this run".to_owned(), |rank| format!("rank {rank} of this run")))]
    RankLost {
        /// Which, where that is known.
        rank: Option<usize>,
        /// What is known of it.
        reason: String,
    },
    /// A rank was started with other settings, data or start values.
    #[error(
        "rank {rank} was started for another run than rank 0: settings, data and models must be the same for all ranks"
    )]
    OtherRank {
        /// The first one that differs.
        rank: usize,
    },
    /// The replicas of a run have drifted apart.
    #[error(
        "after {step} steps rank {rank} holds other numbers of `{name}` than rank 0, so one of them computed wrongly or their devices compute differently; nothing was saved of it, and the same command goes on from the checkpoint before"
    )]
    ReplicasDiffer {
        /// Steps done.
        step: u64,
        /// The first rank that differs.
        rank: usize,
        /// The first parameter whose values or moments differ.
        name: String,
    },
}

/// The numbers that divide it, in words, but only small ones of many.
fn divisors(number: usize) -> String {
    let found: Vec<String> = (1..=number.min(64))
        .filter(|i| number.is_multiple_of(*i))
        .map(|i| i.to_string())
        .collect();
    found.join(" or ")
}

impl Error {
    /// Whether all ranks of a run end with it, so that none waits for another. What else a rank ends with, the others do not know of.
    pub fn is_of_all_ranks(&self) -> bool {
        matches!(
            self,
            Self::NonFinite { .. }
                | Self::NonFiniteEvaluation { .. }
                | Self::TooManySkipped { .. }
                | Self::TooManyRollbacks { .. }
                | Self::NothingToLearn { .. }
                | Self::NothingToEvaluate
                | Self::UnevenShares { .. }
                | Self::OtherRank { .. }
                | Self::ReplicasDiffer { .. }
        )
    }

    /// A failure of the device; memory that ran out is told apart from the rest by what burn's backends say of it.
    pub fn of_device(action: impl Into<String>, reason: String) -> Self {
        const FULL: [&str; 5] = [
            "out of device memory",
            "out-of-memory",
            "out of memory",
            "can't allocate",
            "every page size the memory tracks",
        ];
        let action = action.into();
        // Below stands where in burn it happened, which says nothing to a user.
        let full = |line: &&str| FULL.iter().any(|words| line.to_lowercase().contains(words));
        match reason.lines().find(full) {
            Some(line) => Self::DeviceMemory {
                action,
                reason: line.trim().to_owned(),
            },
            None => Self::Device { action, reason },
        }
    }
}

fn listed(precisions: &[Precision]) -> String {
    let names: Vec<&str> = precisions.iter().map(|precision| precision.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_full_is_told_apart_in_the_words_of_every_backend() {
        for (said, line) in [
            (
                "An error happened during execution\nCaused by:\n  out of device memory allocating 64 bytes\n   0: cubecl",
                "out of device memory allocating 64 bytes",
            ),
            (
                "can't allocate buffer of size: 5368709120\n",
                "can't allocate buffer of size: 5368709120",
            ),
            (
                "An out-of-memory error happened during launch\nCaused by:\n  x",
                "An out-of-memory error happened during launch",
            ),
        ] {
            let error = Error::of_device("compute", said.into());
            assert!(
                matches!(&error, Error::DeviceMemory { reason, .. } if reason == line),
                "{error:?}"
            );
        }
        let other = Error::of_device("compute", "the device was lost".into());
        assert!(matches!(other, Error::Device { .. }), "{other:?}");
    }

    #[test]
    fn a_precision_that_is_not_there_is_refused_with_those_that_are() {
        let error = Error::UnsupportedPrecision {
            precision: Precision::Tf32,
            device: "a card".into(),
            has: vec![Precision::F32, Precision::Bf16],
        };
        assert_eq!(
            error.to_string(),
            "precision tf32 is asked for, and a card computes in f32, bf16 only"
        );
    }
}
