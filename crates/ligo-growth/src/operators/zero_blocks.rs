//! Blocks that do nothing at first (LLaMA Pro, arXiv 2401.02415): copies of a layer whose outputs into the residual stream are
//! zero.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use ligo_arch::{NormPlace, ParamTable, Role, StackName};
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Scope};
use super::operator::{Operator, Pair, all};
use super::refusal::Refusal;
use crate::depth::{grouped, interpose, one_hot, repeat_top};
use crate::host::matrix;
use crate::{Error, Fill, LinearMap, Term};

/// Settings of [`OperatorSpec::ZeroBlocks`](crate::OperatorSpec::ZeroBlocks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct ZeroBlocksConfig {
    /// Where the layers without effect stand.
    pub placement: Placement,
}

/// Behind which layers the copies without effect stand. From 4 to 6 layers, the new ones are:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// 2 and 5: one behind each of as many equal groups of layers as there are new ones (LLaMA Pro's script).
    #[default]
    GroupEnds,
    /// 3 and 5: each layer has `⌊L2/L1⌋` copies, and the uppermost ones one more (LEMON's code).
    Top,
    /// 1 and 4: layer i copies layer `⌊i·L1/L2⌋`.
    Interposed,
}

impl Placement {
    /// For each layer of the large model the small model's that it copies, in order.
    pub(super) fn list(self, small: usize, large: usize) -> Vec<usize> {
        match self {
            Self::GroupEnds => grouped(small, large),
            Self::Top => repeat_top(small, large),
            Self::Interposed => interpose(small, large),
        }
    }
}

/// The first copy of each layer is the layer itself; in the others, what writes to the residual stream is zero
/// ([`ParamTable::writes_residual`]).
///
/// A layer that normalizes the sum of its input and output (post-norm) would normalize again what it passes on. There the last copy
/// has the gain and shift of the layer's last normalization, and all before it and between have none
/// ([`Fill::Identity`]): normalizing twice is normalizing once, up to ε (LEMON's code, arXiv 2310.07999).
pub(super) fn depth(pair: &Pair<'_>, placement: Placement) -> BTreeMap<(StackName, &'static str), Tensor<2>> {
    by_module(pair, placement, &|stack, module| {
        let after = norms_after(pair.large, stack);
        match after.iter().position(|norm| *norm == module) {
            Some(i) if i + 1 == after.len() => Kept::Last,
            Some(_) => Kept::First,
            None if writes_residual(pair.large, stack, module) => Kept::First,
            None => Kept::All,
        }
    })
}

/// As [`depth`], with nothing of a layer without effect but what makes it one: the rest starts fresh.
pub(super) fn own_lists(pair: &Pair<'_>, placement: Placement) -> BTreeMap<(StackName, &'static str), Tensor<2>> {
    by_module(
        pair,
        placement,
        &|stack, module| match norms_after(pair.large, stack).pop() == Some(module) {
            true => Kept::Last,
            false => Kept::First,
        },
    )
}

/// The copies of a layer that keep a module of it.
#[derive(Clone, Copy)]
enum Kept {
    All,
    First,
    Last,
}

impl Kept {
    /// What each layer copies of the module, of a list of what they copy of any: copies of a layer stand in a row.
    fn of(self, list: &[usize]) -> Vec<Option<usize>> {
        let keeps = |i: usize| match self {
            Self::All => true,
            Self::First => i == 0 || list[i] != list[i - 1],
            Self::Last => list.get(i + 1) != Some(&list[i]),
        };
        (0..list.len()).map(|i| keeps(i).then_some(list[i])).collect()
    }
}

/// One-hot coefficients of every module, of which these copies are kept.
fn by_module(
    pair: &Pair<'_>,
    placement: Placement,
    kept: &dyn Fn(StackName, &'static str) -> Kept,
) -> BTreeMap<(StackName, &'static str), Tensor<2>> {
    let mut depth = BTreeMap::new();
    for (stack, layers) in pair.large.depths() {
        let known = pair.small.depth(stack);
        let list = placement.list(known, layers);
        for module in pair.large.modules(stack) {
            let values = one_hot(&kept(stack, module).of(&list), known);
            depth.insert((stack, module), matrix(values, layers, known, pair.device));
        }
    }
    depth
}

/// The modules with which a layer normalizes sums of its input and output, in their order; none where it normalizes what it reads.
fn norms_after(table: &ParamTable, stack: StackName) -> Vec<&'static str> {
    if table.norm().is_none_or(|norm| norm.place != NormPlace::After) {
        return Vec::new();
    }
    let specs = || table.specs().iter().filter(|s| s.stack == Some(stack));
    let is_norm = |module: &&str| specs().any(|s| s.module == *module && s.role == Role::NormWeight);
    table.modules(stack).into_iter().filter(is_norm).collect()
}

/// Whether what a layer adds to the residual stream comes out of this module.
fn writes_residual(table: &ParamTable, stack: StackName, module: &str) -> bool {
    let rows = table.specs().iter();
    rows.filter(|s| s.stack == Some(stack) && s.module == module)
        .any(|s| table.writes_residual(s))
}

impl Operator for ZeroBlocksConfig {
    fn name(&self) -> &'static str {
        "zero-blocks"
    }

    fn label(&self) -> &'static str {
        "zero blocks"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "LLaMA Pro: layers without effect between the small model's own",
            needs: "the same widths",
            source: "[2401.02415](https://arxiv.org/abs/2401.02415)",
            takes: [Scope::Everywhere, Scope::Nowhere, Scope::Nowhere, Scope::Nowhere],
            keeps: [Scope::Everywhere, Scope::Nowhere, Scope::Nowhere, Scope::Nowhere],
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(self.placement.list(small, large))
    }

    /// Every width stays.
    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        let grown = large.sizes().find(|(axis, size)| small.size(*axis) != *size);
        match grown {
            None => Ok(()),
            Some((axis, size)) => Err(Refusal::Pair(format!(
                "it adds layers and keeps every width, and {axis} grows from {} to {size}",
                small.size(axis)
            ))),
        }
    }

    /// Exact: where layers normalize what they read, and, but for the ε of their normalizations, where they normalize what they pass on.
    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        let term = Term {
            depth: depth(pair, self.placement),
            ..Term::default()
        };
        Ok(LinearMap::new(vec![term], Fill::Identity))
    }
}
