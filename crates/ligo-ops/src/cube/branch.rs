//! Linear layers together with what surrounds them: one launch behind the product, and as few as possible back.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::activation::{gelu_of, gelu_slope};
use super::columns::Blocks;
use super::dropout::{Mask, apply, factor};
use super::layer_norm::{Branch, Derived, Saved, derive, normalize};
use super::linear::{product, transposed};
use super::{Back, Cube, CubeTensor, Part, arg, columns, count, dims, empty, into_contiguous, part, reshaped, threads};
use crate::branch::{Dense, Norm};
use crate::{Dropout, GeluKind, graph};

/// `x` as a matrix, and the product with the weight's transpose, `[rows, out]`.
pub(super) fn multiplied<const D: usize>(x: Tensor<D>, weight: &CubeTensor) -> (Part, CubeTensor) {
    let [_, inner] = dims(weight);
    let mut x = part(x);
    let rows = count(&x.values) / inner;
    x.values = reshaped(x.values, [rows, inner]);
    let y = product(x.values.clone(), transposed(weight));
    (x, y)
}

/// The gradients of `x` and the weight, given that of their product.
pub(super) fn back_through_product<const N: usize>(
    back: &mut Back<'_, N>,
    dy: &CubeTensor,
    x: CubeTensor,
    weight: CubeTensor,
    shape: impl Into<burn::tensor::Shape>,
) {
    if back.wants(0) {
        back.give(0, reshaped(product(dy.clone(), weight), shape));
    }
    if back.wants(1) {
        back.give(1, product(transposed(dy), x));
    }
}

#[cube(launch)]
fn bias_gelu(x: &mut [f32], bias: &[f32], y: &mut [f32], elements: usize, width: usize, #[comptime] erf: bool) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let value = x[i] + bias[i % width];
        x[i] = value;
        y[i] = gelu_of(value, erf);
    }
}

/// `dx = dy · gelu'(x)`, and its partial sums over rows.
#[cube(launch)]
fn bias_gelu_backward(
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    partial: &mut [f32],
    rows: usize,
    width: usize,
    block: usize,
    #[comptime] erf: bool,
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
            let place = row * width + column;
            let value = dy[place] * gelu_slope(x[place], erf);
            dx[place] = value;
            total += value;
        }
        partial[CUBE_POS_Y as usize * width + column] = total;
    }
}

/// [`crate::linear_gelu`] on a GPU.
pub(crate) fn linear_gelu<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    kind: GeluKind,
) -> Tensor<D> {
    let mut shape = x.dims();
    let inputs = shape.to_vec();
    let (weight, bias) = (part(weight), part(bias));
    let (x, before) = multiplied(x, &weight.values);
    let [_, outer] = dims(&before);
    shape[D - 1] = outer;
    let y = empty(&before, shape);
    let elements = count(&y);
    let (number, units) = threads(&y, elements);
    let [a, b, c] = [&before, &bias.values, &y].map(arg);
    let erf = kind == GeluKind::Erf;
    bias_gelu::launch(&y.client, number, units, a, b, c, elements, outer, erf);
    let parts: [Part; 3] = [x, weight, bias];
    graph::record(Activated, parts, y, |[x, weight, _]| ActivatedState {
        x,
        weight,
        before,
        kind,
        inputs,
    })
}

#[derive(Debug)]
struct Activated;

#[derive(Clone, Debug)]
struct ActivatedState {
    x: CubeTensor,
    weight: CubeTensor,
    /// What the activation reads, `[rows, out]`.
    before: CubeTensor,
    kind: GeluKind,
    inputs: Vec<usize>,
}

impl Backward<Cube, 3> for Activated {
    type State = ActivatedState;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, state, mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let [rows, outer] = dims(&state.before);
        let dx = empty(&dy, [rows, outer]);
        let blocks = Blocks::of(rows);
        let partial = empty(&dy, [blocks.number, outer]);
        let (number, units) = blocks.launch(outer);
        let [a, b, c, d] = [&state.before, &dy, &dx, &partial].map(arg);
        let erf = state.kind == GeluKind::Erf;
        bias_gelu_backward::launch(&dy.client, number, units, a, b, c, d, rows, outer, blocks.rows, erf);
        if back.wants(2) {
            back.give(2, columns::finish_one(&partial, blocks, outer));
        }
        back_through_product(&mut back, &dx, state.x, state.weight, state.inputs);
    }
}

