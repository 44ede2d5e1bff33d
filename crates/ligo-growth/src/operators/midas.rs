//! MIDAS (arXiv 2409.19044): the middle layers again behind themselves.

use super::facts::Facts;
use super::layers;
use super::operator::{Operator, Pair, all};
use crate::depth::middle;
use crate::{Error, LinearMap};

/// Copies of the middle layers behind them; new channels start fresh.
pub(super) struct Midas;

impl Operator for Midas {
    fn name(&self) -> &'static str {
        "midas"
    }

    fn label(&self) -> &'static str {
        "MIDAS"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "MIDAS: copies of the middle layers behind them; new channels fresh",
            source: "[2409.19044](https://arxiv.org/abs/2409.19044)",
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(middle(small, large))
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        layers::by_rule(pair, middle, pair.fresh())
    }
}
