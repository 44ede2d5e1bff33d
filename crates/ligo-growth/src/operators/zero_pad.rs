//! G_zero (arXiv 2405.15319): new rows read nothing of what the small model has.

use super::facts::{Facts, Scope};
use super::layers;
use super::operator::{Operator, Pair, all};
use crate::depth::stack;
use crate::{Error, Fill, LinearMap};

/// As StackBERT, but new rows are zero where they read old channels.
pub(super) struct ZeroPad;

impl Operator for ZeroPad {
    fn name(&self) -> &'static str {
        "zero-pad"
    }

    fn label(&self) -> &'static str {
        "zero pad"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "G_zero: as StackBERT, but new rows are zero where they read old channels; new columns fresh",
            source: "[2405.15319](https://arxiv.org/abs/2405.15319)",
            keeps: [Scope::Nowhere, Scope::HeadsApart, Scope::Nowhere, Scope::Nowhere],
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(stack(small, large))
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        let padded = Fill::Padded {
            initializer_range: pair.initializer_range,
            seed: pair.seed,
        };
        layers::by_rule(pair, stack, padded)
    }
}
