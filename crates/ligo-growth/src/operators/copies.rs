//! What Net2Net and bert2BERT have in common: new channels, neurons and heads copy old ones, and their readers divide.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use ligo_arch::{Axis, ParamTable, StackName};
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::layers::depth_of;
use super::operator::{Operator, Pair, all};
use super::refusal::Refusal;
use super::selection::{Choice, Selection, Sources, check_units};
use crate::depth::stack_from_top;
use crate::{Error, Factors, LinearMap};

/// Settings of [`OperatorSpec::Fpi`](crate::OperatorSpec::Fpi) and [`OperatorSpec::Aki`](crate::OperatorSpec::Aki).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct CopyConfig {
    /// What new channels, neurons and heads copy.
    pub choice: Choice,
    /// What copies of an input are multiplied by.
    pub scale: CopyScale,
}

/// What the copies of an input are multiplied by, so that the sum over them stays what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyScale {
    /// Each by one over the number of copies of that input: the sum stays the same.
    #[default]
    Count,
    /// All by one factor, so that the root mean square of the sum stays the same (SPARKLING, arXiv 2602.02472, equation 17):
    /// `√(d / (3d' − 2d))` up to twice the width, `d/d'` beyond. At whole multiples both scales are one.
    Rms,
}

impl CopyScale {
    fn of(self, sources: &Sources, channel: usize) -> f64 {
        match self {
            Self::Count => 1.0 / sources.copies(channel) as f64,
            Self::Rms => {
                let (small, large) = sources.sizes();
                let (d, wide) = (small as f64, large as f64);
                if large <= 2 * small {
                    (d / (3.0 * wide - 2.0 * d)).sqrt()
                } else {
                    d / wide
                }
            }
        }
    }
}

/// An operator that copies whole units, with its settings. The widened model is stacked `⌊L2/L1⌋` times; what is left comes from its top.
pub(super) struct Copying {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) facts: Facts,
    pub(super) config: CopyConfig,
    /// The map of a pair, of its copies.
    pub(super) map: fn(&Copies<'_>) -> LinearMap,
}

impl Operator for Copying {
    fn name(&self) -> &'static str {
        self.name
    }

    fn label(&self) -> &'static str {
        self.label
    }

    fn facts(&self) -> Facts {
        self.facts
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(stack_from_top(small, large))
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        check_units(small, large)
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok((self.map)(&Copies::new(pair, self.config)))
    }
}

/// The copies of a pair.
pub(super) struct Copies<'a> {
    pair: Pair<'a>,
    scale: CopyScale,
    selection: Selection,
}

impl<'a> Copies<'a> {
    fn new(pair: &Pair<'a>, config: CopyConfig) -> Self {
        Self {
            pair: *pair,
            scale: config.scale,
            selection: Selection::new(pair.small, pair.large, config.choice, pair.seed),
        }
    }

    /// One-hot rows of the channels that `takes` admits.
    pub(super) fn outputs(&self, takes: &dyn Fn(&Sources, usize) -> bool) -> Factors {
        self.selection.factors(&self.pair, &|axis, sources, i| {
            match (takes(sources, i), axis) {
                (false, _) => 0.0,
                // A tied decoder sums the copies, and its columns are those of the look-up table: what it reads is scaled.
                (true, Axis::HEAD_INPUT) => self.scale.of(sources, i),
                (true, _) => 1.0,
            }
        })
    }

    /// One-hot rows whose copies share what reads them.
    pub(super) fn inputs(&self) -> Factors {
        self.selection
            .factors(&self.pair, &|_, sources, i| self.scale.of(sources, i))
    }

    /// Layer lists of bert2BERT; `shift` says which layer stands for layer `j`, the last one at most.
    pub(super) fn stacked(&self, shift: fn(usize) -> usize) -> BTreeMap<(StackName, &'static str), Tensor<2>> {
        let lists = self.pair.large.depths().map(|(stack, depth)| {
            let known = self.pair.small.depth(stack);
            let list = stack_from_top(known, depth).into_iter();
            (stack, list.map(|j| Some(shift(j).min(known - 1))).collect())
        });
        depth_of(&self.pair, &lists.collect())
    }
}
