//! Root-mean-square normalization.

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
    kernels::rms,
    simd::filled,
};

/// `y = x / √(mean(x²) + eps) · weight` over the last dimension (Zhang & Sennrich, arXiv:1910.07467).
///
/// # Shapes
/// `x [.., n]`, `weight [n]`; the result has the shape of `x`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Tensor<D> {
    let [width] = weight.dims();
    assert!(
        width > 0 && x.dims().last() == Some(&width),
        "RMS norm needs x [.., n] and weight [n], found {:?} and {:?}",
        x.dims(),
        weight.dims()
    );
    #[cfg(feature = "cube")]
    if cube::is_native(&x) && cube::is_native(&weight) {
        return cube::rms_norm::rms_norm(x, weight, eps);
    }
    if !(graph::is_fast(&x) && graph::is_fast(&weight)) {
        return composed::rms_norm(x, weight, eps);
    }
    let (mut x, mut weight) = (Part::new(x), Part::new(weight));
    for part in [&mut x, &mut weight] {
        part.values = graph::contiguous(part.values.clone());
    }
    let [xs, ws] = [&x, &weight].map(|part| graph::slice(&part.values));
    let mut inverses = Vec::new();
    let y = filled(xs.len(), |y| inverses = rms::forward(xs, ws, eps as f32, y));
    let y = graph::tensor(y, x.values.layout().shape().clone());
    graph::record(Node, [x, weight], y, |[x, weight]| (x, weight, inverses))
}

#[derive(Debug)]
struct Node;

impl Backward<Flex, 2> for Node {
    type State = (FlexTensor, FlexTensor, Vec<f32>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, (x, weight, inverses), mut back) = Back::open(ops, grads, check);
        let dy = graph::contiguous(dy);
        let [dys, xs, ws] = [&dy, &x, &weight].map(graph::slice);
        let [dx, dweight] = rms::backward(dys, xs, &inverses, ws);
        back.give(0, graph::tensor(dx, x.layout().shape().clone()));
        back.give(1, graph::tensor(dweight, [ws.len()]));
    }
}
