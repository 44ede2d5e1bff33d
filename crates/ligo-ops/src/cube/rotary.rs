//! Rotary position embedding, one thread for each pair of elements.

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
    pairs: usize,
    heads: usize,
    half: usize,
    tokens: usize,
    sign: f32,
) {
    let pair = ABSOLUTE_POS;
    if pair < pairs {
        let within = pair % half;
        let head = pair / half;
        let token = head / heads;
        let angle = (token % tokens) * half + within;
        let place = head * 2 * half + within;
        let c = cos[angle];
        let s = sin[angle] * sign;
        let a = x[place];
        let b = x[place + half];
        y[place] = a * c - b * s;
        y[place + half] = b * c + a * s;
    }
}

/// `x` turned by the angles or, with `sign` -1, back.
fn turned(x: &CubeTensor, [cos, sin]: &[CubeTensor; 2], sign: f32) -> CubeTensor {
    let [_, _, width] = dims(x);
    let [rows, length, half] = dims(cos);
    let pairs = count(x) / 2;
    let y = empty(x, x.meta.shape().clone());
    let (number, units) = threads(x, pairs);
    let [a, b, c, d] = [x, cos, sin, &y].map(arg);
    let heads = width / (2 * half);
    rotate::launch(
        &x.client,
        number,
        units,
        a,
        b,
        c,
        d,
        pairs,
        heads,
        half,
        rows * length,
        sign,
    );
    y
}

/// [`crate::rotary`] on a GPU.
pub(crate) fn rotary(x: Tensor<3>, angles: &RotaryAngles) -> Tensor<3> {
    let part = part(x);
    let tables = angles.tensors().map(values);
    let y = turned(&part.values, &tables, 1.0);
    graph::record(Node, [part], y, |_| tables)
}

#[derive(Debug)]
struct Node;

impl Backward<Cube, 1> for Node {
    type State = [CubeTensor; 2];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, tables, mut back) = Back::on(ops, grads);
        // A rotation's transpose turns back.
        back.give(0, turned(&into_contiguous(dy), &tables, -1.0));
    }
}
