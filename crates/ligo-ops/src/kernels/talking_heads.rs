//! Attention whose heads are mixed: the scores of all heads for a block of queries stay in the cache and are never stored.

use rayon::prelude::*;

use super::{activation::mask as drop_mask, math};
use crate::{
    Dropout,
    simd::{Matrix, Store, Target, filled, multiversion, product_into},
};

/// What a call is besides its tensors.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) batch: usize,
    pub(crate) length: usize,
    pub(crate) heads: usize,
    /// Width of one head.
    pub(crate) width: usize,
    pub(crate) dropout: Option<Dropout>,
}

/// `q`, `k` and `v` `[B, L, H·width]`; the mixing matrices `[H, H]` before and behind the softmax, and the bias `[H]` behind it. One before it
/// would shift all scores of a query alike, which the softmax does not see.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub(crate) q: &'a [f32],
    pub(crate) k: &'a [f32],
    pub(crate) v: &'a [f32],
    pub(crate) before: &'a [f32],
    pub(crate) after: &'a [f32],
    pub(crate) bias: &'a [f32],
}

/// Gradients of the operands.
pub(crate) struct Gradients {
    pub(crate) q: Vec<f32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
    pub(crate) before: Vec<f32>,
    pub(crate) after: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// Some queries of one batch element.
#[derive(Clone, Copy)]
struct Block {
    batch: usize,
    first: usize,
    count: usize,
}

impl Plan {
    fn model_width(&self) -> usize {
        self.heads * self.width
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Queries per block: their scores of all heads fit into the second-level cache a few times.
    fn block(&self) -> usize {
        ((1 << 16) / (self.heads * self.length)).clamp(16, 64).min(self.length)
    }

    fn blocks(&self, batch: usize) -> impl Iterator<Item = Block> + use<> {
        let (length, step) = (self.length, self.block());
        (0..length).step_by(step).map(move |first| Block {
            batch,
            first,
            count: step.min(length - first),
        })
    }

    /// One head of the rows from `row` on.
    fn head<'a>(&self, x: &'a [f32], row: usize, head: usize) -> Matrix<'a> {
        let width = self.model_width();
        Matrix::strided(&x[row * width + head * self.width..], width)
    }

    /// For each head `left · rightᵀ`, the rows of `left` being those of the block: `[H, count, L]`.
    fn products(&self, block: Block, left: &[f32], right: &[f32], out: &mut [f32]) {
        let first = block.batch * self.length;
        let target = Target::new(out, self.length);
        for head in 0..self.heads {
            let (left, right) = (
                self.head(left, first + block.first, head),
                self.head(right, first, head),
            );
            let sizes = [block.count, self.length, self.width];
            let at = (head * block.count, 0);
            // SAFETY: `out` is borrowed uniquely, and no other thread knows of it.
            unsafe { product_into(target, at, sizes, left, right.t(), Store::Replace) };
        }
    }

    /// Drops what is dropped of `[H, count, L]` weights or their gradients.
    fn drop(&self, block: Block, x: &mut [f32]) {
        let Some(drop) = &self.dropout else { return };
        for (index, row) in x.chunks_exact_mut(self.length).enumerate() {
            let (head, query) = (index / block.count, block.first + index % block.count);
            let row_index = (block.batch * self.heads + head) * self.length + query;
            let element = row_index as u64 * self.length as u64;
            drop_mask(row, element, drop.seed, drop.threshold(), drop.scale());
        }
    }

    fn scaled(&self, matrix: &[f32]) -> Vec<f32> {
        matrix.iter().map(|x| x * self.scale()).collect()
    }

    fn transposed(&self, matrix: &[f32]) -> Vec<f32> {
        let entries = 0..self.heads * self.heads;
        entries
            .map(|i| matrix[i % self.heads * self.heads + i / self.heads])
            .collect()
    }
}

