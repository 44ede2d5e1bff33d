//! LiGO (arXiv 2303.00980), here with its starting values.

use ligo_arch::ParamTable;

use super::facts::Facts;
use super::operator::{Operator, Pair, all, own};
use super::refusal::Refusal;
use super::selection::check_units;
use crate::depth::{interpose, stack};
use crate::{DepthInit, Error, LigoConfig, LigoOperator, LinearMap, WidthInit};

impl Operator for LigoConfig {
    fn name(&self) -> &'static str {
        "ligo"
    }

    fn label(&self) -> &'static str {
        "LiGO"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "LiGO, learned",
            terms: "`terms`",
            learned: true,
            source: "[2303.00980](https://arxiv.org/abs/2303.00980)",
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        // Learned mixtures of all layers, of which these are the first.
        match self.depth_init {
            DepthInit::Stack | DepthInit::Rand | DepthInit::RandSoftmax => all(stack(small, large)),
            DepthInit::Interpose => all(interpose(small, large)),
            DepthInit::Own => own(small, large),
        }
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        self.validate().map_err(Refusal::Settings)?;
        match self.width_init {
            WidthInit::Fpi => check_units(small, large),
            _ => Ok(()),
        }
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        LigoOperator::new(pair.small, pair.large, self, pair.seed)?.initial_map(pair.device)
    }
}
