//! The gated unit of SwiGLU, element by element.

use rayon::prelude::*;

use super::math::{fma, logistic};
use crate::simd::{filled, multiversion};

/// Elements per task.
const CHUNK: usize = 16 * 1024;

/// `y = silu(gate) · up`.
pub(crate) fn forward(gate: &[f32], up: &[f32], y: &mut [f32]) {
    let chunks = y
        .par_chunks_mut(CHUNK)
        .zip(gate.par_chunks(CHUNK))
        .zip(up.par_chunks(CHUNK));
    chunks.for_each(|((y, gate), up)| forward_chunk(gate, up, y));
}

/// The gradients of `gate` and `up`.
pub(crate) fn backward(gate: &[f32], up: &[f32], dy: &[f32]) -> [Vec<f32>; 2] {
    let mut dup = Vec::new();
    let dgate = filled(gate.len(), |dgate| {
        dup = filled(gate.len(), |dup| {
            dgate
                .par_chunks_mut(CHUNK)
                .zip(dup.par_chunks_mut(CHUNK))
                .zip(gate.par_chunks(CHUNK))
                .zip(up.par_chunks(CHUNK))
                .zip(dy.par_chunks(CHUNK))
                .for_each(|((((dgate, dup), gate), up), dy)| backward_chunk(gate, up, dy, dgate, dup));
        });
    });
    [dgate, dup]
}

multiversion!(fn forward_chunk(gate: &[f32], up: &[f32], y: &mut [f32]) = forward_body);
multiversion!(
    fn backward_chunk(gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32], dup: &mut [f32]) = backward_body
);

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
