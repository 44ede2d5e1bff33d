//! Attention of one head at a time: scores of a block of queries stay in the cache and are never stored.

use rayon::prelude::*;

use super::{activation::mask as drop_mask, math};
use crate::{
    Dropout,
    simd::{Matrix, Store, Target, filled, multiversion, product_into},
};

/// `[B, L, D]` values whose rows are contiguous.
#[derive(Clone, Copy)]
pub(crate) struct Sequences<'a> {
    pub(crate) data: &'a [f32],
    /// Distance between batch elements.
    pub(crate) batch: usize,
    /// Distance between positions.
    pub(crate) row: usize,
}

impl<'a> Sequences<'a> {
    /// The rows from `first` on of one head.
    fn head(&self, batch: usize, first: usize, col: usize) -> Matrix<'a> {
        Matrix::strided(&self.data[batch * self.batch + first * self.row + col..], self.row)
    }
}

/// What an attention call is besides its tensors.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) batch: usize,
    pub(crate) length: usize,
    pub(crate) heads: usize,
    /// Width of one head.
    pub(crate) width: usize,
    pub(crate) causal: bool,
    /// `[B, L]`, whether a key may be seen.
    pub(crate) visible: Option<Vec<bool>>,
    pub(crate) dropout: Option<Dropout>,
}

impl Plan {
    fn model_width(&self) -> usize {
        self.heads * self.width
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Queries per block: the scores of one block fit into the second-level cache.
    fn block(&self) -> usize {
        if self.length <= 256 { 128 } else { 64 }.min(self.length)
    }

    /// Blocks of queries: first query, number of queries, number of keys that any of them sees.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        (0..self.length).step_by(self.block()).map(|first| {
            let count = self.block().min(self.length - first);
            let keys = if self.causal { first + count } else { self.length };
            (first, count, keys)
        })
    }

    /// Sets the scores of keys that must not be seen to -∞.
    fn hide(&self, scores: &mut [f32], batch: usize, first: usize, keys: usize) {
        let visible = self.visible.as_ref().map(|v| &v[batch * self.length..][..keys]);
        for (i, row) in scores.chunks_exact_mut(keys).enumerate() {
            if let Some(visible) = visible {
                hide_row(row, visible);
            }
            if self.causal {
                row[(first + i + 1).min(keys)..].fill(f32::NEG_INFINITY);
            }
        }
    }

    /// Index of the first element of a query's row in the dropout mask.
    fn mask_index(&self, task: usize, query: usize) -> u64 {
        (task as u64 * self.length as u64 + query as u64) * self.length as u64
    }
}

/// The result `[B, L, D]` and `log Σ exp` of the scores of every query, `[B, H, L]`.
pub(crate) fn forward(plan: &Plan, q: Sequences<'_>, k: Sequences<'_>, v: Sequences<'_>) -> (Vec<f32>, Vec<f32>) {
    let Plan {
        batch,
        length,
        heads,
        width,
        ..
    } = *plan;
    let mut log_sums = vec![0.0; batch * heads * length];
    let out = filled(batch * length * plan.model_width(), |out| {
        let out = Target::new(out, plan.model_width());
        log_sums
            .par_chunks_mut(length)
            .enumerate()
            .for_each(|(task, log_sums)| {
                let (b, col) = (task / heads, task % heads * width);
                let mut scores = filled(plan.block() * length, |s| s.fill(0.0));
                for (first, count, keys) in plan.blocks() {
                    let scores = &mut scores[..count * keys];
                    let row = b * length + first;
                    let target = Target::new(scores, keys);
                    let (q, k, v) = (q.head(b, first, col), k.head(b, 0, col), v.head(b, 0, col));
                    // SAFETY: `scores` belongs to this task.
                    unsafe { product_into(target, (0, 0), [count, keys, width], q, k.t(), Store::Replace) };
                    plan.hide(scores, b, first, keys);
                    let mut inverse = [0.0; 128];
                    for (i, row) in scores.chunks_exact_mut(keys).enumerate() {
                        let [sum, log_sum] = soften(row, plan.scale());
                        inverse[i] = if sum > 0.0 { 1.0 / sum } else { sum };
                        log_sums[first + i] = log_sum;
                        if let Some(drop) = &plan.dropout {
                            let index = plan.mask_index(task, first + i);
                            drop_mask(row, index, drop.seed, drop.threshold(), drop.scale());
                        }
                    }
                    let scores = Matrix::new(scores, keys);
                    // SAFETY: these rows and columns of the result belong to this task alone.
                    unsafe {
                        product_into(out, (row, col), [count, width, keys], scores, v, Store::Replace);
                        for (i, &inverse) in inverse[..count].iter().enumerate() {
                            scale_row(out.row(row + i, col, width), inverse);
                        }
                    }
                }
            });
    });
    (out, log_sums)
}

multiversion!(fn scale_row(row: &mut [f32], factor: f32) = scale_body);

#[inline(always)]
fn scale_body<const FMA: bool>(row: &mut [f32], factor: f32) {
    for x in row {
        *x *= factor;
    }
}

multiversion!(fn hide_row(row: &mut [f32], visible: &[bool]) = hide_body);

