//! What an operator is: one type that says all that there is to know of it.

use burn::tensor::Device;
use ligo_arch::{ModelConfig, ParamTable};

use super::facts::Facts;
use super::refusal::Refusal;
use crate::{Error, Fill, LinearMap};

/// The pair of models that a map is built for, and what fresh weights are drawn from.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) small: &'a ParamTable,
    pub(super) large: &'a ParamTable,
    pub(super) device: &'a Device,
    pub(super) initializer_range: f64,
    pub(super) seed: u64,
}

impl Pair<'_> {
    /// New entries are fresh.
    pub(super) fn fresh(&self) -> Fill {
        Fill::Fresh {
            initializer_range: self.initializer_range,
            seed: self.seed,
        }
    }
}

/// A growth operator with its settings.
pub(super) trait Operator {
    /// The name in recipes, tables and folders.
    fn name(&self) -> &'static str;

    /// What people call it; for tables.
    fn label(&self) -> &'static str;

    /// The revision of its arithmetic. Raise it together with a change that gives other numbers: what was grown by the former one is then no
    /// outcome of this one any more.
    fn revision(&self) -> u32 {
        1
    }

    /// What is known of it with its default settings.
    fn facts(&self) -> Facts;

    /// For each layer of the large model the small model's that it comes from, as far as it comes from one. There are at least as many layers
    /// as in the small model.
    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>>;

    /// Why it does not grow a pair.
    fn check(&self, _small: &ParamTable, _large: &ParamTable) -> Result<(), Refusal> {
        Ok(())
    }

    /// Whether it grows query heads where key heads stay as they are.
    fn grows_groups(&self) -> bool {
        false
    }

    /// Whether it adds experts.
    fn adds_experts(&self) -> bool {
        false
    }

    /// The large model as it must be for this operator, but for the kinds of its layers.
    fn adjust(&self, _small: &ModelConfig, large: &ModelConfig) -> ModelConfig {
        large.clone()
    }

    /// Its map for a pair that it can grow.
    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error>;
}

/// Every layer comes from one.
pub(super) fn all(list: Vec<usize>) -> Vec<Option<usize>> {
    list.into_iter().map(Some).collect()
}

/// Layers come from those of the same number, and those that the small model lacks from none.
pub(super) fn own(small: usize, large: usize) -> Vec<Option<usize>> {
    (0..large).map(|i| (i < small).then_some(i)).collect()
}
