//! Rotary position embedding.

use burn::backend::{
    Flex,
    autodiff::{
        checkpoint::base::Checkpointer,
        grads::Gradients,
        ops::{Backward, Ops},
    },
};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_flex::FlexTensor;

#[cfg(feature = "cube")]
use crate::cube;
use crate::{
    composed,
    graph::{self, Back, Part},
    kernels::rotary::{self as kernel, Angles},
    simd::filled,
    traffic,
};

/// The angles by which [`rotary`] turns queries and keys. Made once for a batch and used by all its layers.
#[derive(Clone, Debug)]
pub struct RotaryAngles {
    /// `[1 or B, L, d/2]`.
    cos: Tensor<3>,
    sin: Tensor<3>,
}

impl RotaryAngles {
    /// `position · frequencies[i]` for pair `i` of a head; cosines and sines are multiplied by `scale`, ordinarily 1.
    ///
    /// Angles are rounded to `f32` where PyTorch rounds them: at position 4000 the rounding of an angle is already larger than all other
    /// errors, and checkpoints were trained with it.
    ///
    /// # Shapes
    /// `positions [R, L]` row by row, with one row for all sequences of a batch or one for each; `frequencies [d/2]`.
    ///
    /// # Panics
    /// Without frequencies, or when `positions` does not hold `R · L` numbers.
    pub fn new(positions: &[usize], shape: [usize; 2], frequencies: &[f32], scale: f32, device: &Device) -> Self {
        let half = frequencies.len();
        assert!(half > 0, "rotary embedding turns pairs, and there is none");
        assert_eq!(positions.len(), shape[0] * shape[1], "positions of shape {shape:?}");
        let table = |f: fn(f64) -> f64| {
            let angles = positions
                .iter()
                .flat_map(|p| frequencies.iter().map(move |frequency| *p as f32 * frequency));
            let values: Vec<f32> = angles.map(|angle| f(f64::from(angle)) as f32 * scale).collect();
            traffic::upload(TensorData::new(values, [shape[0], shape[1], half]), device)
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
        }
    }

    /// The angles of some positions of each sequence only.
    ///
    /// # Shapes
    /// `places [B, K]`, for each of the `K` which of the `L` positions it is.
    ///
    /// # Panics
    /// When a place is `L` or more, or these are angles of another number of sequences than `B` or one.
    #[must_use]
    pub fn at(&self, places: Tensor<2, Int>) -> Self {
        let [batch, kept] = places.dims();
        let [_, length, half] = self.cos.dims();
        let places = places.unsqueeze_dim::<3>(2).expand([batch, kept, half]);
        let [cos, sin] = self.tensors().map(|table| {
            let table = table.expand([batch, length, half]);
            table.gather(1, places.clone())
        });
        Self { cos, sin }
    }

    /// The pairs of a head that are turned.
    pub(crate) fn half(&self) -> usize {
        self.cos.dims()[2]
    }

    /// Cosines and sines.
    pub(crate) fn tensors(&self) -> [Tensor<3>; 2] {
        [self.cos.clone(), self.sin.clone()]
    }
}

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
