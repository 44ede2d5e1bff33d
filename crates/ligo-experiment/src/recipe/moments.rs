use std::fmt;
use std::path::{Path, PathBuf};

use ligo_train::SavedState;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// What becomes of the optimizer's moments when a model is grown: `false`, `true` or `"reset-new"` in a recipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepMoments {
    /// The grown model starts with a fresh optimizer.
    #[default]
    No,
    /// They are grown with the weights.
    All,
    /// They are grown, and those of new parameters are zero.
    ResetNew,
}

const RESET_NEW: &str = "reset-new";

impl Serialize for KeepMoments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::No => serializer.serialize_bool(false),
            Self::All => serializer.serialize_bool(true),
            Self::ResetNew => serializer.serialize_str(RESET_NEW),
        }
    }
}

impl<'de> Deserialize<'de> for KeepMoments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = KeepMoments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "true, false or \"{RESET_NEW}\"")
            }

            fn visit_bool<E: Error>(self, keep: bool) -> Result<KeepMoments, E> {
                Ok(if keep { KeepMoments::All } else { KeepMoments::No })
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<KeepMoments, E> {
                match word {
                    RESET_NEW => Ok(KeepMoments::ResetNew),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// The optimizer's state of a finished model: the run that trained it left it in `checkpoints` beside the model.
#[derive(Clone, Copy, Debug)]
pub struct SavedMoments<'a> {
    model: &'a Path,
}

/// Why there is no such state.
#[derive(Debug, Error)]
pub enum MomentsError {
    /// There is no checkpoint.
    #[error("keep_moments needs the optimizer's state of {}, and there is no valid checkpoint in {}", model.display(), folder.display())]
    Missing {
        /// The model.
        model: PathBuf,
        /// Where it would be.
        folder: PathBuf,
    },
    /// There is one, and it cannot be read.
    #[error(transparent)]
    Damaged(#[from] ligo_train::Error),
}

impl<'a> SavedMoments<'a> {
    /// Of the model in this folder.
    pub fn beside(model: &'a Path) -> Self {
        Self { model }
    }

    /// Opens it.
    ///
    /// # Errors
    /// There is no valid checkpoint beside the model.
    pub fn open(self) -> Result<SavedState, MomentsError> {
        let folder = self.model.parent().unwrap_or(Path::new("."));
        SavedState::open(folder)?.ok_or_else(|| MomentsError::Missing {
            model: self.model.to_path_buf(),
            folder: folder.join("checkpoints"),
        })
    }

    /// Why it cannot be had, if so.
    pub(super) fn fault(self) -> Option<String> {
        match self.open() {
            Ok(state) if state.has_moments() => None,
            Ok(_) => Some(format!(
                "keep_moments needs the moments of {}, but it was trained by an optimizer without any",
                self.model.display()
            )),
            Err(error) => Some(error.to_string()),
        }
    }
}
