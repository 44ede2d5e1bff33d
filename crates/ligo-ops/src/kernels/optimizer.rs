//! AdamW and the squared norm, over flat slices.

use rayon::prelude::*;

use crate::simd::multiversion;

/// Elements per task.
const CHUNK: usize = 16 * 1024;

/// Factors of one AdamW update, worked out in `f64` once.
#[derive(Clone, Copy)]
pub(crate) struct Factors {
    pub(crate) grad: f32,
    pub(crate) keep: f32,
    pub(crate) beta1: f32,
    pub(crate) rest1: f32,
    pub(crate) beta2: f32,
    pub(crate) rest2: f32,
    /// `1 / √(1 - β₂ᵗ)`.
    pub(crate) root: f32,
    pub(crate) eps: f32,
    /// `lr / (1 - β₁ᵗ)`.
    pub(crate) rate: f32,
}

/// Updates the three slices in place.
pub(crate) fn adamw(param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32], f: Factors) {
    let tasks = param
        .par_chunks_mut(CHUNK)
        .zip(grad.par_chunks(CHUNK))
        .zip(m.par_chunks_mut(CHUNK))
        .zip(v.par_chunks_mut(CHUNK));
    tasks.for_each(|(((param, grad), m), v)| adamw_chunk(param, grad, m, v, f));
}

multiversion!(fn adamw_chunk(param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32], f: Factors) = adamw_body);

#[inline(always)]
fn adamw_body<const FMA: bool>(param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32], f: Factors) {
    for (((param, grad), m), v) in param.iter_mut().zip(grad).zip(m).zip(v) {
        let g = grad * f.grad;
        *m = rest(f.beta1 * *m + f.rest1 * g);
        *v = rest(f.beta2 * *v + f.rest2 * g * g);
        *param = f.keep * *param - f.rate * *m / (v.sqrt() * f.root + f.eps);
    }
}

/// 0 where a moment has decayed to nothing beside ε.
///
/// Of what gets no gradient any more, such as the row of a token that does not occur, the moments shrink until rounding keeps them at some
/// subnormal number for ever, and the update of such rows takes thirty times as long.
#[inline(always)]
fn rest(moment: f32) -> f32 {
    // NaN stays NaN.
    if moment.abs() < 1e-30 { 0.0 } else { moment }
}

/// `Σ x²` in `f64`, in an order that depends on the length alone.
pub(crate) fn sum_of_squares(x: &[f32]) -> f64 {
    let parts: Vec<f64> = x.par_chunks(CHUNK).map(squares).collect();
    parts.iter().sum()
}

multiversion!(fn squares(x: &[f32]) -> f64 = squares_body);

#[inline(always)]
fn squares_body<const FMA: bool>(x: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let mut chunks = x.chunks_exact(8);
    for chunk in &mut chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(x) * f64::from(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += f64::from(x) * f64::from(x);
    }
    lanes.iter().sum()
}
