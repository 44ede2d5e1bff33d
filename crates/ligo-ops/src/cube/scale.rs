//! The end of a branch with LayerScale.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::branch::{back_through_product, multiplied};
use super::columns::{self, Blocks};
use super::dropout::{Mask, factor};
use super::{Back, Cube, CubeTensor, Part, arg, count, dims, empty, into_contiguous, part, threads};
use crate::{Dropout, graph};

/// `x += bias`, in place, and `y = residual + mask ∘ gamma ∘ x`.
#[cube(launch)]
fn forward(
    x: &mut [f32],
    bias: &[f32],
    gamma: &[f32],
    residual: &[f32],
    y: &mut [f32],
    elements: usize,
    width: usize,
    mask: Mask,
) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let column = i % width;
        let value = x[i] + bias[column];
        x[i] = value;
        y[i] = residual[i] + gamma[column] * value * factor(&mask, i);
    }
}

/// `dx = gamma ∘ mask ∘ dy`, and partial sums over rows, `[blocks, 2, width]`: of `dx` and of `mask ∘ dy ∘ x`.
#[cube(launch)]
fn backward(
    x: &[f32],
    gamma: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    partial: &mut [f32],
    rows: usize,
    width: usize,
    block: usize,
    mask: Mask,
) {
    let column = ABSOLUTE_POS_X as usize;
    if column < width {
        let first = CUBE_POS_Y as usize * block;
        let mut end = first + block;
        if end > rows {
            end = rows;
        }
        let mut dbias = 0.0f32;
        let mut dgamma = 0.0f32;
        for row in first..end {
            let place = row * width + column;
            let g = dy[place] * factor(&mask, place);
            let value = g * gamma[column];
            dx[place] = value;
            dbias += value;
            dgamma += g * x[place];
        }
        let place = CUBE_POS_Y as usize * 2 * width + column;
        partial[place] = dbias;
        partial[place + width] = dgamma;
    }
}

/// [`crate::linear_scale_add`] on a GPU.
pub(crate) fn linear_scale_add<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    gamma: Tensor<1>,
    drop: Option<Dropout>,
    residual: Tensor<D>,
) -> Tensor<D> {
    let inputs = x.dims().to_vec();
    let shape = residual.dims();
    let (weight, residual) = (part(weight), part(residual));
    let [bias, gamma] = [bias, gamma].map(part);
    let (x, product) = multiplied(x, &weight.values);
    let [_, outer] = dims(&product);
    let elements = count(&product);
    assert_eq!(elements, count(&residual.values), "a residual of the branch's shape");
    let y = empty(&product, shape);
    let (number, units) = threads(&y, elements);
    let [a, b, c, d, e] = [&product, &bias.values, &gamma.values, &residual.values, &y].map(arg);
    forward::launch(&y.client, number, units, a, b, c, d, e, elements, outer, Mask::of(drop));
    let parts: [Part; 5] = [x, weight, residual, bias, gamma];
    graph::record(Node, parts, y, |[x, weight, _, _, gamma]| State {
        x,
        weight,
        gamma,
        product,
        drop,
        inputs,
    })
}

#[derive(Debug)]
struct Node;

#[derive(Clone, Debug)]
struct State {
    x: CubeTensor,
    weight: CubeTensor,
    gamma: CubeTensor,
    /// `x·Wᵀ + b`, `[rows, out]`.
    product: CubeTensor,
    drop: Option<Dropout>,
    inputs: Vec<usize>,
}

/// Inputs: `x`, weight, residual, bias, gamma.
impl Backward<Cube, 5> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, state, mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let [rows, outer] = dims(&state.product);
        let dx = empty(&dy, [rows, outer]);
        let blocks = Blocks::of(rows);
        let partial = empty(&dy, [blocks.number, 2, outer]);
        let (number, units) = blocks.launch(outer);
        let [a, b, c, d, e] = [&state.product, &state.gamma, &dy, &dx, &partial].map(arg);
        let mask = Mask::of(state.drop);
        backward::launch(&dy.client, number, units, a, b, c, d, e, rows, outer, blocks.rows, mask);
        back.give(2, dy);
        for (index, grad) in columns::finish(&partial, blocks, outer, 2).into_iter().enumerate() {
            back.give(3 + index, grad);
        }
        back_through_product(&mut back, &dx, state.x, state.weight, state.inputs);
    }
}
