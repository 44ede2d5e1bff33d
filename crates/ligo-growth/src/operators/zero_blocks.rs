//! Blocks that do nothing at first (LLaMA Pro, arXiv 2401.02415): copies of a layer whose outputs into the residual stream are
//! zero.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use ligo_arch::{NormPlace, ParamTable, Role, StackName};
use serde::{Deserialize, Serialize};

use super::check::Refusal;
use super::facts::{Facts, Scope};
use super::matrix;
use super::operator::{Operator, Pair, all};
use crate::depth::{grouped, interpose, one_hot, repeat_top};
use crate::{Error, Factors, Fill, LinearMap, Term};

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

/// Exact: where layers normalize what they read, and, but for the ε of their normalizations, where they normalize what they pass on.
pub(super) fn build(small: &ParamTable, large: &ParamTable, device: &Device, config: ZeroBlocksConfig) -> LinearMap {
    let term = Term {
        depth: depth(small, large, device, config.placement),
        out: Factors::default(),
        ..Term::default()
    };
    LinearMap {
        terms: vec![term],
        fill: Fill::Identity,
        ..LinearMap::default()
    }
}

/// Every width stays.
pub(super) fn check(small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
    let grown = large.sizes().find(|(axis, size)| small.size(*axis) != *size);
    match grown {
        None => Ok(()),
        Some((axis, size)) => Err(Refusal::Pair(format!(
            "it adds layers and keeps every width, and {axis} grows from {} to {size}",
            small.size(axis)
        ))),
    }
}

/// The first copy of each layer is the layer itself; in the others, what writes to the residual stream is zero
/// ([`ParamTable::writes_residual`]).
///
/// A layer that normalizes the sum of its input and output (post-norm) would normalize again what it passes on. There the last copy
/// has the gain and shift of the layer's last normalization, and all before it and between have none
/// ([`Fill::Identity`]): normalizing twice is normalizing once, up to ε (LEMON's code, arXiv 2310.07999).
pub(super) fn depth(
    small: &ParamTable,
    large: &ParamTable,
    device: &Device,
    placement: Placement,
) -> BTreeMap<(StackName, &'static str), Tensor<2>> {
    let mut depth = BTreeMap::new();
    for (stack, layers) in large.depths() {
        let known = small.depth(stack);
        let list = placement.list(known, layers);
        let copies: Vec<Option<usize>> = list.iter().copied().map(Some).collect();
        let firsts = firsts(&list);
        let lasts = lasts(&list);
        let after = norms_after(large, stack);
        for module in large.modules(stack) {
            let list = match after.iter().position(|norm| *norm == module) {
                Some(i) if i + 1 == after.len() => &lasts,
                Some(_) => &firsts,
                None if writes_residual(large, stack, module) => &firsts,
                None => &copies,
            };
            depth.insert((stack, module), matrix(one_hot(list, known), layers, known, device));
        }
    }
    depth
}

/// As [`depth`], with nothing of a layer without effect but what makes it one: the rest starts fresh.
pub(super) fn own_lists(
    small: &ParamTable,
    large: &ParamTable,
    device: &Device,
    placement: Placement,
) -> BTreeMap<(StackName, &'static str), Tensor<2>> {
    let mut depth = BTreeMap::new();
    for (stack, layers) in large.depths() {
        let known = small.depth(stack);
        let list = placement.list(known, layers);
        let (firsts, lasts) = (firsts(&list), lasts(&list));
        let last_norm = norms_after(large, stack).pop();
        for module in large.modules(stack) {
            let list = if last_norm == Some(module) { &lasts } else { &firsts };
            depth.insert((stack, module), matrix(one_hot(list, known), layers, known, device));
        }
    }
    depth
}

/// The first copy of each layer; no source for the others.
fn firsts(list: &[usize]) -> Vec<Option<usize>> {
    let is_first = |i: usize| i == 0 || list[i] != list[i - 1];
    (0..list.len()).map(|i| is_first(i).then_some(list[i])).collect()
}

/// The last copy of each layer; no source for the others.
fn lasts(list: &[usize]) -> Vec<Option<usize>> {
    let is_last = |i: usize| list.get(i + 1) != Some(&list[i]);
    (0..list.len()).map(|i| is_last(i).then_some(list[i])).collect()
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

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        check(small, large)
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok(build(pair.small, pair.large, pair.device, *self))
    }
}
