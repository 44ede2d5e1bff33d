use std::borrow::Cow;
use std::path::{Path, PathBuf};

use ligo_checkpoint::{TensorFile, latest_valid, state};
use ligo_growth::WeightSource;

use crate::Error;
use crate::checkpoint::{self, FIRST_MOMENT, PREFIX, SECOND_MOMENT, TENSORS, WEIGHT};

/// What a run's newest checkpoint holds of each parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedPart {
    /// Its values.
    Weights,
    /// Adam's first moments.
    FirstMoments,
    /// Adam's second moments.
    SecondMoments,
}

impl SavedPart {
    fn prefix(self) -> &'static str {
        match self {
            Self::Weights => WEIGHT,
            Self::FirstMoments => FIRST_MOMENT,
            Self::SecondMoments => SECOND_MOMENT,
        }
    }
}

/// The state that a run left in its newest valid checkpoint, to go on from elsewhere: a model that is grown may take the optimizer's
/// moments along.
#[derive(Debug)]
pub struct SavedState {
    path: PathBuf,
    tensors: TensorFile,
    updates: u64,
}

impl SavedState {
    /// Opens the newest checkpoint in a run's folder whose hashes hold; `None` when there is none.
    ///
    /// # Errors
    /// It cannot be read, or is of another format.
    pub fn open(run_dir: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let folder = run_dir.as_ref().join(checkpoint::FOLDER);
        if !folder.is_dir() {
            return Ok(None);
        }
        let Some(step) = latest_valid(&folder, PREFIX)?.step else {
            return Ok(None);
        };
        let updates = checkpoint::read_counters(&step.path)?.optimizer_updates;
        let (_, tensors) = state::open(step.path.join(TENSORS))?;
        Ok(Some(Self {
            path: step.path,
            tensors,
            updates,
        }))
    }

    /// The checkpoint's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Updates that the optimizer has done.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Whether the optimizer kept moments; gradient descent keeps none.
    pub fn has_moments(&self) -> bool {
        let tensors = self.tensors.tensors();
        tensors.iter().any(|tensor| tensor.name.starts_with(FIRST_MOMENT))
    }

    /// One part of it, for an operator to read.
    pub fn source(&self, part: SavedPart) -> impl WeightSource + '_ {
        Source {
            tensors: &self.tensors,
            prefix: part.prefix(),
        }
    }
}

struct Source<'a> {
    tensors: &'a TensorFile,
    prefix: &'static str,
}

impl WeightSource for Source<'_> {
    fn values(&mut self, name: &str) -> Result<Cow<'_, [f32]>, ligo_growth::Error> {
        Ok(Cow::Owned(self.tensors.read_f32(&format!("{}{name}", self.prefix))?))
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.info(&format!("{}{name}", self.prefix)).is_some()
    }
}
