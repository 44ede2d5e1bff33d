//! Tensors of one length as the rows of a matrix, and back.

use burn::tensor::Tensor;
use rayon::prelude::*;

#[cfg(feature = "cube")]
use crate::cube;
use crate::{composed, graph, simd::filled};

/// Puts tensors of one length under each other: row `i` of the result is `tensors[i]`. Nothing is recorded for differentiation.
///
/// # Shapes
/// `n` tensors `[len]` give `[n, len]`.
///
/// # Panics
/// When there is no tensor, or the lengths differ.
pub fn stack(tensors: &[Tensor<1>]) -> Tensor<2> {
    let tensors: Vec<Tensor<1>> = tensors.iter().cloned().map(Tensor::without_autodiff).collect();
    let [len] = tensors[0].dims();
    assert!(
        tensors.iter().all(|x| x.dims() == [len]),
        "stack needs tensors of one length"
    );
    #[cfg(feature = "cube")]
    if len > 0 && tensors.iter().all(cube::is_native) {
        let tensors: Vec<_> = tensors.into_iter().map(cube::values).collect();
        return cube::untracked(cube::stack::stack(&tensors));
    }
    if !tensors.iter().all(graph::is_fast) {
        return composed::stack(tensors);
    }
    let count = tensors.len();
    let tensors: Vec<_> = tensors
        .into_iter()
        .map(|x| graph::contiguous(graph::values(x)))
        .collect();
    let values = filled(count * len, |out| {
        let rows = out.par_chunks_mut(len.max(1)).zip(&tensors);
        rows.for_each(|(row, x)| row.copy_from_slice(graph::slice(x)));
    });
    graph::untracked(graph::tensor(values, [count, len]))
}

/// The rows of a matrix, one by one. Nothing is recorded for differentiation.
///
/// They share the memory of `x` on the CPU, and on a GPU where each row begins at an address that the device can bind; elsewhere they are
/// copies.
///
/// # Shapes
/// `[n, len]` gives `n` tensors `[len]`.
pub fn unstack(x: Tensor<2>) -> Vec<Tensor<1>> {
    let x = x.without_autodiff();
    let [count, len] = x.dims();
    (0..count).map(|i| x.clone().narrow(0, i, 1).reshape([len])).collect()
}

/// The rows of a matrix, lying apart or together, whichever serves the device: the CPU reads rows where they are, and a GPU wants one
/// buffer.
#[derive(Clone, Debug)]
pub struct Rows(Place);

#[derive(Clone, Debug)]
enum Place {
    Apart(Vec<Tensor<1>>),
    Together(Tensor<2>),
}

impl Rows {
    /// Rows of one length.
    ///
    /// # Panics
    /// When there is none, or the lengths differ.
    pub fn new(rows: Vec<Tensor<1>>) -> Self {
        assert!(!rows.is_empty(), "a matrix needs rows");
        match rows.as_slice() {
            [row] => Self(Place::Together(row.clone().without_autodiff().unsqueeze())),
            _ if rows.iter().all(graph::is_fast) => Self(Place::Apart(rows)),
            _ => Self(Place::Together(stack(&rows))),
        }
    }

    /// The matrix that they make.
    pub fn together(&self) -> Tensor<2> {
        match &self.0 {
            Place::Apart(rows) => stack(rows),
            Place::Together(x) => x.clone(),
        }
    }

    /// The rows one by one.
    pub(crate) fn apart(&self) -> Vec<Tensor<1>> {
        match &self.0 {
            Place::Apart(rows) => rows.clone(),
            Place::Together(x) => unstack(x.clone()),
        }
    }

    /// Whether the fast bodies can take the rows.
    pub(crate) fn is_fast(&self) -> bool {
        match &self.0 {
            Place::Apart(rows) => rows.iter().all(graph::is_fast),
            Place::Together(x) => graph::is_fast(x),
        }
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        match &self.0 {
            Place::Apart(rows) => [rows.len(), rows[0].dims()[0]],
            Place::Together(x) => x.dims(),
        }
    }
}

impl From<Tensor<2>> for Rows {
    fn from(x: Tensor<2>) -> Self {
        Self(Place::Together(x))
    }
}
