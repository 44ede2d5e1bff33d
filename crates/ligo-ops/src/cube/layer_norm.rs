//! Layer normalization, alone or behind what a residual branch ends with: one cube a row.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::columns::Blocks;
use super::dropout::{Mask, factor};
use super::sums::cube_sum;
use super::{Back, Cube, CubeTensor, Part, UNITS, arg, columns, count, cubes, empty, into_contiguous, part};
use crate::{Dropout, graph};

/// `y = mask₂ ∘ LayerNorm(residual + mask₁ ∘ (x + dense))`; `dense [width]` is the bias of the product `x`.
///
/// `sum` gets what is normalized where that is not `x` itself; `statistics [rows, 2]` mean and one over the standard deviation of each row.
#[cube(launch)]
fn forward(
    x: &[f32],
    residual: &[f32],
    dense: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    sum: &mut [f32],
    statistics: &mut [f32],
    rows: usize,
    width: usize,
    eps: f32,
    inner: Mask,
    outer: Mask,
    #[comptime] adds: bool,
    #[comptime] has_dense: bool,
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
        if comptime![has_dense] {
            value += dense[i];
        }
        value *= factor(&inner, start + i);
        if comptime![adds] {
            value += residual[start + i];
        }
        if comptime![adds || has_dense] {
            sum[start + i] = value;
        }
        total += value;
        i += units;
    }
    let mean = cube_sum(total, &mut scratch) / f32::cast_from(width);
    let mut squares = 0.0f32;
    i = UNIT_POS as usize;
    while i < width {
        let mut centered = x[start + i] - mean;
        if comptime![adds || has_dense] {
            centered = sum[start + i] - mean;
        }
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
        if comptime![adds || has_dense] {
            value = sum[start + i];
        }
        value = (value - mean) * inverse * weight[i] + bias[i];
        y[start + i] = value * factor(&outer, start + i);
        i += units;
    }
}

/// `dsum = (g - mean(g) - n · mean(g · n)) / σ` with `g = mask₂ ∘ dy · weight` and the normalized `n`; `dx = mask₁ ∘ dsum` where that is another.
#[cube(launch)]
fn backward_rows(
    dy: &[f32],
    sum: &[f32],
    weight: &[f32],
    statistics: &[f32],
    dsum: &mut [f32],
    dx: &mut [f32],
    rows: usize,
    width: usize,
    inner: Mask,
    outer: Mask,
    #[comptime] splits: bool,
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
        let g = dy[start + i] * factor(&outer, start + i) * weight[i];
        total += g;
        along += g * (sum[start + i] - mean) * inverse;
        i += units;
    }
    let total = cube_sum(total, &mut scratch) / f32::cast_from(width);
    let along = cube_sum(along, &mut scratch) / f32::cast_from(width);
    i = UNIT_POS as usize;
    while i < width {
        let g = dy[start + i] * factor(&outer, start + i) * weight[i];
        let normal = (sum[start + i] - mean) * inverse;
        let value = (g - total - normal * along) * inverse;
        dsum[start + i] = value;
        if comptime![splits] {
            dx[start + i] = value * factor(&inner, start + i);
        }
        i += units;
    }
}

/// Partial sums over rows, `[blocks, 2 or 3, width]`: those of `dy · n`, of `dy` and, with `has_dense`, of `dx`.
#[cube(launch)]
fn backward_columns(
    dy: &[f32],
    sum: &[f32],
    statistics: &[f32],
    dx: &[f32],
    partial: &mut [f32],
    rows: usize,
    width: usize,
    block: usize,
    outer: Mask,
    #[comptime] has_dense: bool,
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
        let mut ddense = 0.0f32;
        for row in first..end {
            let place = row * width + column;
            let g = dy[place] * factor(&outer, place);
            dbias += g;
            dweight += g * (sum[place] - statistics[2 * row]) * statistics[2 * row + 1];
            if comptime![has_dense] {
                ddense += dx[place];
            }
        }
        let quantities = comptime![if has_dense { 3usize } else { 2usize }];
        let place = CUBE_POS_Y as usize * quantities * width + column;
        partial[place] = dweight;
        partial[place + width] = dbias;
        if comptime![has_dense] {
            partial[place + 2 * width] = ddense;
        }
    }
}

/// What is normalized: `residual + mask ∘ (x + dense)`.
pub(super) struct Branch<'a> {
    pub(super) x: &'a CubeTensor,
    pub(super) dense: Option<&'a CubeTensor>,
    pub(super) dropout: Option<Dropout>,
    pub(super) residual: Option<&'a CubeTensor>,
}

/// What a backward pass needs of the forward pass.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    sum: CubeTensor,
    statistics: CubeTensor,
    weight: CubeTensor,
    inner: Option<Dropout>,
    outer: Option<Dropout>,
    has_dense: bool,
}

