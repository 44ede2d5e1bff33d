//! Rows of a table.

use burn::backend::{
    Flex,
    autodiff::{
        checkpoint::base::Checkpointer,
        grads::Gradients,
        ops::{Backward, Ops},
    },
};
use burn::tensor::{Int, Tensor};

#[cfg(feature = "cube")]
use crate::cube;
use crate::{
    composed,
    graph::{self, Back, Part},
    kernels::rows as kernel,
};

/// `y[b, l] = weight[ids[b, l]]`.
///
/// # Shapes
/// `weight [V, D]`, `ids [B, L]`; the result is `[B, L, D]`.
///
/// # Panics
/// When an id is negative or `V` or more.
pub fn embedding(weight: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    #[cfg(feature = "cube")]
    if cube::is_native(&weight) {
        return cube::embedding::embedding(weight, ids);
    }
    if !graph::is_fast(&weight) {
        return composed::embedding(weight, ids);
    }
    let ([count, width], [batch, length]) = (weight.dims(), ids.dims());
    let ids: Vec<usize> = graph::integers(ids)
        .into_iter()
        .map(|id| match usize::try_from(id) {
            Ok(id) if id < count => id,
            _ => panic!("the embedding has {count} rows and was asked for row {id}"),
        })
        .collect();
    let mut part = Part::new(weight);
    part.values = graph::contiguous(part.values);
    let y = kernel::gather(graph::slice(&part.values), &ids, width);
    let y = graph::tensor(y, [batch, length, width]);
    graph::record(Node, [part], y, |_| State { ids, count, width })
}

/// Some rows of a matrix: `y[n] = x[rows[n]]`. What [`embedding`] is for tables, this is for states.
///
/// # Shapes
/// `x [R, D]`, `rows [N]`; the result is `[N, D]`.
pub fn rows(x: Tensor<2>, rows: Tensor<1, Int>) -> Tensor<2> {
    #[cfg(feature = "cube")]
    if cube::is_native(&x) {
        return cube::embedding::embedding(x, rows.unsqueeze::<2>()).squeeze_dim(0);
    }
    x.select(0, rows)
}

#[derive(Debug)]
struct Node;

#[derive(Debug, Clone)]
struct State {
    ids: Vec<usize>,
    /// Rows of the table.
    count: usize,
    width: usize,
}

impl Backward<Flex, 1> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, State { ids, count, width }, mut back) = Back::open(ops, grads, check);
        let dy = graph::contiguous(dy);
        let table = kernel::scatter(graph::slice(&dy), &ids, count, width);
        back.give(0, graph::tensor(table, [count, width]));
    }
}
