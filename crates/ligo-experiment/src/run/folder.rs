//! A run's folder, with all that says what is in it.

use std::path::{Path, PathBuf};

use super::dataset::Dataset;
use super::{Small, small};
use crate::Failure;
use crate::recipe::{Method, MethodSection, Pair, Recipe};

/// A run's folder with its recipe, its data and its pair of models.
pub struct RunFolder<'a> {
    /// The resolved recipe.
    pub recipe: &'a Recipe,
    /// Where it is.
    pub path: &'a Path,
    /// The data.
    pub dataset: &'a Dataset,
    /// The models.
    pub pair: Pair,
}

impl<'a> RunFolder<'a> {
    /// A folder whose data are ready.
    ///
    /// # Errors
    /// The models do not fit the data.
    pub fn new(recipe: &'a Recipe, path: &'a Path, dataset: &'a Dataset) -> Result<Self, Failure> {
        let pair = recipe.pair(&dataset.facts(&recipe.data))?;
        Ok(Self {
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

    /// A method for these data.
    ///
    /// # Errors
    /// A setting does not fit them.
    pub fn method(&self, method: &MethodSection) -> Result<Method, Failure> {
        let facts = self.dataset.facts(&self.recipe.data);
        Ok(self.recipe.resolve(method, &self.pair, &facts)?)
    }

    /// A folder inside.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}
