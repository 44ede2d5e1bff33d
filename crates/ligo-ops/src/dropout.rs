//! Dropout whose mask is a pure function of a seed and the element's index.

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
    Dropout, composed,
    graph::{self, Back, Part},
    kernels::activation,
    simd::filled,
};

/// `y = x ∘ mask / (1 - p)`; `None` or probability 0 returns `x` unchanged.
///
/// Srivastava et al., "Dropout" (JMLR 2014), in the inverted form of PyTorch.
///
/// # Shapes
/// `x` and the result have the same shape.
pub fn dropout<const D: usize>(x: Tensor<D>, dropout: Option<Dropout>) -> Tensor<D> {
    match dropout {
        Some(dropout) if dropout.probability > 0.0 => apply(x, dropout),
        _ => x,
    }
}

fn apply<const D: usize>(x: Tensor<D>, dropout: Dropout) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if cube::is_native(&x) {
        return cube::dropout::dropout(x, dropout);
    }
    if !graph::is_fast(&x) {
        return composed::dropout(x, &dropout);
    }
    let part = Part::new(x);
    let y = masked(part.values.clone(), &dropout);
    graph::record(Node, [part], y, |_| dropout)
}

fn masked(x: FlexTensor, dropout: &Dropout) -> FlexTensor {
    let shape = x.layout().shape().clone();
    let x = graph::contiguous(x);
    let x = graph::slice(&x);
    graph::tensor(filled(x.len(), |y| activation::dropout(x, y, dropout)), shape)
}

#[derive(Debug)]
struct Node;

impl Backward<Flex, 1> for Node {
    type State = Dropout;

    fn backward(self, ops: Ops<Dropout, 1>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, dropout, mut back) = Back::open(ops, grads, check);
        back.give(0, masked(dy, &dropout));
    }
}
