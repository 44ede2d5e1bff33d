//! Scores that level off: `cap · tanh(score / cap)`.

use super::math;
use crate::simd::multiversion;

multiversion!(
    /// `x ↦ cap · tanh(factor · x)`.
    pub(super) fn level_off(scores: &mut [f32], factor: f32, cap: f32) = level_off_body
);

#[inline(always)]
fn level_off_body<const FMA: bool>(scores: &mut [f32], factor: f32, cap: f32) {
    for x in scores {
        *x = cap * math::tanh::<FMA>(factor * *x);
    }
}

multiversion!(
    /// `scale · (1 - (y / cap)²)` for `y` that [`level_off`] gives.
    pub(super) fn level_off_slopes(capped: &[f32], slopes: &mut [f32], scale: f32, inverse: f32) = level_off_slopes_body
);

#[inline(always)]
fn level_off_slopes_body<const FMA: bool>(capped: &[f32], slopes: &mut [f32], scale: f32, inverse: f32) {
    for (slope, &y) in slopes.iter_mut().zip(capped) {
        let t = y * inverse;
        *slope = scale * math::fma::<FMA>(-t, t, 1.0);
    }
}

multiversion!(pub(super) fn multiply(x: &mut [f32], by: &[f32]) = multiply_body);

#[inline(always)]
fn multiply_body<const FMA: bool>(x: &mut [f32], by: &[f32]) {
    for (x, &by) in x.iter_mut().zip(by) {
        *x *= by;
    }
}
