//! The affine map: the products are cubek's, the rest ours.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::product::Factors;
use super::{Back, Cube, Part, arg, columns, count, into_contiguous, part, reshaped, threads};
use crate::graph;

#[cube(launch)]
fn add_bias(y: &mut [f32], bias: &[f32], elements: usize, width: usize) {
    let i = ABSOLUTE_POS;
    if i < elements {
        y[i] += bias[i % width];
    }
}

/// [`crate::linear`] on a GPU.
pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [outer, inner] = weight.dims();
    let mut shape = x.dims();
    shape[D - 1] = outer;
    let inputs = x.dims().to_vec();
    let (mut x, weight) = (part(x), part(weight));
    let rows = count(&x.values) / inner;
    x.values = reshaped(x.values, [rows, inner]);
    let (factors, y) = Factors::multiply(x.values.clone(), weight.values.clone());
    let y = reshaped(y, shape);
    let Some(bias) = bias else {
        return graph::record(Node, [x, weight], y, |_| (factors, inputs));
    };
    let bias = part(bias);
    let elements = rows * outer;
    let (number, units) = threads(&y, elements);
    add_bias::launch(&y.client, number, units, arg(&y), arg(&bias.values), elements, outer);
    let parts: [Part; 3] = [x, weight, bias];
    graph::record(Node, parts, y, |_| (factors, inputs))
}

#[derive(Debug)]
struct Node;

/// `dX = dY·W`, `dW = dYᵀ·X`, `db = Σ rows of dY`; the bias is the third input where there is one.
impl<const N: usize> Backward<Cube, N> for Node {
    /// What was multiplied, and the shape of the input.
    type State = (Factors, Vec<usize>);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, (factors, inputs), mut back) = Back::on(ops, grads);
        let [rows, _, outer] = factors.sizes();
        let dy = reshaped(into_contiguous(dy), [rows, outer]);
        if N > 2 && back.wants(2) {
            back.give(2, columns::sum(&dy, outer));
        }
        factors.give(&mut back, dy, &inputs);
    }
}
