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

use crate::{
    composed,
    graph::{self, Back, Part},
    kernels::rows,
};

/// `y[b, l] = weight[ids[b, l]]`.
///
/// # Shapes
/// `weight [V, D]`, `ids [B, L]`; the result is `[B, L, D]`.
///
/// # Panics
/// When an id is negative or `V` or more.
pub fn embedding(weight: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
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
    let y = rows::gather(graph::slice(&part.values), &ids, width);
    let y = graph::tensor(y, [batch, length, width]);
    graph::record(Node, [part], y, |_| State { ids, count, width })
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
        let table = rows::scatter(graph::slice(&dy), &ids, count, width);
        back.give(0, graph::tensor(table, [count, width]));
    }
}
