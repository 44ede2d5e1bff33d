//! Any list of layers (SOLAR, arXiv 2312.15166).

use ligo_arch::ParamTable;

use super::facts::Facts;
use super::layers;
use super::operator::{Operator, Pair};
use super::refusal::Refusal;
use crate::{Error, LinearMap};

/// For each layer of the large model the small model's that it copies; new channels start fresh.
pub(super) struct List<'a>(pub(super) &'a [usize]);

impl Operator for List<'_> {
    fn name(&self) -> &'static str {
        "layers"
    }

    fn label(&self) -> &'static str {
        "layers"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "any list of layers (SOLAR); new channels fresh",
            needs: "`layers = [0, 0, 1, 1]`",
            source: "[2312.15166](https://arxiv.org/abs/2312.15166)",
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, _small: usize, large: usize) -> Vec<Option<usize>> {
        let known = self.0.iter().copied().map(Some);
        known.chain(std::iter::repeat(None)).take(large).collect()
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        layers::by_stack(small, large, self.0)
            .map(drop)
            .map_err(Refusal::Settings)
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        layers::by_list(pair, self.0, pair.fresh())
    }
}
