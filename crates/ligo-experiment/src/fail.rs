use ligo_pretrained::StoreError;
use miette::Diagnostic;
use thiserror::Error;

use crate::recipe::{Fault, MomentsError, RecipeError};

/// What ends the program, with what to do about it.
#[derive(Debug, Error, Diagnostic)]
pub enum Failure {
    /// The recipe.
    #[error(transparent)]
    #[diagnostic(help("`ligo run --help` lists the built-in recipes; `assets/recipes/` holds them to copy from"))]
    Recipe(#[from] RecipeError),
    /// The optimizer's state of a finished model.
    #[error(transparent)]
    #[diagnostic(help(
        "a run of ligo leaves one beside the model that it trained; for any other model leave keep_moments out"
    ))]
    Moments(#[from] MomentsError),
    /// The text.
    #[error(transparent)]
    Data(#[from] ligo_data::Error),
    /// The hub.
    #[error(transparent)]
    Hub(#[from] ligo_hub::Error),
    /// Training.
    #[error(transparent)]
    Train(#[from] ligo_train::Error),
    /// Growing.
    #[error(transparent)]
    Growth(#[from] ligo_growth::Error),
    /// Files.
    #[error(transparent)]
    Checkpoint(#[from] ligo_checkpoint::Error),
    /// A configuration.
    #[error(transparent)]
    Arch(#[from] ligo_arch::Error),
    /// A model.
    #[error(transparent)]
    Model(#[from] ligo_models::Error),
    /// Numbers of a run, or a small file of it.
    #[error(transparent)]
    Metrics(#[from] ligo_metrics::Error),
    /// Pictures and tables.
    #[error(transparent)]
    Report(#[from] ligo_report::Error),
    /// Savings.
    #[error(transparent)]
    Cost(#[from] ligo_cost::Error),
    /// The device.
    #[error(transparent)]
    #[diagnostic(help("`--device cpu` always works; `--device auto` falls back to it"))]
    Device(#[from] ligo_device::DeviceError),
    /// A model directory.
    #[error(transparent)]
    Load(#[from] ligo_pretrained::LoadError),
    /// Of the program around this crate.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Program(Box<dyn Diagnostic + Send + Sync>),
    /// A file of the run's folder.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Parts of a run.
    #[error("{} of {total} parts of the run are not complete:\n{}", failed.len(), failed.join("\n"))]
    #[diagnostic(help("{rest}the same command again goes on with these"))]
    Units {
        /// Each with the reason.
        failed: Vec<String>,
        /// Of how many.
        total: usize,
        /// What became of the others, as far as there is anything to say: a sentence before the rest.
        rest: &'static str,
    },
    /// A part of a run that another process has to do before.
    #[error("{unit} waits for {on}, which is not complete, and no process does it")]
    #[diagnostic(help(
        "it is in share {share}: start that one as well (--unit {share}), then this one again; LIGO_UNIT_PATIENCE=SECONDS says how long one waits"
    ))]
    Waiting {
        /// What waits.
        unit: String,
        /// What it waits for.
        on: String,
        /// Whose that is, as K/N.
        share: String,
    },
    /// Anything else that is plainly said.
    #[error("{message}")]
    Other {
        /// What is wrong.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// A run that another program cannot go on with.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Export(#[from] crate::export::Refused),
    /// The user asked to stop.
    #[error("stopped as asked")]
    Interrupted,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Load(error) => error.into(),
            StoreError::Checkpoint(error) => error.into(),
            StoreError::Growth(error) => error.into(),
            StoreError::Train(error) => error.into(),
        }
    }
}

/// The faults of a recipe as one.
impl From<Vec<Fault>> for Failure {
    fn from(faults: Vec<Fault>) -> Self {
        Self::Recipe(RecipeError::Faults {
            origin: "the recipe".into(),
            faults,
        })
    }
}

impl Failure {
    /// A message with what to do about it.
    pub fn other(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Other {
            message: message.into(),
            help: Some(help.into()),
        }
    }

    /// What should never happen, whatever people bring.
    pub fn fault(message: impl std::fmt::Display) -> Self {
        Self::other(message.to_string(), "this is a fault of ligo; please report it")
    }

    /// Wraps an I/O error.
    pub fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { action, path, source }
    }

    /// Whether this is a stop that was asked for.
    pub fn is_interruption(&self) -> bool {
        use ligo_train::Error::{Data, Growth};
        matches!(
            self,
            Self::Interrupted
                | Self::Data(ligo_data::Error::Interrupted)
                | Self::Hub(ligo_hub::Error::Interrupted)
                | Self::Growth(ligo_growth::Error::Interrupted)
                | Self::Train(Data(ligo_data::Error::Interrupted) | Growth(ligo_growth::Error::Interrupted))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_that_failed_after_a_stop_is_no_stop_with_everything_saved() {
        let stopped = Failure::Train(ligo_train::Error::Data(ligo_data::Error::Interrupted));
        assert!(stopped.is_interruption());
        let full = ligo_train::Error::Io {
            action: "write",
            path: "checkpoints".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        assert!(!Failure::Train(full).is_interruption());
    }
}
