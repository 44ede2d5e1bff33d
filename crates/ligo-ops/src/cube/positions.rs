//! Learned positions: one launch forward; backward, each row of the table sums over the batch.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::{Back, Cube, CubeTensor, Part, arg, count, dims, empty, into_contiguous, part, threads};
use crate::graph;

#[cube(launch)]
fn forward(
    x: &[f32],
    positions: &[f32],
    shared: &[f32],
    y: &mut [f32],
    elements: usize,
    length: usize,
    width: usize,
    #[comptime] has_shared: bool,
) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let mut rest = positions[i % (length * width)];
        if comptime![has_shared] {
            rest += shared[i % width];
        }
        y[i] = x[i] + rest;
    }
}

/// `table [P, D]`: the sum over the batch where a position occurs, 0 in the rows behind.
#[cube(launch)]
fn sum_batch(dy: &[f32], table: &mut [f32], elements: usize, sequence: usize, batch: usize) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let mut total = 0.0f32;
        if i < sequence {
            for b in 0..batch {
                total += dy[b * sequence + i];
            }
        }
        table[i] = total;
    }
}

/// `table [T, D]`: the sum of the first `length` rows in its first row, 0 in the others.
#[cube(launch)]
fn sum_rows(positions: &[f32], table: &mut [f32], elements: usize, length: usize, width: usize) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let mut total = 0.0f32;
        if i < width {
            for row in 0..length {
                total += positions[row * width + i];
            }
        }
        table[i] = total;
    }
}

/// [`crate::add_positions`] on a GPU.
pub(crate) fn add(x: Tensor<3>, positions: Tensor<2>, shared: Option<Tensor<2>>) -> Tensor<3> {
    let (x, positions) = (part(x), part(positions));
    let shared = shared.map(part);
    let [_, length, width] = dims(&x.values);
    let elements = count(&x.values);
    let y = empty(&x.values, x.values.meta.shape().clone());
    let (number, units) = threads(&y, elements);
    let row = shared.as_ref().map_or(&positions.values, |shared| &shared.values);
    let [a, b, c, d] = [&x.values, &positions.values, row, &y].map(arg);
    let has_shared = shared.is_some();
    forward::launch(
        &y.client, number, units, a, b, c, d, elements, length, width, has_shared,
    );
    let rows = dims::<2>(&positions.values)[0];
    match shared {
        Some(shared) => {
            let types = dims::<2>(&shared.values)[0];
            let parts: [Part; 3] = [x, positions, shared];
            graph::record(Node, parts, y, |_| [rows, types])
        }
        None => graph::record(Node, [x, positions], y, |_| [rows, 0]),
    }
}

#[derive(Debug)]
struct Node;

/// Inputs: the tokens, their positions and, where there is one, the table whose first row all tokens get.
impl<const N: usize> Backward<Cube, N> for Node {
    /// The rows of the two tables.
    type State = [usize; 2];

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, [rows, types], mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let [batch, length, width] = dims(&dy);
        if back.wants(1) || (N > 2 && back.wants(2)) {
            let table: CubeTensor = empty(&dy, [rows, width]);
            let (number, units) = threads(&dy, rows * width);
            let [a, b] = [&dy, &table].map(arg);
            sum_batch::launch(&dy.client, number, units, a, b, rows * width, length * width, batch);
            if N > 2 && back.wants(2) {
                let shared = empty(&dy, [types, width]);
                let (number, units) = threads(&dy, types * width);
                let [a, b] = [&table, &shared].map(arg);
                sum_rows::launch(&dy.client, number, units, a, b, types * width, length, width);
                back.give(2, shared);
            }
            back.give(1, table);
        }
        back.give(0, dy);
    }
}
