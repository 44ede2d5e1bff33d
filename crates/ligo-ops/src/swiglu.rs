//! The gated unit of a SwiGLU feed-forward network.

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
    kernels::swiglu as kernel,
    simd::filled,
};

/// `silu(gate) · up` of every element, with `silu(x) = x / (1 + e⁻ˣ)` (Shazeer, arXiv:2002.05202).
///
/// # Shapes
/// `gate`, `up` and the result have the same shape.
///
/// # Panics
/// When the shapes differ.
pub fn swiglu<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    assert!(
        gate.dims() == up.dims(),
        "SwiGLU needs two tensors of one shape, found {:?} and {:?}",
        gate.dims(),
        up.dims()
    );
    #[cfg(feature = "cube")]
    if cube::is_native(&gate) && cube::is_native(&up) {
        return cube::activation::swiglu(gate, up);
    }
    if !(graph::is_fast(&gate) && graph::is_fast(&up)) {
        return composed::swiglu(gate, up);
    }
    let parts = [gate, up].map(|x| {
        let mut part = Part::new(x);
        part.values = graph::contiguous(part.values);
        part
    });
    let [gates, ups] = parts.each_ref().map(|part| graph::slice(&part.values));
    let y = filled(gates.len(), |y| kernel::forward(gates, ups, y));
    let y = graph::tensor(y, parts[0].values.layout().shape().clone());
    graph::record(Node, parts, y, |parts| parts)
}

#[derive(Debug)]
struct Node;

impl Backward<Flex, 2> for Node {
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, [gate, up], mut back) = Back::open(ops, grads, check);
        let dy = graph::contiguous(dy);
        let [gates, ups, dys] = [&gate, &up, &dy].map(graph::slice);
        let shape = gate.layout().shape().clone();
        for (index, grad) in kernel::backward(gates, ups, dys).into_iter().enumerate() {
            back.give(index, graph::tensor(grad, shape.clone()));
        }
    }
}