#[inline(always)]
fn hide_body<const FMA: bool>(row: &mut [f32], visible: &[bool]) {
    for (x, &visible) in row.iter_mut().zip(visible) {
        *x = if visible { *x } else { f32::NEG_INFINITY };
    }
}

/// `e^x`, and 0 for a hidden score.
#[inline(always)]
fn weight<const FMA: bool>(score: f32, scale: f32, shift: f32) -> f32 {
    let e = math::exp::<FMA>(math::fma::<FMA>(score, scale, -shift));
    if score < f32::MIN { 0.0 } else { e }
}

multiversion!(
    /// Scores to weights that are not yet divided by their sum; returns that sum and `log Σ exp`.
    fn soften(row: &mut [f32], scale: f32) -> [f32; 2] = soften_body
);

#[inline(always)]
fn soften_body<const FMA: bool>(row: &mut [f32], scale: f32) -> [f32; 2] {
    let max = math::max(row) * scale;
    if max == f32::NEG_INFINITY {
        // Nothing is visible.
        row.fill(0.0);
        return [0.0, 0.0];
    }
    for x in row.iter_mut() {
        *x = weight::<FMA>(*x, scale, max);
    }
    let sum = math::sum(row.len(), |i| row[i]);
    [sum, max + sum.ln()]
}

/// Gradients of q, k and v, each `[B, L, D]`.
pub(crate) fn backward(
    plan: &Plan,
    q: Sequences<'_>,
    k: Sequences<'_>,
    v: Sequences<'_>,
    log_sums: &[f32],
    dout: Sequences<'_>,
) -> [Vec<f32>; 3] {
    let Plan {
        length, heads, width, ..
    } = *plan;
    let size = plan.batch * length * plan.model_width();
    let (mut dk, mut dv) = (Vec::new(), Vec::new());
    let dq = filled(size, |dq| {
        dk = filled(size, |dk| {
            dv = filled(size, |dv| {
                let [dq, dk, dv] = [dq, dk, dv].map(|d| Target::new(d, plan.model_width()));
                log_sums.par_chunks(length).enumerate().for_each(|(task, log_sums)| {
                    let (b, col) = (task / heads, task % heads * width);
                    let mut weights = vec![0.0; plan.block() * length];
                    let mut grads = vec![0.0; plan.block() * length];
                    let (k, v) = (k.head(b, 0, col), v.head(b, 0, col));
                    // With `causal` the early blocks reach only the early keys: go backwards, so that the first block writes all.
                    let blocks: Vec<_> = plan.blocks().collect();
                    for (index, &(first, count, keys)) in blocks.iter().rev().enumerate() {
                        let (weights, grads) = (&mut weights[..count * keys], &mut grads[..count * keys]);
                        let (q, dout) = (q.head(b, first, col), dout.head(b, first, col));
                        let store = if index == 0 { Store::Replace } else { Store::Add };
                        let row = b * length;
                        let target = Target::new(weights, keys);
                        // SAFETY: `weights` belongs to this task.
                        unsafe { product_into(target, (0, 0), [count, keys, width], q, k.t(), Store::Replace) };
                        plan.hide(weights, b, first, keys);
                        let target = Target::new(grads, keys);
                        // SAFETY: `grads` belongs to this task.
                        unsafe { product_into(target, (0, 0), [count, keys, width], dout, v.t(), Store::Replace) };
                        for (i, (weights, grads)) in weights
                            .chunks_exact_mut(keys)
                            .zip(grads.chunks_exact_mut(keys))
                            .enumerate()
                        {
                            if let Some(drop) = &plan.dropout {
                                let index = plan.mask_index(task, first + i);
                                drop_mask(grads, index, drop.seed, drop.threshold(), drop.scale());
                            }
                            soften_backward(weights, grads, plan.scale(), log_sums[first + i]);
                            if let Some(drop) = &plan.dropout {
                                let index = plan.mask_index(task, first + i);
                                drop_mask(weights, index, drop.seed, drop.threshold(), drop.scale());
                            }
                        }
                        let (weights, grads) = (Matrix::new(weights, keys), Matrix::new(grads, keys));
                        // SAFETY: these rows and columns of the gradients belong to this task alone.
                        unsafe {
                            let at = (row, col);
                            product_into(dv, at, [keys, width, count], weights.t(), dout, store);
                            product_into(dk, at, [keys, width, count], grads.t(), q, store);
                            let at = (row + first, col);
                            product_into(dq, at, [count, width, keys], grads, k, Store::Replace);
                        }
                    }
                });
            });
        });
    });
    [dq, dk, dv]
}

multiversion!(
    /// Scores to weights, and gradients of the weights to gradients of the unscaled scores.
    fn soften_backward(weights: &mut [f32], grads: &mut [f32], scale: f32, log_sum: f32) = soften_backward_body
);

#[inline(always)]
fn soften_backward_body<const FMA: bool>(weights: &mut [f32], grads: &mut [f32], scale: f32, log_sum: f32) {
    for w in weights.iter_mut() {
        *w = weight::<FMA>(*w, scale, log_sum);
    }
    let len = weights.len();
    let grads = &mut grads[..len];
    let dot = math::sum(len, |i| weights[i] * grads[i]);
    for i in 0..len {
        grads[i] = weights[i] * (grads[i] - dot) * scale;
    }
}
