//! Blocks that do nothing at first (LLaMA Pro, arXiv 2401.02415): copies of a layer whose outputs into the residual stream are
//! zero.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use ligo_arch::{Axis, ParamTable, StackName};

use super::check::Refusal;
use super::matrix;
use crate::depth::{interpose, one_hot};
use crate::{Factors, Fill, LinearMap, Term};

/// Exact for pre-norm families. A post-norm layer normalises again what it passes on, so that there the function changes.
pub(super) fn build(small: &ParamTable, large: &ParamTable, device: &Device) -> LinearMap {
    let term = Term {
        depth: depth(small, large, device),
        out: Factors::default(),
        ..Term::default()
    };
    LinearMap {
        terms: vec![term],
        fill: Fill::Zero,
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

/// Layer i copies layer ⌊i·L1/L2⌋. The first copy of each is the layer itself; in the others, modules that write to the
/// residual stream are zero.
pub(super) fn depth(
    small: &ParamTable,
    large: &ParamTable,
    device: &Device,
) -> BTreeMap<(StackName, &'static str), Tensor<2>> {
    let mut depth = BTreeMap::new();
    for (stack, layers) in large.depths() {
        let known = small.depth(stack);
        let copies: Vec<Option<usize>> = interpose(known, layers).into_iter().map(Some).collect();
        let firsts = firsts(known, layers);
        for module in large.modules(stack) {
            let list = if writes_residual(large, stack, module) {
                &firsts
            } else {
                &copies
            };
            depth.insert((stack, module), matrix(one_hot(list, known), layers, known, device));
        }
    }
    depth
}

/// The first copy of each layer where layer i copies layer ⌊i·L1/L2⌋; no source for the others.
pub(super) fn firsts(small: usize, large: usize) -> Vec<Option<usize>> {
    let list = interpose(small, large);
    let is_first = |i: usize| i == 0 || list[i] != list[i - 1];
    (0..large).map(|i| is_first(i).then_some(list[i])).collect()
}

/// Whether a module's matrix has the residual stream as its rows.
fn writes_residual(table: &ParamTable, stack: StackName, module: &str) -> bool {
    let rows = table.specs().iter();
    rows.filter(|s| s.stack == Some(stack) && s.module == module)
        .any(|s| s.axes.len() == 2 && s.axes[0] == Axis::HIDDEN)
}
