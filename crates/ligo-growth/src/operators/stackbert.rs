//! StackBERT (Gong et al., 2019) and G_stack (arXiv 2405.15319).

use super::facts::Facts;
use super::layers;
use super::operator::{Operator, Pair, all};
use crate::depth::stack;
use crate::{Error, LinearMap};

/// Layer `i mod L1`; new channels start fresh.
pub(super) struct Stackbert;

impl Operator for Stackbert {
    fn name(&self) -> &'static str {
        "stackbert"
    }

    fn label(&self) -> &'static str {
        "StackBERT"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "StackBERT, G_stack: layer *i* mod *L*; new channels fresh",
            source: "[Gong et al.](https://proceedings.mlr.press/v97/gong19a.html), [2405.15319](https://arxiv.org/abs/2405.15319)",
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(stack(small, large))
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        layers::by_rule(pair, stack, pair.fresh())
    }
}