pub(super) fn normalize(
    branch: &Branch<'_>,
    [weight, bias]: [&CubeTensor; 2],
    eps: f64,
    outer: Option<Dropout>,
) -> (CubeTensor, Saved) {
    let x = branch.x;
    let width = count(weight);
    let rows = count(x) / width;
    let shape = x.meta.shape().clone();
    let y = empty(x, shape.clone());
    let statistics = empty(x, [rows, 2]);
    let is_sum = branch.residual.is_some() || branch.dense.is_some();
    let sum = if is_sum { empty(x, shape) } else { x.clone() };
    let (number, units) = cubes(x, rows);
    // What is not there is neither read nor written; some buffer has to stand in its place.
    let residual = branch.residual.unwrap_or(weight);
    let dense = branch.dense.unwrap_or(weight);
    let written = if is_sum { &sum } else { &statistics };
    let [a, b, c, d, e, f, g, h] = [x, residual, dense, weight, bias, &y, written, &statistics].map(arg);
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
        h,
        rows,
        width,
        eps as f32,
        Mask::of(branch.dropout),
        Mask::of(outer),
        branch.residual.is_some(),
        branch.dense.is_some(),
        UNITS as usize,
    );
    let saved = Saved {
        sum,
        statistics,
        weight: weight.clone(),
        inner: branch.dropout,
        outer,
        has_dense: branch.dense.is_some(),
    };
    (y, saved)
}

/// Gradients: of the residual, of what was added to it, and of weight, bias and, where there is one, the dense bias.
pub(super) struct Derived {
    pub(super) dsum: CubeTensor,
    pub(super) dx: CubeTensor,
    pub(super) dparams: Vec<CubeTensor>,
}

pub(super) fn derive(dy: &CubeTensor, saved: &Saved) -> Derived {
    let Saved {
        sum,
        statistics,
        weight,
        inner,
        outer,
        has_dense,
    } = saved;
    let width = count(weight);
    let rows = count(sum) / width;
    let shape = sum.meta.shape().clone();
    let dsum = empty(sum, shape.clone());
    let splits = inner.is_some();
    let dx = if splits { empty(sum, shape) } else { dsum.clone() };
    let (number, units) = cubes(sum, rows);
    // Without dropout the two gradients are one, and the kernel writes one.
    let second = if splits { &dx } else { statistics };
    let [a, b, c, d, e, f] = [dy, sum, weight, statistics, &dsum, second].map(arg);
    backward_rows::launch(
        &sum.client,
        number,
        units,
        a,
        b,
        c,
        d,
        e,
        f,
        rows,
        width,
        Mask::of(*inner),
        Mask::of(*outer),
        splits,
        UNITS as usize,
    );
    let blocks = Blocks::of(rows);
    let quantities = if *has_dense { 3 } else { 2 };
    let partial = empty(sum, [blocks.number, quantities, width]);
    let (number, units) = blocks.launch(width);
    let [a, b, c, d, e] = [dy, sum, statistics, &dx, &partial].map(arg);
    let outer = Mask::of(*outer);
    backward_columns::launch(
        &sum.client,
        number,
        units,
        a,
        b,
        c,
        d,
        e,
        rows,
        width,
        blocks.rows,
        outer,
        *has_dense,
    );
    let dparams = columns::finish(&partial, blocks, width, quantities);
    Derived { dsum, dx, dparams }
}

/// [`crate::layer_norm`] on a GPU, with dropout of the result.
pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<D> {
    let parts: [Part; 3] = [part(x), part(weight), part(bias)];
    let [x, weight, bias] = parts.each_ref().map(|part| &part.values);
    let branch = Branch {
        x,
        dense: None,
        dropout: None,
        residual: None,
    };
    let (y, saved) = normalize(&branch, [weight, bias], eps, dropout);
    graph::record(Node, parts, y, |_| saved)
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
    let branch = Branch {
        x,
        dense: None,
        dropout: None,
        residual: Some(residual),
    };
    let (y, saved) = normalize(&branch, [weight, bias], eps, None);
    graph::record(Node, parts, y, |_| saved)
}

#[derive(Debug)]
struct Node;

/// Inputs: the normalized tensor, weight, bias and, fused, the residual, whose gradient is that of the first.
impl<const N: usize> Backward<Cube, N> for Node {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, saved, mut back) = Back::on(ops, grads);
        let Derived { dsum, dx, dparams } = derive(&into_contiguous(dy), &saved);
        if N > 3 {
            back.give(3, dsum);
        }
        back.give(0, dx);
        for (index, grad) in dparams.into_iter().enumerate() {
            back.give(1 + index, grad);
        }
    }
}
