//! Root-mean-square normalization: one cube a row.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::columns::{self, Blocks};
use super::sums::cube_sum;
use super::{Back, Cube, CubeTensor, Part, UNITS, arg, count, cubes, empty, into_contiguous, part};
use crate::graph;

#[cube(launch)]
fn forward(
    x: &[f32],
    weight: &[f32],
    y: &mut [f32],
    inverses: &mut [f32],
    rows: usize,
    width: usize,
    eps: f32,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let start = row * width;
    let mut squares = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < width {
        let value = x[start + i];
        squares += value * value;
        i += units;
    }
    let mean = cube_sum(squares, &mut scratch) / f32::cast_from(width);
    let inverse = 1.0f32 / (mean + eps).sqrt();
    if UNIT_POS == 0 {
        inverses[row] = inverse;
    }
    i = UNIT_POS as usize;
    while i < width {
        y[start + i] = x[start + i] * inverse * weight[i];
        i += units;
    }
}

/// `dx = (g - n · mean(g · n)) / r` with `g = dy · weight`, the root mean square `r` and `n = x / r`.
#[cube(launch)]
fn backward_rows(
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    inverses: &[f32],
    dx: &mut [f32],
    rows: usize,
    width: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let start = row * width;
    let inverse = inverses[row];
    let mut along = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < width {
        along += dy[start + i] * weight[i] * x[start + i] * inverse;
        i += units;
    }
    let along = cube_sum(along, &mut scratch) / f32::cast_from(width);
    i = UNIT_POS as usize;
    while i < width {
        let g = dy[start + i] * weight[i];
        dx[start + i] = (g - x[start + i] * inverse * along) * inverse;
        i += units;
    }
}

/// Partial sums over rows of `dy · n`, `[blocks, width]`.
#[cube(launch)]
fn backward_columns(
    dy: &[f32],
    x: &[f32],
    inverses: &[f32],
    partial: &mut [f32],
    rows: usize,
    width: usize,
    block: usize,
) {
    let column = ABSOLUTE_POS_X as usize;
    if column < width {
        let first = CUBE_POS_Y as usize * block;
        let mut end = first + block;
        if end > rows {
            end = rows;
        }
        let mut total = 0.0f32;
        for row in first..end {
            total += dy[row * width + column] * x[row * width + column] * inverses[row];
        }
        partial[CUBE_POS_Y as usize * width + column] = total;
    }
}

/// [`crate::rms_norm`] on a GPU.
pub(crate) fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Tensor<D> {
    let parts: [Part; 2] = [part(x), part(weight)];
    let [x, weight] = parts.each_ref().map(|part| &part.values);
    let width = count(weight);
    let rows = count(x) / width;
    let y = empty(x, x.meta.shape().clone());
    let inverses = empty(x, [rows]);
    let (number, units) = cubes(x, rows);
    let [a, b, c, d] = [x, weight, &y, &inverses].map(arg);
    forward::launch(
        &x.client,
        number,
        units,
        a,
        b,
        c,
        d,
        rows,
        width,
        eps as f32,
        UNITS as usize,
    );
    graph::record(Node, parts, y, |[x, weight]| (x, weight, inverses))
}

#[derive(Debug)]
struct Node;

impl Backward<Cube, 2> for Node {
    type State = (CubeTensor, CubeTensor, CubeTensor);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, (x, weight, inverses), mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let width = count(&weight);
        let rows = count(&x) / width;
        if back.wants(0) {
            let dx = empty(&x, x.meta.shape().clone());
            let (number, units) = cubes(&x, rows);
            let [a, b, c, d, e] = [&dy, &x, &weight, &inverses, &dx].map(arg);
            backward_rows::launch(&x.client, number, units, a, b, c, d, e, rows, width, UNITS as usize);
            back.give(0, dx);
        }
        if back.wants(1) {
            let blocks = Blocks::of(rows);
            let partial = empty(&x, [blocks.number, width]);
            let (number, units) = blocks.launch(width);
            let [a, b, c, d] = [&dy, &x, &inverses, &partial].map(arg);
            backward_columns::launch(&x.client, number, units, a, b, c, d, rows, width, blocks.rows);
            back.give(1, columns::finish_one(&partial, blocks, width));
        }
    }
}
