//! Center tiling (ModernBERT, arXiv 2412.13663, after Phi and Gopher).

use super::facts::{Facts, HEADS};
use super::layers::depth_of;
use super::operator::{Operator, Pair, all};
use super::refusal::Refusal;
use super::selection::{Choice, Selection, check_units};
use crate::depth::interpose;
use crate::{Error, Fill, LinearMap, Term};
use ligo_arch::ParamTable;

/// The small weights in the middle of the large ones, and on both sides of them once more, by whole heads in attention: `W'[i, j] = W[s(i), s(j)]` with
/// `s(i) = (i − ⌊(D2 − D1) / 2⌋) mod D1`. Nothing is divided, so that the function is not kept. Layer `⌊i·L1/L2⌋`, as Gopher has it.
///
/// Channels have no order that a network knows of, so the small model's come first here, as with every operator, and what stands around them behind.
pub(super) struct Tiling;

impl Operator for Tiling {
    fn name(&self) -> &'static str {
        "tiling"
    }

    fn label(&self) -> &'static str {
        "center tiling"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "center tiling: the small weights in the middle, by whole heads, and around them once more; layer ⌊*i·L/L'*⌋",
            needs: HEADS,
            source: "[2412.13663](https://arxiv.org/abs/2412.13663)",
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(interpose(small, large))
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        check_units(small, large)
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        let selection = Selection::new(pair.small, pair.large, Choice::Around, pair.seed);
        let lists = pair.large.depths();
        let lists = lists.map(|(stack, depth)| (stack, self.sources(pair.small.depth(stack), depth)));
        let term = Term {
            depth: depth_of(pair, &lists.collect()),
            out: selection.factors(pair, &|_, _, _| 1.0),
            ..Term::default()
        };
        Ok(LinearMap::new(vec![term], Fill::Zero))
    }
}
