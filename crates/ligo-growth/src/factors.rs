use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Tensor;
use ligo_arch::{Axis, ParamTable};
use serde::{Deserialize, Serialize};

use crate::picks::WidthMatrix;

/// Which layers share the width matrices of axes that occur in layers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// One set for all layers (the paper's Algorithm 1).
    #[default]
    Shared,
    /// One set per layer of the small model; width is applied before depth (the paper's prose).
    PerSmallLayer,
    /// One set per layer of the large model; depth is applied before width (the official code).
    PerLargeLayer,
}

/// Width matrices by axis, each `[large, small]`. An axis without an entry is the identity.
#[derive(Clone, Debug, Default)]
pub struct Factors {
    pub(crate) sharing: Sharing,
    pub(crate) matrices: BTreeMap<Axis, Vec<WidthMatrix>>,
    /// Axes whose matrices follow from those of the axis that they repeat.
    pub(crate) derived: BTreeSet<Axis>,
}

impl Factors {
    /// Matrices by axis: one per axis, or one per layer for axes that `sharing` does not share.
    pub fn new(sharing: Sharing, matrices: BTreeMap<Axis, Vec<Tensor<2>>>) -> Self {
        let of_tensors = |(axis, list): (Axis, Vec<Tensor<2>>)| (axis, list.into_iter().map(Into::into).collect());
        Self::of(sharing, matrices.into_iter().map(of_tensors).collect())
    }

    /// As [`Factors::new`], of matrices in either form.
    pub(crate) fn of(sharing: Sharing, matrices: BTreeMap<Axis, Vec<WidthMatrix>>) -> Self {
        Self {
            sharing,
            matrices,
            derived: BTreeSet::new(),
        }
    }

    /// Adds the matrices of axes that repeat blocks of others, unless they have their own: entry (group, copy, d) follows entry (group, d).
    ///
    /// # Shapes
    /// `[G2·b2, G1·b1]` becomes `[G2·t·b2, G1·t·b1]`, block-diagonal over the copies.
    pub(crate) fn with_repeats(mut self, small: &ParamTable, large: &ParamTable) -> Self {
        for (axis, wide) in large.repeats() {
            let Some(matrices) = self.matrices.get(&wide.of) else {
                continue;
            };
            if self.matrices.contains_key(&axis) {
                continue;
            }
            let block = small.repeat(axis).map_or(wide.block, |r| r.block);
            let repeated = matrices.iter().map(|m| m.repeated([wide.block, block], wide.times));
            let repeated = repeated.collect();
            self.derived.insert(axis);
            self.matrices.insert(axis, repeated);
        }
        self
    }

    /// Whether this axis has a matrix.
    pub(crate) fn has(&self, axis: Axis) -> bool {
        self.matrices.contains_key(&axis)
    }

    /// The matrix of an axis at a layer, `[large, small]`; `None` stands for the identity.
    pub fn get(&self, axis: Axis, layer: usize) -> Option<&Tensor<2>> {
        self.width(axis, layer).map(WidthMatrix::tensor)
    }

    /// As [`Factors::get`], in the form that it has.
    pub(crate) fn width(&self, axis: Axis, layer: usize) -> Option<&WidthMatrix> {
        let matrices = self.matrices.get(&axis)?;
        matrices.get(if matrices.len() == 1 { 0 } else { layer })
    }
}

/// The gradient by the matrices that [`Factors::with_repeats`] repeats, from that by the repeated ones: the sum over the copies.
///
/// # Shapes
/// `[layers, G2·t·b2, G1·t·b1]` becomes `[layers, G2·b2, G1·b1]`.
pub(crate) fn sum_over_copies(gradient: Tensor<3>, [large, small]: [usize; 2], times: usize) -> Tensor<3> {
    if times == 1 {
        return gradient;
    }
    let [layers, rows, columns] = gradient.dims();
    let (groups, sources) = (layers * rows / (times * large), columns / (times * small));
    let blocks = gradient.reshape([groups, times, large, sources, times, small]);
    let copy = |t: usize| {
        let blocks = blocks.clone().narrow(1, t, 1).narrow(4, t, 1);
        blocks.reshape([layers, rows / times, columns / times])
    };
    (1..times).map(copy).fold(copy(0), |sum, next| sum + next)
}
