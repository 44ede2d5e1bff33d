//! GELU and dropout, element by element.

use rayon::prelude::*;

use super::math::{self, fma, normal};
use crate::{GeluKind, mask::hash, simd::multiversion};

/// Elements per task.
const CHUNK: usize = 16 * 1024;

/// `y = gelu(x)`.
pub(crate) fn gelu(x: &[f32], y: &mut [f32], kind: GeluKind) {
    let chunks = y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
    chunks.for_each(|(y, x)| match kind {
        GeluKind::Erf => gelu_erf(x, y),
        GeluKind::Tanh => gelu_tanh(x, y),
    });
}

/// `dx = dy · gelu'(x)`.
pub(crate) fn gelu_backward(x: &[f32], dy: &[f32], dx: &mut [f32], kind: GeluKind) {
    let chunks = dx
        .par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .zip(dy.par_chunks(CHUNK));
    chunks.for_each(|((dx, x), dy)| match kind {
        GeluKind::Erf => gelu_erf_backward(x, dy, dx),
        GeluKind::Tanh => gelu_tanh_backward(x, dy, dx),
    });
}

multiversion!(fn gelu_erf(x: &[f32], y: &mut [f32]) = gelu_erf_body);
multiversion!(fn gelu_tanh(x: &[f32], y: &mut [f32]) = gelu_tanh_body);
multiversion!(fn gelu_erf_backward(x: &[f32], dy: &[f32], dx: &mut [f32]) = gelu_erf_backward_body);
multiversion!(fn gelu_tanh_backward(x: &[f32], dy: &[f32], dx: &mut [f32]) = gelu_tanh_backward_body);

#[inline(always)]
fn gelu_erf_body<const FMA: bool>(x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * normal::<FMA>(x).0;
    }
}

#[inline(always)]
fn gelu_erf_backward_body<const FMA: bool>(x: &[f32], dy: &[f32], dx: &mut [f32]) {
    for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
        let (cdf, pdf) = normal::<FMA>(x);
        *dx = dy * fma::<FMA>(x, pdf, cdf);
    }
}

/// `tanh` form as a logistic function: `(1 + tanh u) / 2 = 1 / (1 + e⁻²ᵘ)`; returns it and `d(2u)/dx`.
#[inline(always)]
pub(crate) fn tanh_gate<const FMA: bool>(x: f32) -> (f32, f32) {
    const TWO_SQRT_2_OVER_PI: f32 = 1.595_769;
    const CUBIC: f32 = 0.044_715;
    let square = x * x;
    let twice_u = TWO_SQRT_2_OVER_PI * x * fma::<FMA>(CUBIC, square, 1.0);
    let slope = TWO_SQRT_2_OVER_PI * fma::<FMA>(3.0 * CUBIC, square, 1.0);
    (math::logistic::<FMA>(twice_u), slope)
}

#[inline(always)]
fn gelu_tanh_body<const FMA: bool>(x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * tanh_gate::<FMA>(x).0;
    }
}

#[inline(always)]
fn gelu_tanh_backward_body<const FMA: bool>(x: &[f32], dy: &[f32], dx: &mut [f32]) {
    for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
        let (s, slope) = tanh_gate::<FMA>(x);
        *dx = dy * fma::<FMA>(x * slope, s * (1.0 - s), s);
    }
}

/// `y = x ∘ mask`; also the backward pass of itself.
pub(crate) fn dropout(x: &[f32], y: &mut [f32], dropout: &crate::Dropout) {
    let chunks = y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate();
    chunks.for_each(|(index, (y, x))| {
        y.copy_from_slice(x);
        mask(
            y,
            (index * CHUNK) as u64,
            dropout.seed,
            dropout.threshold(),
            dropout.scale(),
        );
    });
}

multiversion!(
    /// Multiplies by the dropout mask whose first element here has index `first`.
    pub(crate) fn mask(x: &mut [f32], first: u64, seed: u64, threshold: u32, scale: f32) = mask_body
);

#[inline(always)]
fn mask_body<const FMA: bool>(x: &mut [f32], first: u64, seed: u64, threshold: u32, scale: f32) {
    for (offset, x) in x.iter_mut().enumerate() {
        let kept = hash(seed, first + offset as u64) >= threshold;
        *x = if kept { *x * scale } else { 0.0 };
    }
}
