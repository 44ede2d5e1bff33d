use std::path::PathBuf;

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
    Report(#[from] ligo_report::Error),
    /// The device failed.
    #[error("the device could not {action}: {reason}")]
    Device {
        /// What was tried.
        action: String,
        /// What the device said.
        reason: String,
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
}
