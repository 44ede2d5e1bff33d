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

#[cube]
fn mix(value: u32) -> u32 {
    let h = value + 0x9E37_79B9u32;
    let h = (h ^ (h >> 16u32)) * 0x7FEB_352Du32;
    let h = (h ^ (h >> 15u32)) * 0x846C_A68Bu32;
    h ^ (h >> 16u32)
}

/// [`crate::dropout::hash`] of an index below 2³²; `low` and `high` are the halves of the seed.
#[cube]
pub(crate) fn hash(low: u32, high: u32, index: u32) -> u32 {
    mix(mix(index ^ low) ^ high)
}

#[cube(launch)]
fn masked(x: &[f32], y: &mut [f32], elements: usize, low: u32, high: u32, threshold: u32, scale: f32) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let mut value = 0.0f32;
        if hash(low, high, i as u32) >= threshold {
            value = x[i] * scale;
        }
        y[i] = value;
    }
}

fn apply(x: &CubeTensor, dropout: &Dropout) -> CubeTensor {
    let elements = count(x);
    let y = empty(x, x.meta.shape().clone());
    let (number, units) = threads(x, elements);
    let [low, high] = dropout.halves();
    let (threshold, scale) = (dropout.threshold(), dropout.scale());
    masked::launch(
        &x.client,
        number,
        units,
        arg(x),
        arg(&y),
        elements,
        low,
        high,
        threshold,
        scale,
    );
    y
}

/// [`crate::dropout()`] on a GPU.
pub(crate) fn dropout<const D: usize>(x: Tensor<D>, dropout: Dropout) -> Tensor<D> {
    let part = part(x);
    let y = apply(&part.values, &dropout);
    graph::record(Node, [part], y, |_| dropout)
}

#[derive(Debug)]
struct Node;

impl Backward<Cube, 1> for Node {
    type State = Dropout;

    fn backward(self, ops: Ops<Dropout, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, dropout, mut back) = Back::on(ops, grads);
        back.give(0, apply(&into_contiguous(dy), &dropout));
    }
}
