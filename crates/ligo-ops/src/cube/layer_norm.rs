//! Layer normalization, alone and behind a residual addition: one cube a row.

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

/// `statistics [rows, 2]`: mean and one over the standard deviation of each row of `x + residual`, which goes to `sum`.
#[cube(launch)]
fn forward(
    x: &[f32],
    residual: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    sum: &mut [f32],
    statistics: &mut [f32],
    rows: usize,
    width: usize,
    eps: f32,
    #[comptime] adds: bool,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let start = row * width;
    let mut total = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < width {
        let mut value = x[start + i];
        if comptime![adds] {
            value += residual[start + i];
            sum[start + i] = value;
        }
        total += value;
        i += units;
    }
    let mean = cube_sum(total, &mut scratch) / f32::cast_from(width);
    let mut squares = 0.0f32;
    i = UNIT_POS as usize;
    while i < width {
        let mut value = x[start + i];
        if comptime![adds] {
            value += residual[start + i];
        }
        let centered = value - mean;
        squares += centered * centered;
        i += units;
    }
    let variance = cube_sum(squares, &mut scratch) / f32::cast_from(width);
    let inverse = 1.0f32 / (variance + eps).sqrt();
    if UNIT_POS == 0 {
        statistics[2 * row] = mean;
        statistics[2 * row + 1] = inverse;
    }
    i = UNIT_POS as usize;
    while i < width {
        let mut value = x[start + i];
        if comptime![adds] {
            value += residual[start + i];
        }
        y[start + i] = (value - mean) * inverse * weight[i] + bias[i];
        i += units;
    }
}

/// `dx = (g - mean(g) - n · mean(g · n)) / σ` with `g = dy · weight` and the normalized `n`.
#[cube(launch)]
fn backward_rows(
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    statistics: &[f32],
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
    let mean = statistics[2 * row];
    let inverse = statistics[2 * row + 1];
    let mut total = 0.0f32;
    let mut along = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < width {
        let g = dy[start + i] * weight[i];
        total += g;
        along += g * (x[start + i] - mean) * inverse;
        i += units;
    }
    let total = cube_sum(total, &mut scratch) / f32::cast_from(width);
    let along = cube_sum(along, &mut scratch) / f32::cast_from(width);
    i = UNIT_POS as usize;
    while i < width {
        let g = dy[start + i] * weight[i];
        let normal = (x[start + i] - mean) * inverse;
        dx[start + i] = (g - total - normal * along) * inverse;
        i += units;
    }
}

/// Partial sums over rows, `[blocks, 2, width]`: those of `dy · n` and of `dy`.
#[cube(launch)]
fn backward_columns(
    dy: &[f32],
    x: &[f32],
    statistics: &[f32],
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
        let mut dweight = 0.0f32;
        let mut dbias = 0.0f32;
        for row in first..end {
            let g = dy[row * width + column];
            dbias += g;
            dweight += g * (x[row * width + column] - statistics[2 * row]) * statistics[2 * row + 1];
        }
        let place = CUBE_POS_Y as usize * 2 * width + column;
        partial[place] = dweight;
        partial[place + width] = dbias;
    }
}

/// What the forward pass makes: the result, what was normalized, and its statistics.
struct Normalized {
    y: CubeTensor,
    sum: CubeTensor,
    statistics: CubeTensor,
}

fn normalize(
    x: &CubeTensor,
    residual: Option<&CubeTensor>,
    weight: &CubeTensor,
    bias: &CubeTensor,
    eps: f64,
) -> Normalized {
    let width = count(weight);
    let rows = count(x) / width;
    let shape = x.meta.shape().clone();
    let y = empty(x, shape.clone());
    let sum = match residual {
        Some(_) => empty(x, shape),
        None => x.clone(),
    };
    let statistics = empty(x, [rows, 2]);
    let (number, units) = cubes(x, rows);
    // Without a residual the kernel neither reads the second tensor nor writes the sixth.
    let unused = residual.unwrap_or(weight);
    let written = if residual.is_some() { &sum } else { &statistics };
    let [a, b, c, d, e, f, g] = [x, unused, weight, bias, &y, written, &statistics].map(arg);
    let units_of_cube = UNITS as usize;
    let adds = residual.is_some();
    forward::launch(
        &x.client,
        number,
        units,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        rows,
        width,
        eps as f32,
        adds,
        units_of_cube,
    );
    Normalized { y, sum, statistics }
}

/// [`crate::layer_norm`] on a GPU.
pub(crate) fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    let parts: [Part; 3] = [part(x), part(weight), part(bias)];
    let [x, weight, bias] = parts.each_ref().map(|part| &part.values);
    let Normalized { y, statistics, .. } = normalize(x, None, weight, bias, eps);
    graph::record(Node, parts, y, |[x, weight, _]| (x, weight, statistics))
}

/// [`crate::add_layer_norm`] on a GPU.
pub(crate) fn add_layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    let parts: [Part; 4] = [part(x), part(weight), part(bias), part(residual)];
    let [x, weight, bias, residual] = parts.each_ref().map(|part| &part.values);
    let Normalized { y, sum, statistics } = normalize(x, Some(residual), weight, bias, eps);
    graph::record(Node, parts, y, |[_, weight, _, _]| (sum, weight, statistics))
}

#[derive(Debug)]
struct Node;

/// Inputs: the normalized tensor, weight, bias and, fused, the residual, whose gradient is that of the first.
impl<const N: usize> Backward<Cube, N> for Node {
    type State = (CubeTensor, CubeTensor, CubeTensor);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, (x, weight, statistics), mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let width = count(&weight);
        let rows = count(&x) / width;
        if back.wants(0) || (N > 3 && back.wants(3)) {
            let dx = empty(&x, x.meta.shape().clone());
            let (number, units) = cubes(&x, rows);
            let [a, b, c, d, e] = [&dy, &x, &weight, &statistics, &dx].map(arg);
            backward_rows::launch(&x.client, number, units, a, b, c, d, e, rows, width, UNITS as usize);
            if N > 3 {
                back.give(3, dx.clone());
            }
            back.give(0, dx);
        }
        if back.wants(1) || back.wants(2) {
            let blocks = Blocks::of(rows);
            let partial = empty(&x, [blocks.number, 2, width]);
            let (number, units) = blocks.launch(width);
            let [a, b, c, d] = [&dy, &x, &statistics, &partial].map(arg);
            backward_columns::launch(&x.client, number, units, a, b, c, d, rows, width, blocks.rows);
            let [dweight, dbias] = columns::finish_pair(&partial, blocks, width);
            back.give(1, dweight);
            back.give(2, dbias);
        }
    }
}
