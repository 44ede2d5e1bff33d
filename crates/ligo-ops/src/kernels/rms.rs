//! Root-mean-square normalization of rows.

use rayon::prelude::*;

use super::{math, rows};
use crate::simd::{filled, multiversion};

/// Normalizes the rows of `x`; returns `1 / √(mean(x²) + eps)` of each, which the backward pass needs.
pub(crate) fn forward(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) -> Vec<f32> {
    let width = weight.len();
    let chunk = rows::per_task(width);
    let mut inverses = vec![0.0; x.len() / width];
    y.par_chunks_mut(chunk * width)
        .zip(x.par_chunks(chunk * width))
        .zip(inverses.par_chunks_mut(chunk))
        .for_each(|((y, x), inverses)| forward_rows(x, weight, eps, y, inverses));
    inverses
}

multiversion!(
    fn forward_rows(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], inverses: &mut [f32]) = forward_body
);

#[inline(always)]
fn forward_body<const FMA: bool>(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], inverses: &mut [f32]) {
    let width = weight.len();
    let all = x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(inverses);
    for ((x, y), inverse) in all {
        let mean_square = math::sum(width, |i| x[i] * x[i]) / width as f32;
        *inverse = 1.0 / (mean_square + eps).sqrt();
        for i in 0..width {
            y[i] = x[i] * *inverse * weight[i];
        }
    }
}

/// Gradients with respect to the rows and the weight.
pub(crate) fn backward(dy: &[f32], x: &[f32], inverses: &[f32], weight: &[f32]) -> [Vec<f32>; 2] {
    let width = weight.len();
    let chunk = rows::per_task(width);
    let mut partial = Vec::new();
    let dx = filled(x.len(), |dx| {
        partial = dx
            .par_chunks_mut(chunk * width)
            .zip(dy.par_chunks(chunk * width))
            .zip(x.par_chunks(chunk * width))
            .zip(inverses.par_chunks(chunk))
            .map(|(((dx, dy), x), inverses)| {
                let mut dweight = vec![0.0; width];
                backward_rows(dy, x, inverses, weight, dx, &mut dweight);
                dweight
            })
            .collect::<Vec<_>>();
    });
    [dx, rows::add_up(partial, width)]
}

multiversion!(
    fn backward_rows(dy: &[f32], x: &[f32], inverses: &[f32], weight: &[f32], dx: &mut [f32], dweight: &mut [f32]) = backward_body
);

#[inline(always)]
fn backward_body<const FMA: bool>(
    dy: &[f32],
    x: &[f32],
    inverses: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    dweight: &mut [f32],
) {
    let width = weight.len();
    let dweight = &mut dweight[..width];
    let all = x
        .chunks_exact(width)
        .zip(dy.chunks_exact(width))
        .zip(dx.chunks_exact_mut(width));
    for (((x, dy), dx), &inverse) in all.zip(inverses) {
        let mean_gx = math::sum(width, |i| dy[i] * weight[i] * (x[i] * inverse)) / width as f32;
        for i in 0..width {
            let normal = x[i] * inverse;
            dweight[i] = math::fma::<FMA>(dy[i], normal, dweight[i]);
            dx[i] = inverse * math::fma::<FMA>(-normal, mean_gx, dy[i] * weight[i]);
        }
    }
}
