//! The small model in the corner of a fresh large one.

use super::facts::Facts;
use super::layers;
use super::operator::{Operator, Pair, own};
use crate::{Error, LinearMap};

/// The small weights in the top left corner of their own layers, the rest fresh.
pub(super) struct DirectCopy;

impl Operator for DirectCopy {
    fn name(&self) -> &'static str {
        "direct-copy"
    }

    fn label(&self) -> &'static str {
        "direct copy"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "the small weights in the top left corner, the rest fresh",
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        own(small, large)
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok(layers::own_layers(pair, pair.fresh()))
    }
}
