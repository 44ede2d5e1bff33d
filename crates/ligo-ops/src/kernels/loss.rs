//! Softmax cross-entropy of rows.

use rayon::prelude::*;

use super::{math, rows};
use crate::simd::{filled, multiversion};

/// The sum of the losses of the counted rows, and `log Σ exp` of every row.
pub(crate) fn forward(logits: &[f32], targets: &[i64], classes: usize) -> (f64, Vec<f32>) {
    let chunk = rows::per_task(classes);
    let parts: Vec<(f64, Vec<f32>)> = logits
        .par_chunks(chunk * classes)
        .zip(targets.par_chunks(chunk))
        .map(|(logits, targets)| {
            let mut loss = 0.0;
            let mut sums = Vec::with_capacity(targets.len());
            for (row, &target) in logits.chunks_exact(classes).zip(targets) {
                let sum = if target >= 0 { log_sum_exp(row) } else { 0.0 };
                if target >= 0 {
                    loss += f64::from(sum) - f64::from(row[target as usize]);
                }
                sums.push(sum);
            }
            (loss, sums)
        })
        .collect();
    let loss = parts.iter().map(|part| part.0).sum();
    (loss, parts.into_iter().flat_map(|part| part.1).collect())
}

multiversion!(fn log_sum_exp(row: &[f32]) -> f32 = log_sum_exp_body);

#[inline(always)]
fn log_sum_exp_body<const FMA: bool>(row: &[f32]) -> f32 {
    let max = math::max(row);
    max + math::sum(row.len(), |i| math::exp::<FMA>(row[i] - max)).ln()
}

/// `scale · (softmax(logits) - one-hot(target))`, zero for rows that are not counted.
pub(crate) fn backward(logits: &[f32], targets: &[i64], log_sums: &[f32], classes: usize, scale: f32) -> Vec<f32> {
    let chunk = rows::per_task(classes);
    filled(logits.len(), |out| {
        let tasks = out
            .par_chunks_mut(chunk * classes)
            .zip(logits.par_chunks(chunk * classes))
            .zip(targets.par_chunks(chunk))
            .zip(log_sums.par_chunks(chunk));
        tasks.for_each(|(((out, logits), targets), sums)| {
            let rows = out.chunks_exact_mut(classes).zip(logits.chunks_exact(classes));
            for (((out, row), &target), &sum) in rows.zip(targets).zip(sums) {
                if target < 0 {
                    out.fill(0.0);
                    continue;
                }
                softmax(row, sum, scale, out);
                out[target as usize] -= scale;
            }
        });
    })
}

multiversion!(fn softmax(row: &[f32], log_sum: f32, scale: f32, out: &mut [f32]) = softmax_body);

#[inline(always)]
fn softmax_body<const FMA: bool>(row: &[f32], log_sum: f32, scale: f32, out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(row) {
        *out = scale * math::exp::<FMA>(x - log_sum);
    }
}