/// The result `[B, L, D]` and `log Σ exp` of the mixed scores, `[B, L, H]`.
pub(crate) fn forward(plan: &Plan, x: Operands<'_>) -> (Vec<f32>, Vec<f32>) {
    let (length, heads, width) = (plan.length, plan.heads, plan.width);
    let blocks: Vec<_> = (0..plan.batch).flat_map(|batch| plan.blocks(batch)).collect();
    let before = plan.scaled(x.before);
    let nothing = vec![0.0; heads];
    let mut log_sums = Vec::new();
    let out = filled(plan.batch * length * plan.model_width(), |out| {
        log_sums = filled(plan.batch * length * heads, |log_sums| {
            let (out, log_sums) = (Target::new(out, plan.model_width()), Target::new(log_sums, heads));
            blocks.par_iter().for_each(|&block| {
                let size = heads * block.count * length;
                let (mut scores, mut weights) = (vec![0.0; size], vec![0.0; size]);
                let row = block.batch * length + block.first;
                plan.products(block, x.q, x.k, &mut scores);
                mix(&mut weights, &scores, &before, &nothing);
                for (index, weights) in weights.chunks_exact_mut(length).enumerate() {
                    let (head, query) = (index / block.count, index % block.count);
                    // SAFETY: these rows belong to this task alone.
                    let place = unsafe { log_sums.row(row + query, head, 1) };
                    place[0] = soften(weights);
                }
                mix(&mut scores, &weights, x.after, x.bias);
                plan.drop(block, &mut scores);
                for head in 0..heads {
                    let scores = Matrix::new(&scores[head * block.count * length..], length);
                    let v = plan.head(x.v, block.batch * length, head);
                    let sizes = [block.count, width, length];
                    // SAFETY: these rows of the result belong to this task alone.
                    unsafe { product_into(out, (row, head * width), sizes, scores, v, Store::Replace) };
                }
            });
        });
    });
    (out, log_sums)
}

