//! A run's folder, with all that says what is in it.

use std::path::{Path, PathBuf};

use super::dataset::Dataset;
use super::{Small, small};
use crate::Failure;
use crate::recipe::{Method, Pair, Recipe, Resolved, RunKey};

/// A run's folder with its recipe, its data and its pair of models, and every run that may come into it.
pub struct RunFolder<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Where it is.
    pub path: &'a Path,
    /// The data.
    pub dataset: &'a Dataset,
    /// The models.
    pub pair: Pair,
    /// Its methods for these data. What they say was looked at when the folder was opened; from then on only results may be missing.
    pub resolved: Resolved,
}

impl<'a> RunFolder<'a> {
    /// A folder whose data are ready.
    ///
    /// # Errors
    /// The models do not fit the data, or a method cannot do what it says with them: all faults of all methods.
    pub fn new(recipe: &'a Recipe, path: &'a Path, dataset: &'a Dataset) -> Result<Self, Failure> {
        let facts = dataset.facts(&recipe.data);
        let pair = recipe.pair(&facts)?;
        Ok(Self {
            resolved: recipe.resolve(&pair, &facts)?,
            recipe,
            path,
            dataset,
            pair,
        })
    }

    /// The small model.
    ///
    /// # Errors
    /// It is not complete.
    pub fn small(&self) -> Result<Small, Failure> {
        small::read(self.recipe, &self.pair.small, self.path, self.dataset)
    }

    /// The trial of a search that has this key.
    ///
    /// # Errors
    /// The recipe has no such search, which is a fault of this program.
    pub(super) fn trial(&self, key: &RunKey) -> Result<&Method, Failure> {
        let all = self.resolved.trials(&RunKey {
            tried: None,
            ..key.clone()
        });
        let mut found = all.iter().filter(|trial| trial.key == *key);
        found.next().ok_or_else(|| unknown(key))
    }

    /// A folder inside.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

/// Every run of a recipe was resolved with it.
pub(super) fn unknown(key: &RunKey) -> Failure {
    Failure::fault(format!("{key} is no run of this recipe"))
}
