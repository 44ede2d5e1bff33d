//! Function-preserving initialization (Net2Net, arXiv 1511.05641; bert2BERT, arXiv 2110.07143).

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use ligo_arch::{Axis, ParamTable, StackName};
use serde::{Deserialize, Serialize};

use super::check::Refusal;
use super::facts::{Facts, HEADS, Scope};
use super::layers::depth_of;
use super::operator::{Operator, Pair, all};
use super::selection::{Choice, Selection, Sources, check_units};
use crate::depth::stack_from_top;
use crate::{Error, Factors, Fill, LinearMap, Term};

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

/// Net2Net's `B = [I; S]`, `A = [I; S] D⁻¹` with `D` the number of copies of each channel (LiGO, arXiv 2303.00980, equation 2),
/// by whole heads in attention. The widened model is stacked `⌊L2/L1⌋` times; what is left comes from its top.
///
/// Keeps the function where heads and feed-forward neurons grow. The residual stream is normalized over all channels: its
/// mean and variance stay the same only when every channel has equally many copies.
fn fpi(small: &ParamTable, large: &ParamTable, device: &Device, config: CopyConfig, seed: u64) -> LinearMap {
    let copies = Copies::new(small, large, device, config, seed);
    let term = Term {
        depth: copies.stacked(|j| j),
        out: copies.outputs(&|_, _| true),
        input: Some(copies.inputs()),
        ..Term::default()
    };
    LinearMap {
        terms: vec![term],
        fill: Fill::Zero,
        ..LinearMap::default()
    }
}

/// With these settings.
pub(super) struct Fpi(pub(super) CopyConfig);

impl Operator for Fpi {
    fn name(&self) -> &'static str {
        "fpi"
    }

    fn label(&self) -> &'static str {
        "bert2BERT FPI"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "Net2Net, bert2BERT's FPI: new channels, neurons and heads copy random ones, their readers divide",
            needs: HEADS,
            source: "[1511.05641](https://arxiv.org/abs/1511.05641), [2110.07143](https://arxiv.org/abs/2110.07143)",
            keeps: [Scope::Nowhere, Scope::HeadsApart, Scope::Nowhere, Scope::Nowhere],
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(stack_from_top(small, large))
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        check_units(small, large)
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok(fpi(pair.small, pair.large, pair.device, self.0, pair.seed))
    }
}

/// What both operators are made of.
pub(super) struct Copies<'a> {
    small: &'a ParamTable,
    large: &'a ParamTable,
    device: &'a Device,
    scale: CopyScale,
    selection: Selection,
}

impl<'a> Copies<'a> {
    pub(super) fn new(
        small: &'a ParamTable,
        large: &'a ParamTable,
        device: &'a Device,
        config: CopyConfig,
        seed: u64,
    ) -> Self {
        Self {
            small,
            large,
            device,
            scale: config.scale,
            selection: Selection::new(small, large, config.choice, seed),
        }
    }

    /// One-hot rows of the channels that `takes` admits.
    pub(super) fn outputs(&self, takes: &dyn Fn(&Sources, usize) -> bool) -> Factors {
        self.selection
            .factors(self.small, self.large, self.device, &|axis, sources, i| {
                match (takes(sources, i), axis) {
                    (false, _) => 0.0,
                    // A tied decoder sums the copies, and its columns are those of the look-up table: what it reads is scaled.
                    (true, Axis::HEAD_INPUT) => self.scale.of(sources, i),
                    (true, _) => 1.0,
                }
            })
    }

    pub(super) fn inputs(&self) -> Factors {
        self.selection
            .factors(self.small, self.large, self.device, &|_, sources, i| {
                self.scale.of(sources, i)
            })
    }

    /// Layer lists of bert2BERT; `shift` says which layer stands for layer `j`, the last one at most.
    pub(super) fn stacked(&self, shift: fn(usize) -> usize) -> BTreeMap<(StackName, &'static str), Tensor<2>> {
        let lists = self.large.depths().map(|(stack, depth)| {
            let known = self.small.depth(stack);
            let list = stack_from_top(known, depth).into_iter();
            (stack, list.map(|j| Some(shift(j).min(known - 1))).collect())
        });
        depth_of(self.small, self.large, &lists.collect(), self.device)
    }
}
