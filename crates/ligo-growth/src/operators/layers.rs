//! Operators that copy whole layers: one-hot depth coefficients and zero-padded width matrices `[I; 0]`.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use ligo_arch::{ParamTable, StackName};

use super::operator::{Pair, all, own};
use super::selection::growing;
use crate::depth::{check_list, one_hot};
use crate::host::matrix;
use crate::picks::{Picks, WidthMatrix};
use crate::{Error, Factors, Fill, LinearMap, Sharing, Term};

/// Every stack follows `rule(small layers, large layers)`.
pub(super) fn by_rule(pair: &Pair<'_>, rule: fn(usize, usize) -> Vec<usize>, fill: Fill) -> Result<LinearMap, Error> {
    let lists = pair.large.depths();
    let lists = lists.map(|(stack, depth)| (stack, all(rule(pair.small.depth(stack), depth))));
    Ok(copying(pair, lists.collect(), fill))
}

/// The first stack follows `layers`. Another one keeps its own layers where it does not grow, and needs as many entries where it does.
pub(super) fn by_list(pair: &Pair<'_>, layers: &[usize], fill: Fill) -> Result<LinearMap, Error> {
    Ok(copying(pair, by_stack(pair.small, pair.large, layers)?, fill))
}

/// What [`by_list`] copies in each stack.
///
/// # Errors
/// The list does not fit a stack.
pub(super) fn by_stack(
    small: &ParamTable,
    large: &ParamTable,
    layers: &[usize],
) -> Result<BTreeMap<StackName, Vec<Option<usize>>>, Error> {
    let mut lists = BTreeMap::new();
    for (i, (stack, depth)) in large.depths().enumerate() {
        let list: Vec<usize> = if i > 0 && small.depth(stack) == depth {
            (0..depth).collect()
        } else {
            check_list(stack, layers, small.depth(stack), depth)?;
            layers.to_vec()
        };
        lists.insert(stack, list.into_iter().map(Some).collect());
    }
    Ok(lists)
}

/// Layer i copies layer i; layers that the small model lacks have no source.
pub(super) fn own_layers(pair: &Pair<'_>, fill: Fill) -> LinearMap {
    let lists = pair.large.depths();
    let lists = lists.map(|(stack, depth)| (stack, own(pair.small.depth(stack), depth)));
    copying(pair, lists.collect(), fill)
}

/// The same one-hot coefficients for every module of a stack; `None` is a layer without a source.
pub(super) fn depth_of(
    pair: &Pair<'_>,
    lists: &BTreeMap<StackName, Vec<Option<usize>>>,
) -> BTreeMap<(StackName, &'static str), Tensor<2>> {
    let mut depth = BTreeMap::new();
    for (stack, list) in lists {
        let layers = pair.small.depth(stack);
        for module in pair.large.modules(stack) {
            let values = one_hot(list, layers);
            depth.insert((*stack, module), matrix(values, list.len(), layers, pair.device));
        }
    }
    depth
}

fn copying(pair: &Pair<'_>, lists: BTreeMap<StackName, Vec<Option<usize>>>, fill: Fill) -> LinearMap {
    let term = Term {
        depth: depth_of(pair, &lists),
        out: identity_factors(pair),
        ..Term::default()
    };
    LinearMap::new(vec![term], fill)
}

/// `[I; 0]` for every axis that grows.
pub(super) fn identity_factors(pair: &Pair<'_>) -> Factors {
    let Pair {
        small, large, device, ..
    } = *pair;
    let own = growing(small, large).filter(|(axis, _)| large.repeat(*axis).is_none());
    let matrices = own.map(|(axis, size)| {
        let old = small.size(axis);
        let picks = Picks::identity_top(old, size, 1.0);
        (axis, vec![WidthMatrix::picking(picks, device)])
    });
    Factors::of(Sharing::Shared, matrices.collect()).with_repeats(small, large)
}
