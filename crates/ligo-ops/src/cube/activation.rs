//! GELU, SwiGLU and GeGLU, one thread an element.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::{Back, Cube, CubeTensor, arg, count, empty, part, threads};
use crate::{GeluKind, graph, kernels::swiglu::Gate};

/// The standard normal distribution at `x`: `Φ(x)`, by the CPU's formula.
#[cube]
fn normal_cdf(x: f32) -> f32 {
    let e = (-0.5f32 * x * x).exp();
    let t = 1.0f32 / (x.abs() * 0.233_345_24f32 + 1.0f32);
    let mut p = f32::new(-0.135_929_64f32);
    p = p * t + 0.462_691_96f32;
    p = p * t - 0.355_445_7f32;
    p = p * t + 0.412_548_2f32;
    p = p * t + 4.500_693e-2f32;
    p = p * t + 0.201_925_02f32;
    p = p * t + 0.182_837_04f32;
    p = p * t + 0.186_366_13f32;
    let tail = 0.5f32 * (p * t) * e;
    let mut cdf = 1.0f32 - tail;
    if x < 0.0f32 {
        cdf = tail;
    }
    cdf
}

/// `1 / (1 + e⁻ˣ)`.
#[cube]
fn logistic(x: f32) -> f32 {
    1.0f32 / (1.0f32 + (-x).exp())
}

/// Twice the argument of the hyperbolic tangent in GELU's approximation: `(1 + tanh u) / 2` is the logistic function of it.
#[cube]
fn tanh_argument(x: f32) -> f32 {
    1.595_769f32 * x * (0.044_715f32 * x * x + 1.0f32)
}

#[cube]
pub(super) fn gelu_of(x: f32, #[comptime] erf: bool) -> f32 {
    if comptime![erf] {
        x * normal_cdf(x)
    } else {
        x * logistic(tanh_argument(x))
    }
}

#[cube]
pub(super) fn gelu_slope(x: f32, #[comptime] erf: bool) -> f32 {
    if comptime![erf] {
        let density = 0.398_942_3f32 * (-0.5f32 * x * x).exp();
        x * density + normal_cdf(x)
    } else {
        let s = logistic(tanh_argument(x));
        let slope = 1.595_769f32 * (0.134_145f32 * x * x + 1.0f32);
        x * slope * s * (1.0f32 - s) + s
    }
}

#[cube(launch)]
fn gelu_forward(x: &[f32], y: &mut [f32], elements: usize, #[comptime] erf: bool) {
    let i = ABSOLUTE_POS;
    if i < elements {
        y[i] = gelu_of(x[i], erf);
    }
}

#[cube(launch)]
fn gelu_backward(x: &[f32], dy: &[f32], dx: &mut [f32], elements: usize, #[comptime] erf: bool) {
    let i = ABSOLUTE_POS;
    if i < elements {
        dx[i] = dy[i] * gelu_slope(x[i], erf);
    }
}

/// [`crate::gelu`] on a GPU.
pub(crate) fn gelu<const D: usize>(x: Tensor<D>, kind: GeluKind) -> Tensor<D> {
    let part = part(x);
    let x = &part.values;
    let y = empty(x, x.meta.shape().clone());
    let (cubes, units) = threads(x, count(x));
    gelu_forward::launch(
        &x.client,
        cubes,
        units,
        arg(x),
        arg(&y),
        count(x),
        kind == GeluKind::Erf,
    );
    graph::record(Gelu, [part], y, |[x]| (x, kind))
}

#[derive(Debug)]
struct Gelu;

impl Backward<Cube, 1> for Gelu {
    type State = (CubeTensor, GeluKind);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, (x, kind), mut back) = Back::on(ops, grads);
        let dy = super::into_contiguous(dy);
        let dx = empty(&x, x.meta.shape().clone());
        let (cubes, units) = threads(&x, count(&x));
        let erf = kind == GeluKind::Erf;
        gelu_backward::launch(&x.client, cubes, units, arg(&x), arg(&dy), arg(&dx), count(&x), erf);
        back.give(0, dx);
    }
}

#[cube(launch)]
fn swiglu_forward(gate: &[f32], up: &[f32], y: &mut [f32], elements: usize, #[comptime] gelu: bool) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let value = gate[i];
        if comptime![gelu] {
            y[i] = gelu_of(value, false) * up[i];
        } else {
            y[i] = value * logistic(value) * up[i];
        }
    }
}

#[cube(launch)]
fn swiglu_backward(
    gate: &[f32],
    up: &[f32],
    dy: &[f32],
    dgate: &mut [f32],
    dup: &mut [f32],
    elements: usize,
    #[comptime] gelu: bool,
) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let value = gate[i];
        if comptime![gelu] {
            dup[i] = dy[i] * gelu_of(value, false);
            dgate[i] = dy[i] * up[i] * gelu_slope(value, false);
        } else {
            let s = logistic(value);
            dup[i] = dy[i] * value * s;
            dgate[i] = dy[i] * up[i] * (s + value * s * (1.0f32 - s));
        }
    }
}

/// [`crate::swiglu`] or [`crate::geglu`] on a GPU.
pub(crate) fn gated<const D: usize>(gate: Tensor<D>, up: Tensor<D>, kind: Gate) -> Tensor<D> {
    let parts = [part(gate), part(up)];
    let [gate, up] = parts.each_ref().map(|part| &part.values);
    let y = empty(gate, gate.meta.shape().clone());
    let (cubes, units) = threads(gate, count(gate));
    let gelu = kind == Gate::Gelu;
    let [a, b, c] = [gate, up, &y].map(arg);
    swiglu_forward::launch(&gate.client, cubes, units, a, b, c, count(gate), gelu);
    graph::record(Swiglu, parts, y, |parts| (parts, kind))
}

#[derive(Debug)]
struct Swiglu;

impl Backward<Cube, 2> for Swiglu {
    type State = ([CubeTensor; 2], Gate);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, ([gate, up], kind), mut back) = Back::on(ops, grads);
        let dy = super::into_contiguous(dy);
        let shape = gate.meta.shape().clone();
        let [dgate, dup] = [(); 2].map(|()| empty(&gate, shape.clone()));
        let (cubes, units) = threads(&gate, count(&gate));
        let [a, b, c, d, e] = [&gate, &up, &dy, &dgate, &dup].map(arg);
        let gelu = kind == Gate::Gelu;
        swiglu_backward::launch(&gate.client, cubes, units, a, b, c, d, e, count(&gate), gelu);
        back.give(0, dgate);
        back.give(1, dup);
    }
}