/// `y = residual + mask ∘ (y + bias)`, in place.
#[cube(launch)]
fn add_branch(
    y: &mut [f32],
    bias: &[f32],
    residual: &[f32],
    elements: usize,
    width: usize,
    mask: Mask,
    #[comptime] has_bias: bool,
) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let mut value = y[i];
        if comptime![has_bias] {
            value += bias[i % width];
        }
        y[i] = residual[i] + value * factor(&mask, i);
    }
}

/// [`crate::linear_add`] on a GPU.
pub(crate) fn linear_add<const D: usize>(
    x: Tensor<D>,
    dense: Dense,
    drop: Option<Dropout>,
    residual: Tensor<D>,
) -> Tensor<D> {
    let inputs = x.dims().to_vec();
    let shape = residual.dims();
    let (weight, residual) = (part(dense.weight), part(residual));
    let bias = dense.bias.map(part);
    let (x, y) = multiplied(x, &weight.values);
    let [_, outer] = dims(&y);
    let elements = count(&y);
    assert_eq!(elements, count(&residual.values), "a residual of the branch's shape");
    let (number, units) = threads(&y, elements);
    let added = bias.as_ref().map_or(&residual.values, |bias| &bias.values);
    let [a, b, c] = [&y, added, &residual.values].map(arg);
    let mask = Mask::of(drop);
    add_branch::launch(&y.client, number, units, a, b, c, elements, outer, mask, bias.is_some());
    let y = reshaped(y, shape);
    let drop = drop.filter(|drop| drop.probability > 0.0);
    let state = |x, weight| AddedState {
        x,
        weight,
        drop,
        inputs,
    };
    match bias {
        Some(bias) => graph::record(Added, [x, weight, residual, bias], y, |[x, weight, _, _]| {
            state(x, weight)
        }),
        None => graph::record(Added, [x, weight, residual], y, |[x, weight, _]| state(x, weight)),
    }
}

#[derive(Debug)]
struct Added;

#[derive(Clone, Debug)]
struct AddedState {
    x: CubeTensor,
    weight: CubeTensor,
    drop: Option<Dropout>,
    inputs: Vec<usize>,
}

/// Inputs: `x`, weight, residual and, where there is one, the bias.
impl<const N: usize> Backward<Cube, N> for Added {
    type State = AddedState;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, state, mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let [outer, _] = dims(&state.weight);
        let rows = count(&dy) / outer;
        let dx = match state.drop {
            Some(drop) => apply(&dy, drop),
            None => dy.clone(),
        };
        back.give(2, dy);
        let dx = reshaped(dx, [rows, outer]);
        if N > 3 && back.wants(3) {
            back.give(3, columns::sum(&dx, outer));
        }
        back_through_product(&mut back, &dx, state.x, state.weight, state.inputs);
    }
}

/// [`crate::linear_add_norm`] on a GPU.
pub(crate) fn linear_add_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    drop: Option<Dropout>,
    residual: Tensor<D>,
    norm: Norm,
) -> Tensor<D> {
    let inputs = x.dims().to_vec();
    let (weight, residual) = (part(weight), part(residual));
    let [gain, shift, bias] = [norm.weight, norm.bias, bias].map(part);
    let (x, y) = multiplied(x, &weight.values);
    let y = reshaped(y, residual.values.meta.shape().clone());
    let branch = Branch {
        x: &y,
        dense: Some(&bias.values),
        dropout: drop.filter(|drop| drop.probability > 0.0),
        residual: Some(&residual.values),
    };
    let (y, saved) = normalize(&branch, [&gain.values, &shift.values], norm.eps, None);
    let parts: [Part; 6] = [x, weight, residual, gain, shift, bias];
    graph::record(Normalized, parts, y, |[x, weight, ..]| NormalizedState {
        x,
        weight,
        saved,
        inputs,
    })
}

#[derive(Debug)]
struct Normalized;

#[derive(Clone, Debug)]
struct NormalizedState {
    x: CubeTensor,
    weight: CubeTensor,
    saved: Saved,
    inputs: Vec<usize>,
}

/// Inputs: `x`, weight, residual, then the norm's weight and bias, and the dense bias.
impl Backward<Cube, 6> for Normalized {
    type State = NormalizedState;

    fn backward(self, ops: Ops<Self::State, 6>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, state, mut back) = Back::on(ops, grads);
        let Derived { dsum, dx, dparams } = derive(&into_contiguous(dy), &state.saved);
        back.give(2, dsum);
        for (index, grad) in dparams.into_iter().enumerate() {
            back.give(3 + index, grad);
        }
        let [outer, _] = dims(&state.weight);
        let rows = count(&dx) / outer;
        let dx = reshaped(dx, [rows, outer]);
        back_through_product(&mut back, &dx, state.x, state.weight, state.inputs);
    }
}
