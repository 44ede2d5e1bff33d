//! The affine map: the products are cubek's, the rest ours.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::{DType, Tensor};
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use cubecl::prelude::*;

use super::{Back, Cube, CubeTensor, Part, arg, columns, count, dims, empty, into_contiguous, part, reshaped, threads};
use crate::graph;

#[cube(launch)]
fn add_bias(y: &mut [f32], bias: &[f32], elements: usize, width: usize) {
    let i = ABSOLUTE_POS;
    if i < elements {
        y[i] += bias[i % width];
    }
}

/// The matrix with rows and columns exchanged; nothing is moved.
pub(crate) fn transposed(x: &CubeTensor) -> CubeTensor {
    let mut x = x.clone();
    x.meta.swap(0, 1);
    x
}

/// The matrix product of `[m, k]` and `[k, n]`, either of which may be [`transposed`].
pub(crate) fn product(lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
    let ([m, _], [_, n]) = (dims(&lhs), dims(&rhs));
    let out = empty(&lhs, [m, n]);
    match matmul(lhs, rhs, Some(out), MatmulStrategy::default(), DType::F32) {
        Ok(out) => out,
        Err(fault) => panic!("no kernel for a product [{m}, ..] x [.., {n}] on this device: {fault:?}"),
    }
}

/// [`crate::linear`] on a GPU.
pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [outer, inner] = weight.dims();
    let mut shape = x.dims();
    shape[D - 1] = outer;
    let (mut x, weight) = (part(x), part(weight));
    let rows = count(&x.values) / inner;
    x.values = reshaped(x.values, [rows, inner]);
    let y = product(x.values.clone(), transposed(&weight.values));
    let y = reshaped(y, shape);
    let Some(bias) = bias else {
        return graph::record(Node, [x, weight], y, |[x, weight]| (x, weight));
    };
    let bias = part(bias);
    let elements = rows * outer;
    let (number, units) = threads(&y, elements);
    add_bias::launch(&y.client, number, units, arg(&y), arg(&bias.values), elements, outer);
    let parts: [Part; 3] = [x, weight, bias];
    graph::record(Node, parts, y, |[x, weight, _]| (x, weight))
}

#[derive(Debug)]
struct Node;

/// `dX = dY·W`, `dW = dYᵀ·X`, `db = Σ rows of dY`; the bias is the third input where there is one.
impl<const N: usize> Backward<Cube, N> for Node {
    type State = (CubeTensor, CubeTensor);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, (x, weight), mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let mut shape = dy.meta.shape().clone();
        let [outer, inner] = dims(&weight);
        let [rows, _] = dims(&x);
        let dy = reshaped(dy, [rows, outer]);
        if back.wants(0) {
            let last = shape.num_dims() - 1;
            shape[last] = inner;
            let dx = product(dy.clone(), weight);
            back.give(0, reshaped(dx, shape));
        }
        if back.wants(1) {
            back.give(1, product(transposed(&dy), x));
        }
        if N > 2 && back.wants(2) {
            back.give(2, columns::sum(&dy, outer));
        }
    }
}
