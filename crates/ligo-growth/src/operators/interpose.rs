//! Interposition: each layer several times in a row.

use super::facts::Facts;
use super::layers;
use super::operator::{Operator, Pair, all};
use crate::depth::interpose;
use crate::{Error, LinearMap};

/// Layer `⌊i·L1/L2⌋`; new channels start fresh.
pub(super) struct Interpose;

impl Operator for Interpose {
    fn name(&self) -> &'static str {
        "interpose"
    }

    fn label(&self) -> &'static str {
        "interposition"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "interposition: layer ⌊*i·L/L'*⌋; new channels fresh",
            source: "[2510.08008](https://arxiv.org/abs/2510.08008)",
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(interpose(small, large))
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        layers::by_rule(pair, interpose, pair.fresh())
    }
}
