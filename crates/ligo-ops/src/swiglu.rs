//! The gated unit of a SwiGLU or a GeGLU feed-forward network.

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
    kernels::swiglu::{self as kernel, Gate},
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
    gated(gate, up, Gate::Silu)
}

/// `gelu(gate) · up` of every element, by the formula of [`GeluKind::Tanh`](crate::GeluKind::Tanh) (Shazeer, arXiv:2002.05202).
///
/// # Shapes
/// `gate`, `up` and the result have the same shape.
///
/// # Panics
/// When the shapes differ.
pub fn geglu<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    gated(gate, up, Gate::Gelu)
}

fn gated<const D: usize>(gate: Tensor<D>, up: Tensor<D>, kind: Gate) -> Tensor<D> {
    assert!(
        gate.dims() == up.dims(),
        "a gated unit needs two tensors of one shape, found {:?} and {:?}",
        gate.dims(),
        up.dims()
    );
    #[cfg(feature = "cube")]
    if cube::is_native(&gate) && cube::is_native(&up) {
        return cube::activation::gated(gate, up, kind);
    }
    if !(graph::is_fast(&gate) && graph::is_fast(&up)) {
        return composed::gated(gate, up, kind);
    }
    let parts = [gate, up].map(|x| {
        let mut part = Part::new(x);
        part.values = graph::contiguous(part.values);
        part
    });
    let [gates, ups] = parts.each_ref().map(|part| graph::slice(&part.values));
    let y = filled(gates.len(), |y| kernel::forward(gates, ups, y, kind));
    let y = graph::tensor(y, parts[0].values.layout().shape().clone());
    graph::record(Node, parts, y, |parts| (parts, kind))
}

#[derive(Debug)]
struct Node;

impl Backward<Flex, 2> for Node {
    type State = ([FlexTensor; 2], Gate);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, ([gate, up], kind), mut back) = Back::open(ops, grads, check);
        let dy = graph::contiguous(dy);
        let [gates, ups, dys] = [&gate, &up, &dy].map(graph::slice);
        let shape = gate.layout().shape().clone();
        for (index, grad) in kernel::backward(gates, ups, dys, kind).into_iter().enumerate() {
            back.give(index, graph::tensor(grad, shape.clone()));
        }
    }
}
