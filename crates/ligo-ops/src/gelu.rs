//! GELU, exact and approximated.

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
    GeluKind, composed,
    graph::{self, Back, Part},
    kernels::activation,
    simd::filled,
};

/// Gaussian error linear unit of every element (Hendrycks & Gimpel, arXiv:1606.08415).
///
/// # Shapes
/// `x` and the result have the same shape.
pub fn gelu<const D: usize>(x: Tensor<D>, kind: GeluKind) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if cube::is_native(&x) {
        return cube::activation::gelu(x, kind);
    }
    if !graph::is_fast(&x) {
        return composed::gelu(x, kind);
    }
    let mut part = Part::new(x);
    part.values = graph::contiguous(part.values);
    let x = graph::slice(&part.values);
    let y = filled(x.len(), |y| activation::gelu(x, y, kind));
    let y = graph::tensor(y, part.values.layout().shape().clone());
    graph::record(Node, [part], y, |[x]| (x, kind))
}

#[derive(Debug)]
struct Node;

impl Backward<Flex, 1> for Node {
    type State = (FlexTensor, GeluKind);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, (x, kind), mut back) = Back::open(ops, grads, check);
        let dy = graph::contiguous(dy);
        let shape = x.layout().shape().clone();
        let (x, dy) = (graph::slice(&x), graph::slice(&dy));
        let dx = filled(x.len(), |dx| activation::gelu_backward(x, dy, dx, kind));
        back.give(0, graph::tensor(dx, shape));
    }
}
