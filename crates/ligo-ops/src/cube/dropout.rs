//! Dropout by the hash of an element's number: the CPU's mask, bit for bit, made where it is used.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::{Back, Cube, CubeTensor, arg, count, empty, into_contiguous, part, threads};
use crate::{Dropout, graph};

/// A mask as kernels take it, or none.
#[derive(CubeLaunch, CubeType)]
pub(crate) struct Mask {
    low: u32,
    high: u32,
    threshold: u32,
    scale: f32,
    #[cube(comptime)]
    drops: bool,
}

impl Mask {
    /// The arguments of a launch.
    pub(crate) fn of(dropout: Option<Dropout>) -> MaskLaunch {
        let dropout = dropout.filter(|dropout| dropout.probability > 0.0);
        let drops = dropout.is_some();
        let mask = dropout.unwrap_or(Dropout {
            probability: 0.0,
            seed: 0,
        });
        let [low, high] = mask.halves();
        MaskLaunch::new(low, high, mask.threshold(), mask.scale(), drops)
    }
}

#[cube]
fn mix(value: u32) -> u32 {
    let h = value + 0x9E37_79B9u32;
    let h = (h ^ (h >> 16u32)) * 0x7FEB_352Du32;
    let h = (h ^ (h >> 15u32)) * 0x846C_A68Bu32;
    h ^ (h >> 16u32)
}

/// [`crate::mask::hash`] of an index below 2³²; `low` and `high` are the halves of the seed.
#[cube]
pub(crate) fn hash(low: u32, high: u32, index: u32) -> u32 {
    mix(mix(index ^ low) ^ high)
}

/// What the mask multiplies an element by: 0 where it is dropped, else a little more than 1; 1 without dropout.
#[cube]
pub(crate) fn factor(mask: &Mask, index: usize) -> f32 {
    let mut factor = 1.0f32;
    if comptime![mask.drops] {
        factor = 0.0f32;
        if hash(mask.low, mask.high, index as u32) >= mask.threshold {
            factor = mask.scale;
        }
    }
    factor
}

#[cube(launch)]
fn masked(x: &[f32], y: &mut [f32], elements: usize, mask: Mask) {
    let i = ABSOLUTE_POS;
    if i < elements {
        y[i] = x[i] * factor(&mask, i);
    }
}

/// `mask ∘ x`.
pub(crate) fn apply(x: &CubeTensor, dropout: Dropout) -> CubeTensor {
    let elements = count(x);
    let y = empty(x, x.meta.shape().clone());
    let (number, units) = threads(x, elements);
    let mask = Mask::of(Some(dropout));
    masked::launch(&x.client, number, units, arg(x), arg(&y), elements, mask);
    y
}

/// [`crate::dropout()`] on a GPU.
pub(crate) fn dropout<const D: usize>(x: Tensor<D>, dropout: Dropout) -> Tensor<D> {
    let part = part(x);
    let y = apply(&part.values, dropout);
    graph::record(Node, [part], y, |_| dropout)
}

#[derive(Debug)]
struct Node;

impl Backward<Cube, 1> for Node {
    type State = Dropout;

    fn backward(self, ops: Ops<Dropout, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, dropout, mut back) = Back::on(ops, grads);
        back.give(0, apply(&into_contiguous(dy), dropout));
    }
}
