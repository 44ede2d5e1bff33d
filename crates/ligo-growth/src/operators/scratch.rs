//! Nothing is taken from the small model.

use super::facts::Facts;
use super::operator::{Operator, Pair};
use crate::{Error, LinearMap};

/// Every tensor starts fresh.
pub(super) struct Scratch;

impl Operator for Scratch {
    fn name(&self) -> &'static str {
        "scratch"
    }

    fn label(&self) -> &'static str {
        "scratch"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "fresh weights",
            terms: "0",
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, _small: usize, large: usize) -> Vec<Option<usize>> {
        vec![None; large]
    }

    fn grows_groups(&self) -> bool {
        true
    }

    fn adds_experts(&self) -> bool {
        true
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok(LinearMap::new(Vec::new(), pair.fresh()))
    }
}
