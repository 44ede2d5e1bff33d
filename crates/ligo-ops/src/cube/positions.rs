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

/// `y[b, l] = (l < P ? prefix[l] : x[b, l - P]) + positions[l]`; `length` counts the prefix.
#[cube(launch)]
fn forward_prefixed(
    x: &[f32],
    first: &[f32],
    second: &[f32],
    positions: &[f32],
    y: &mut [f32],
    elements: usize,
    length: usize,
    width: usize,
    #[comptime] prefix: usize,
) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let column = i % width;
        let token = i / width;
        let batch = token / length;
        let place = token % length;
        let mut value = first[column];
        if place >= prefix {
            value = x[(batch * (length - prefix) + place - prefix) * width + column];
        } else if place == 1 {
            value = second[column];
        }
        y[i] = value + positions[place * width + column];
    }
}

/// The sum over the batch of each position's gradient, for the positions and for the tokens of the prefix.
#[cube(launch)]
fn backward_prefixed(
    dy: &[f32],
    positions: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    sequence: usize,
    width: usize,
    batch: usize,
) {
    let i = ABSOLUTE_POS;
    if i < sequence {
        let mut total = 0.0f32;
        for b in 0..batch {
            total += dy[b * sequence + i];
        }
        positions[i] = total;
        if i < width {
            first[i] = total;
        } else if i < 2 * width {
            second[i - width] = total;
        }
    }
}

/// The gradient behind the prefix.
#[cube(launch)]
fn cut_prefix(dy: &[f32], dx: &mut [f32], elements: usize, own: usize, sequence: usize) {
    let i = ABSOLUTE_POS;
    if i < elements {
        dx[i] = dy[(i / own) * sequence + (sequence - own) + i % own];
    }
}

/// [`crate::prefix_positions`] on a GPU, with one or two tokens.
pub(crate) fn prefixed<const P: usize>(x: Tensor<3>, prefix: [Tensor<1>; P], positions: Tensor<2>) -> Tensor<3> {
    let (x, positions) = (part(x), part(positions));
    let mut tokens: Vec<Part> = prefix.into_iter().map(part).collect();
    let [batch, own, width] = dims(&x.values);
    let length = own + P;
    let y = empty(&x.values, [batch, length, width]);
    let elements = count(&y);
    let (number, units) = threads(&y, elements);
    let first = tokens.first().map_or(&positions.values, |token| &token.values);
    let second = tokens.get(1).map_or(first, |token| &token.values);
    let [a, b, c, d, e] = [&x.values, first, second, &positions.values, &y].map(arg);
    forward_prefixed::launch(&y.client, number, units, a, b, c, d, e, elements, length, width, P);
    let second = if P > 1 { tokens.pop() } else { None };
    match (tokens.pop(), second) {
        (Some(first), Some(second)) => graph::record(Prefixed, [x, positions, first, second], y, |_| own),
        (Some(first), None) => graph::record(Prefixed, [x, positions, first], y, |_| own),
        (None, _) => unreachable!("one or two tokens stand in front"),
    }
}

#[derive(Debug)]
struct Prefixed;

/// Inputs: the tokens behind the prefix, positions, and the tokens of the prefix.
impl<const N: usize> Backward<Cube, N> for Prefixed {
    /// The number of tokens behind the prefix.
    type State = usize;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, own, mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let [batch, length, width] = dims(&dy);
        let positions = empty(&dy, [length, width]);
        let [first, second] = [(); 2].map(|()| empty(&dy, [width]));
        let (number, units) = threads(&dy, length * width);
        let [a, b, c, d] = [&dy, &positions, &first, &second].map(arg);
        backward_prefixed::launch(&dy.client, number, units, a, b, c, d, length * width, width, batch);
        back.give(1, positions);
        back.give(2, first);
        if N > 3 {
            back.give(3, second);
        }
        if back.wants(0) {
            let dx = empty(&dy, [batch, own, width]);
            let elements = count(&dx);
            let (number, units) = threads(&dx, elements);
            let [a, b] = [&dy, &dx].map(arg);
            cut_prefix::launch(&dx.client, number, units, a, b, elements, own * width, length * width);
            back.give(0, dx);
        }
    }
}
