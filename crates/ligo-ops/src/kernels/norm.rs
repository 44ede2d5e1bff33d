//! Layer normalization of rows.

use rayon::prelude::*;

use super::{math, rows};
use crate::simd::{filled, multiversion};

/// What the backward pass needs of each row: `1 / √(var + eps)` and the mean.
pub(crate) type Statistics = Vec<[f32; 2]>;

/// Normalizes the rows of `x` (+ `residual`, whose sum is then written to `sum`).
pub(crate) fn forward(
    x: &[f32],
    residual: Option<(&[f32], &mut [f32])>,
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    y: &mut [f32],
) -> Statistics {
    let width = weight.len();
    let chunk = rows::per_task(width);
    let mut statistics = vec![[0.0; 2]; x.len() / width];
    let tasks = y
        .par_chunks_mut(chunk * width)
        .zip(x.par_chunks(chunk * width))
        .zip(statistics.par_chunks_mut(chunk));
    match residual {
        None => tasks.for_each(|((y, x), statistics)| {
            forward_rows(x, weight, bias, eps, y, statistics);
        }),
        Some((residual, sum)) => tasks
            .zip(residual.par_chunks(chunk * width))
            .zip(sum.par_chunks_mut(chunk * width))
            .for_each(|((((y, x), statistics), residual), sum)| {
                add_rows(x, residual, sum);
                forward_rows(sum, weight, bias, eps, y, statistics);
            }),
    }
    statistics
}

multiversion!(fn add_rows(x: &[f32], residual: &[f32], sum: &mut [f32]) = add_rows_body);

#[inline(always)]
fn add_rows_body<const FMA: bool>(x: &[f32], residual: &[f32], sum: &mut [f32]) {
    for ((sum, x), residual) in sum.iter_mut().zip(x).zip(residual) {
        *sum = x + residual;
    }
}

multiversion!(
    fn forward_rows(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, y: &mut [f32], statistics: &mut [[f32; 2]]) = forward_body
);

#[inline(always)]
fn forward_body<const FMA: bool>(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    y: &mut [f32],
    statistics: &mut [[f32; 2]],
) {
    let width = weight.len();
    let bias = &bias[..width];
    let all = x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(statistics);
    for ((x, y), statistics) in all {
        let scale = 1.0 / width as f32;
        let mean = math::sum(width, |i| x[i]) * scale;
        let variance = math::sum(width, |i| (x[i] - mean) * (x[i] - mean)) * scale;
        let inverse = 1.0 / (variance + eps).sqrt();
        *statistics = [inverse, mean];
        for i in 0..width {
            y[i] = math::fma::<FMA>((x[i] - mean) * inverse, weight[i], bias[i]);
        }
    }
}

/// Gradients of a layer normalization.
pub(crate) struct Gradients {
    pub(crate) dx: Vec<f32>,
    pub(crate) dweight: Vec<f32>,
    pub(crate) dbias: Vec<f32>,
}

/// Gradients with respect to the normalized rows `x`, the weight and the bias.
pub(crate) fn backward(dy: &[f32], x: &[f32], statistics: &Statistics, weight: &[f32]) -> Gradients {
    let width = weight.len();
    let chunk = rows::per_task(width);
    let mut partial = Vec::new();
    let dx = filled(x.len(), |dx| {
        partial = dx
            .par_chunks_mut(chunk * width)
            .zip(dy.par_chunks(chunk * width))
            .zip(x.par_chunks(chunk * width))
            .zip(statistics.par_chunks(chunk))
            .map(|(((dx, dy), x), statistics)| {
                let mut sums = vec![0.0; 2 * width];
                backward_rows(dy, x, statistics, weight, dx, &mut sums);
                sums
            })
            .collect::<Vec<_>>();
    });
    let mut sums = rows::add_up(partial, 2 * width);
    let dbias = sums.split_off(width);
    Gradients {
        dx,
        dweight: sums,
        dbias,
    }
}

multiversion!(
    fn backward_rows(dy: &[f32], x: &[f32], statistics: &[[f32; 2]], weight: &[f32], dx: &mut [f32], sums: &mut [f32]) = backward_body
);

#[inline(always)]
fn backward_body<const FMA: bool>(
    dy: &[f32],
    x: &[f32],
    statistics: &[[f32; 2]],
    weight: &[f32],
    dx: &mut [f32],
    sums: &mut [f32],
) {
    let width = weight.len();
    let (dweight, dbias) = sums.split_at_mut(width);
    let all = x
        .chunks_exact(width)
        .zip(dy.chunks_exact(width))
        .zip(dx.chunks_exact_mut(width));
    for (((x, dy), dx), &[inverse, mean]) in all.zip(statistics) {
        let scale = 1.0 / width as f32;
        let mean_g = math::sum(width, |i| dy[i] * weight[i]) * scale;
        let mean_gx = math::sum(width, |i| dy[i] * weight[i] * ((x[i] - mean) * inverse)) * scale;
        for i in 0..width {
            let normal = (x[i] - mean) * inverse;
            let g = dy[i] * weight[i];
            dweight[i] = math::fma::<FMA>(dy[i], normal, dweight[i]);
            dbias[i] += dy[i];
            dx[i] = inverse * math::fma::<FMA>(-normal, mean_gx, g - mean_g);
        }
    }
}
