//! The gated units of SwiGLU and GeGLU, element by element.

use rayon::prelude::*;

use super::{
    activation::tanh_gate,
    math::{fma, logistic},
};
use crate::simd::{filled, multiversion};

/// Elements per task.
const CHUNK: usize = 16 * 1024;

/// What gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// `x / (1 + e⁻ˣ)`.
    Silu,
    /// GELU by its approximation.
    Gelu,
}

/// `y = act(gate) · up`.
pub(crate) fn forward(gate: &[f32], up: &[f32], y: &mut [f32], kind: Gate) {
    let chunks = y
        .par_chunks_mut(CHUNK)
        .zip(gate.par_chunks(CHUNK))
        .zip(up.par_chunks(CHUNK));
    chunks.for_each(|((y, gate), up)| match kind {
        Gate::Silu => forward_chunk(gate, up, y),
        Gate::Gelu => forward_gelu(gate, up, y),
    });
}

/// The gradients of `gate` and `up`.
pub(crate) fn backward(gate: &[f32], up: &[f32], dy: &[f32], kind: Gate) -> [Vec<f32>; 2] {
    let mut dup = Vec::new();
    let dgate = filled(gate.len(), |dgate| {
        dup = filled(gate.len(), |dup| {
            dgate
                .par_chunks_mut(CHUNK)
                .zip(dup.par_chunks_mut(CHUNK))
                .zip(gate.par_chunks(CHUNK))
                .zip(up.par_chunks(CHUNK))
                .zip(dy.par_chunks(CHUNK))
                .for_each(|((((dgate, dup), gate), up), dy)| match kind {
                    Gate::Silu => backward_chunk(gate, up, dy, dgate, dup),
                    Gate::Gelu => backward_gelu(gate, up, dy, dgate, dup),
                });
        });
    });
    [dgate, dup]
}

multiversion!(fn forward_chunk(gate: &[f32], up: &[f32], y: &mut [f32]) = forward_body);
multiversion!(
    fn backward_chunk(gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32], dup: &mut [f32]) = backward_body
);

multiversion!(fn forward_gelu(gate: &[f32], up: &[f32], y: &mut [f32]) = forward_gelu_body);
multiversion!(
    fn backward_gelu(gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32], dup: &mut [f32]) = backward_gelu_body
);

#[inline(always)]
fn forward_gelu_body<const FMA: bool>(gate: &[f32], up: &[f32], y: &mut [f32]) {
    for ((y, &gate), &up) in y.iter_mut().zip(gate).zip(up) {
        *y = gate * tanh_gate::<FMA>(gate).0 * up;
    }
}

#[inline(always)]
fn backward_gelu_body<const FMA: bool>(gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    let inputs = gate.iter().zip(up).zip(dy);
    for (((&gate, &up), &dy), (dgate, dup)) in inputs.zip(dgate.iter_mut().zip(dup)) {
        let (s, slope) = tanh_gate::<FMA>(gate);
        *dup = dy * gate * s;
        *dgate = dy * up * fma::<FMA>(gate * slope, s * (1.0 - s), s);
    }
}

#[inline(always)]
fn forward_body<const FMA: bool>(gate: &[f32], up: &[f32], y: &mut [f32]) {
    for ((y, &gate), &up) in y.iter_mut().zip(gate).zip(up) {
        *y = gate * logistic::<FMA>(gate) * up;
    }
}

#[inline(always)]
fn backward_body<const FMA: bool>(gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    let inputs = gate.iter().zip(up).zip(dy);
    for (((&gate, &up), &dy), (dgate, dup)) in inputs.zip(dgate.iter_mut().zip(dup)) {
        let s = logistic::<FMA>(gate);
        *dup = dy * gate * s;
        // silu'(x) = s + x·s·(1 - s)
        *dgate = dy * up * fma::<FMA>(gate * s, 1.0 - s, s);
    }
}
