//! Rotary position embedding.

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
    RotaryAngles, composed,
    graph::{self, Back, Part},
    kernels::rotary::{self as kernel, Angles},
    simd::filled,
};

/// Turns elements `i` and `i + r` of every head of width `head` by the angle of its position, for the `r` angles of a position (Su et al.,
/// arXiv:2104.09864; the two halves as `transformers` lays them out). Elements from `2r` on stay: ordinarily there are none.
///
/// # Shapes
/// `x` and the result `[B, L, H·head]`, for any number `H` of heads; `angles` of `B` or one sequences of `L` positions.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn rotary(x: Tensor<3>, head: usize, angles: &RotaryAngles) -> Tensor<3> {
    let [batch, length, width] = x.dims();
    let [rows, positions, half] = angles.cos.dims();
    assert!(
        (rows == 1 || rows == batch) && positions == length && head >= 2 * half && width.is_multiple_of(head),
        "rotary embedding needs angles [1 or {batch}, {length}, r] with 2r up to the width {head} of a head, which divides {width}, found {:?}",
        [rows, positions, half]
    );
    #[cfg(feature = "cube")]
    if cube::is_native(&x) && cube::is_native(&angles.cos) && batch * length * width > 0 {
        return cube::rotary::rotary(x, head, angles);
    }
    if !(graph::is_fast(&x) && graph::is_fast(&angles.cos)) || batch * length * width == 0 {
        return composed::rotary(x, head, angles);
    }
    let mut part = Part::new(x);
    part.values = graph::contiguous(part.values);
    let tables = angles.tensors().map(|table| graph::contiguous(graph::values(table)));
    let y = turned(&part.values, head, &tables, 1.0);
    graph::record(Node, [part], y, |_| (tables, head))
}

/// `x`, which is contiguous, turned by the angles or, with `sign` -1, back.
fn turned(x: &FlexTensor, head: usize, [cos, sin]: &[FlexTensor; 2], sign: f32) -> FlexTensor {
    let shape = x.layout().shape();
    let [_, _, width] = shape.dims();
    let [_, _, half] = cos.layout().shape().dims();
    let angles = Angles {
        cos: graph::slice(cos),
        sin: graph::slice(sin),
        half,
        head,
    };
    let values = graph::slice(x);
    let y = filled(values.len(), |y| kernel::rotate(values, width, angles, sign, y));
    graph::tensor(y, shape.clone())
}

#[derive(Debug)]
struct Node;

impl Backward<Flex, 1> for Node {
    /// Cosines and sines, and the width of a head.
    type State = ([FlexTensor; 2], usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, (tables, head), mut back) = Back::open(ops, grads, check);
        // A rotation's transpose turns back, and is scaled as it was.
        back.give(0, turned(&graph::contiguous(dy), head, &tables, -1.0));
    }
}