/// Gradients from that of the result, `dout [B, L, D]`.
pub(crate) fn backward(plan: &Plan, x: Operands<'_>, log_sums: &[f32], dout: &[f32]) -> Gradients {
    let size = plan.batch * plan.length * plan.model_width();
    let (mut dk, mut dv, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    let dq = filled(size, |dq| {
        dk = filled(size, |dk| {
            dv = filled(size, |dv| {
                let targets = [dq, dk, dv].map(|d| Target::new(d, plan.model_width()));
                let batches = (0..plan.batch).into_par_iter();
                parts = batches
                    .map(|batch| element_backward(plan, x, log_sums, dout, batch, targets))
                    .collect();
            });
        });
    });
    let heads = plan.heads;
    let [mut before, mut after, mut bias] = [vec![0.0; heads * heads], vec![0.0; heads * heads], vec![0.0; heads]];
    for part in &parts {
        let sums = [(&mut before, &part[0]), (&mut after, &part[1]), (&mut bias, &part[2])];
        for (sum, part) in sums {
            for (sum, x) in sum.iter_mut().zip(part) {
                *sum += x;
            }
        }
    }
    Gradients {
        q: dq,
        k: dk,
        v: dv,
        before: plan.scaled(&before),
        after,
        bias,
    }
}

/// One batch element: writes its rows of dq, dk and dv, and returns its share of the gradients of the mixing matrices (the first one
/// without the scale) and of the bias.
fn element_backward(
    plan: &Plan,
    x: Operands<'_>,
    log_sums: &[f32],
    dout: &[f32],
    batch: usize,
    [dq, dk, dv]: [Target<'_>; 3],
) -> [Vec<f32>; 3] {
    let (length, heads, width) = (plan.length, plan.heads, plan.width);
    let before = plan.scaled(x.before);
    let (before_t, after_t) = (plan.transposed(&before), plan.transposed(x.after));
    let nothing = vec![0.0; heads];
    let [mut dbefore, mut dafter, mut dbias] = [vec![0.0; heads * heads], vec![0.0; heads * heads], vec![0.0; heads]];
    let mut buffers = [(); 4].map(|()| vec![0.0; heads * plan.block() * length]);
    let start = batch * length;
    for block in plan.blocks(batch) {
        let size = heads * block.count * length;
        let [scores, weights, grads, other] = buffers.each_mut().map(|buffer| &mut buffer[..size]);
        let row = start + block.first;
        let store = if block.first == 0 { Store::Replace } else { Store::Add };
        let of_head = |head: usize| head * block.count * length;

        plan.products(block, x.q, x.k, scores);
        mix(weights, scores, &before, &nothing);
        for (index, weights) in weights.chunks_exact_mut(length).enumerate() {
            let (head, query) = (index / block.count, index % block.count);
            again(weights, log_sums[(row + query) * heads + head]);
        }
        mix(other, weights, x.after, x.bias);
        plan.drop(block, other);
        plan.products(block, dout, x.v, grads);
        plan.drop(block, grads);
        for head in 0..heads {
            let mixed = Matrix::new(&other[of_head(head)..], length);
            let dout = plan.head(dout, row, head);
            // SAFETY: the rows of this batch element belong to this task alone.
            unsafe {
                let sizes = [length, width, block.count];
                product_into(dv, (start, head * width), sizes, mixed.t(), dout, store);
            }
            dbias[head] += total(&grads[of_head(head)..of_head(head) + block.count * length]);
        }
        let columns = block.count * length;
        add_products(&mut dafter, grads, weights, columns);
        mix(other, grads, &after_t, &nothing);
        for (weights, grads) in weights.chunks_exact(length).zip(other.chunks_exact_mut(length)) {
            soften_backward(weights, grads);
        }
        add_products(&mut dbefore, other, scores, columns);
        mix(grads, other, &before_t, &nothing);
        for head in 0..heads {
            let grads = Matrix::new(&grads[of_head(head)..], length);
            let (q, k) = (plan.head(x.q, row, head), plan.head(x.k, start, head));
            let column = head * width;
            // SAFETY: as above.
            unsafe {
                let sizes = [block.count, width, length];
                product_into(dq, (row, column), sizes, grads, k, Store::Replace);
                let sizes = [length, width, block.count];
                product_into(dk, (start, column), sizes, grads.t(), q, store);
            }
        }
    }
    [dbefore, dafter, dbias]
}

/// `sum [H, H] += a [H, n] · bᵀ [n, H]`.
fn add_products(sum: &mut [f32], a: &[f32], b: &[f32], columns: usize) {
    let heads = a.len() / columns;
    let (a, b) = (Matrix::new(a, columns), Matrix::new(b, columns));
    // SAFETY: `sum` is borrowed uniquely, and no other thread knows of it.
    unsafe {
        product_into(
            Target::new(sum, heads),
            (0, 0),
            [heads, heads, columns],
            a,
            b.t(),
            Store::Add,
        );
    }
}

multiversion!(
    /// `y [H, n] = matrix [H, H] · x [H, n] + bias [H]`.
    fn mix(y: &mut [f32], x: &[f32], matrix: &[f32], bias: &[f32]) = mix_body
);

#[inline(always)]
fn mix_body<const FMA: bool>(y: &mut [f32], x: &[f32], matrix: &[f32], bias: &[f32]) {
    /// Columns whose sums stay in registers.
    const TILE: usize = 64;
    let heads = bias.len();
    let n = x.len() / heads;
    let whole = n / TILE * TILE;
    for start in (0..whole).step_by(TILE) {
        for (to, &bias) in bias.iter().enumerate() {
            let mut sums = [bias; TILE];
            for (from, &factor) in matrix[to * heads..][..heads].iter().enumerate() {
                let x = &x[from * n + start..][..TILE];
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum = math::fma::<FMA>(factor, x, *sum);
                }
            }
            y[to * n + start..][..TILE].copy_from_slice(&sums);
        }
    }
    for column in whole..n {
        for (to, &bias) in bias.iter().enumerate() {
            let row = matrix[to * heads..][..heads].iter().enumerate();
            y[to * n + column] = row.fold(bias, |sum, (from, &factor)| {
                math::fma::<FMA>(factor, x[from * n + column], sum)
            });
        }
    }
}

multiversion!(
    /// Scores to weights; returns `log Σ exp`.
    fn soften(row: &mut [f32]) -> f32 = soften_body
);

#[inline(always)]
fn soften_body<const FMA: bool>(row: &mut [f32]) -> f32 {
    let max = math::max(row);
    for x in row.iter_mut() {
        *x = math::share::<FMA>(*x - max);
    }
    let sum = math::sum(row.len(), |i| row[i]);
    let inverse = 1.0 / sum;
    for x in row.iter_mut() {
        *x *= inverse;
    }
    max + sum.ln()
}

multiversion!(
    /// Scores to the weights that [`soften`] made of them.
    fn again(row: &mut [f32], log_sum: f32) = again_body
);

#[inline(always)]
fn again_body<const FMA: bool>(row: &mut [f32], log_sum: f32) {
    for x in row.iter_mut() {
        *x = math::share::<FMA>(*x - log_sum);
    }
}

multiversion!(
    /// Gradients of the weights to gradients of the scores.
    fn soften_backward(weights: &[f32], grads: &mut [f32]) = soften_backward_body
);

#[inline(always)]
fn soften_backward_body<const FMA: bool>(weights: &[f32], grads: &mut [f32]) {
    let grads = &mut grads[..weights.len()];
    let dot = math::sum(weights.len(), |i| weights[i] * grads[i]);
    for (grad, &weight) in grads.iter_mut().zip(weights) {
        *grad = weight * (*grad - dot);
    }
}

multiversion!(fn total(x: &[f32]) -> f32 = total_body);

#[inline(always)]
fn total_body<const FMA: bool>(x: &[f32]) -> f32 {
    math::sum(x.len(), |i| x[i])
}
