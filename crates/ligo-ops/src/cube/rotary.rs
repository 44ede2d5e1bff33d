//! Rotary position embedding, one thread for each pair of elements and for each element that stays.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::{Back, Cube, CubeTensor, arg, count, dims, empty, into_contiguous, part, threads, values};
use crate::{RotaryAngles, graph};

#[cube(launch)]
fn rotate(
    x: &[f32],
    cos: &[f32],
    sin: &[f32],
    y: &mut [f32],
    slots: usize,
    heads: usize,
    width: usize,
    half: usize,
    tokens: usize,
    sign: f32,
) {
    let slot = ABSOLUTE_POS;
    if slot < slots {
        let within = slot % (width - half);
        let head = slot / (width - half);
        let place = head * width + within;
        if within < half {
            let angle = (head / heads % tokens) * half + within;
            let c = cos[angle];
            let s = sin[angle] * sign;
            let a = x[place];
            let b = x[place + half];
            y[place] = a * c - b * s;
            y[place + half] = b * c + a * s;
        } else {
            y[place + half] = x[place + half];
        }
    }
}

/// `x` turned by the angles or, with `sign` -1, back.
fn turned(x: &CubeTensor, head: usize, [cos, sin]: &[CubeTensor; 2], sign: f32) -> CubeTensor {
    let [_, _, width] = dims(x);
    let [rows, length, half] = dims(cos);
    let slots = count(x) / head * (head - half);
    let y = empty(x, x.meta.shape().clone());
    let (number, units) = threads(x, slots);
    let [a, b, c, d] = [x, cos, sin, &y].map(arg);
    rotate::launch(
        &x.client,
        number,
        units,
        a,
        b,
        c,
        d,
        slots,
        width / head,
        head,
        half,
        rows * length,
        sign,
    );
    y
}

/// [`crate::rotary`] on a GPU.
pub(crate) fn rotary(x: Tensor<3>, head: usize, angles: &RotaryAngles) -> Tensor<3> {
    let part = part(x);
    let tables = angles.tensors().map(values);
    let y = turned(&part.values, head, &tables, 1.0);
    graph::record(Node, [part], y, |_| (tables, head))
}

#[derive(Debug)]
struct Node;

impl Backward<Cube, 1> for Node {
    /// Cosines and sines, and the width of a head.
    type State = ([CubeTensor; 2], usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, (tables, head), mut back) = Back::on(ops, grads);
        // A rotation's transpose turns back.
        back.give(0, turned(&into_contiguous(dy), head, &tables, -1.0));
    }
}
