//! The affine map.

use burn::backend::{
    Flex,
    autodiff::{
        checkpoint::base::Checkpointer,
        grads::Gradients,
        ops::{Backward, Ops},
    },
};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

#[cfg(feature = "cube")]
use crate::cube;
use crate::{
    composed,
    graph::{self, Back, Part},
    kernels::rows,
    simd::{Matrix, product},
};

/// `y = x·Wᵀ + b`, with the weight as PyTorch and Hugging Face store it.
///
/// # Shapes
/// `x [.., in]`, `weight [out, in]`, `bias [out]`; the result is `[.., out]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [outer, inner] = weight.dims();
    assert!(
        D > 0 && x.dims()[D - 1] == inner,
        "linear needs x [.., {inner}] for a weight [{outer}, {inner}], found {:?}",
        x.dims()
    );
    #[cfg(feature = "cube")]
    if cube::is_native(&x) && cube::is_native(&weight) && bias.as_ref().is_none_or(cube::is_native) {
        return cube::linear::linear(x, weight, bias);
    }
    let fast = graph::is_fast(&x) && graph::is_fast(&weight) && bias.as_ref().is_none_or(graph::is_fast);
    if !fast {
        return composed::linear(x, weight, bias);
    }
    let mut shape = x.dims();
    shape[D - 1] = outer;
    let count = shape[..D - 1].iter().product();
    let (x, weight) = (part(x), part(weight));
    let bias = bias.map(part);
    let y = product(
        [count, outer, inner],
        Matrix::new(graph::slice(&x.values), inner),
        Matrix::new(graph::slice(&weight.values), inner).t(),
        bias.as_ref().map(|bias| graph::slice(&bias.values)),
    );
    let y = graph::tensor(y, shape);
    match bias {
        Some(bias) => graph::record(Node, [x, weight, bias], y, |[x, weight, _]| (x, weight)),
        None => graph::record(Node, [x, weight], y, |[x, weight]| (x, weight)),
    }
}

fn part<const D: usize>(x: Tensor<D>) -> Part<Flex> {
    let mut part = Part::new(x);
    part.values = graph::contiguous(part.values);
    part
}

#[derive(Debug)]
struct Node;

/// `dX = dY·W`, `dW = dYᵀ·X`, `db = Σ rows of dY`; the bias is the third input where there is one.
impl<const N: usize> Backward<Flex, N> for Node {
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, (x, weight), mut back) = Back::open(ops, grads, check);
        let dy = graph::contiguous(dy);
        let dy = graph::slice(&dy);
        let [outer, inner] = weight.layout().shape().dims();
        let count = x.layout().num_elements() / inner.max(1);
        if back.wants(0) {
            let weight = Matrix::new(graph::slice(&weight), inner);
            let dx = product([count, inner, outer], Matrix::new(dy, outer), weight, None);
            back.give(0, graph::tensor(dx, x.layout().shape().clone()));
        }
        if back.wants(1) {
            let x = Matrix::new(graph::slice(&x), inner);
            let dw = product([outer, inner, count], Matrix::new(dy, outer).t(), x, None);
            back.give(1, graph::tensor(dw, [outer, inner]));
        }
        if N > 2 && back.wants(2) {
            back.give(2, graph::tensor(rows::sum(dy, outer), [outer]));
        }
    }
}
