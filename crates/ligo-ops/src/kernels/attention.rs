//! Attention, one head at a time: scores of a block of queries stay in the cache and are never stored.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    activation::mask as drop_mask,
    level_off::{level_off, level_off_slopes, multiply},
    math,
};
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
    /// Heads of the queries.
    pub(crate) heads: usize,
    /// Heads of the keys and values; each serves as many consecutive query heads as there are for it.
    pub(crate) groups: usize,
    /// Width of one head.
    pub(crate) width: usize,
    pub(crate) causal: bool,
    /// The factor of scores, where it is not that of the width of a head.
    pub(crate) scale: Option<f32>,
    /// Where scores level off.
    pub(crate) cap: Option<f32>,
    /// How far positions see.
    pub(crate) reach: Option<Reach>,
    /// `[B, L]`, ascending in each sequence, where tokens stand as `reach` counts; their index when absent.
    pub(crate) positions: Option<Vec<i64>>,
    /// `[B, L]`, whether a key may be seen.
    pub(crate) visible: Option<Vec<bool>>,
    /// `[B, L]`, the first position of the sequence that is of the same document.
    pub(crate) documents: Option<Vec<u32>>,
    pub(crate) dropout: Option<Dropout>,
}

/// How far a position sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Positions before it.
    pub(crate) back: usize,
    /// Positions behind it; without a limit where those are hidden anyway.
    pub(crate) ahead: usize,
}

impl Reach {
    /// Of a window of so many positions, of which half are behind the one that looks unless it sees earlier ones only.
    pub(crate) fn of(window: usize, causal: bool) -> Self {
        match causal {
            true => Self {
                back: window - 1,
                ahead: usize::MAX,
            },
            false => Self {
                back: window / 2,
                ahead: window / 2,
            },
        }
    }

    /// Whether it hides anything of a sequence of so many tokens that stand side by side.
    pub(crate) fn hides_of(self, length: usize) -> bool {
        let farthest = length.saturating_sub(1);
        self.back < farthest || self.ahead < farthest
    }
}

impl Plan {
    /// Of queries that see all keys; `heads` are those of queries, and of keys and values, of this width each.
    pub(crate) fn all(batch: usize, length: usize, [heads, groups]: [usize; 2], width: usize) -> Self {
        Self {
            batch,
            length,
            heads,
            groups,
            width,
            causal: false,
            scale: None,
            cap: None,
            reach: None,
            positions: None,
            visible: None,
            documents: None,
            dropout: None,
        }
    }

    fn model_width(&self) -> usize {
        self.heads * self.width
    }

    /// The factor of scores.
    pub(crate) fn scale(&self) -> f32 {
        self.scale.unwrap_or_else(|| 1.0 / (self.width as f32).sqrt())
    }

    /// The factor of scores that have been capped, where they are capped.
    fn remaining_scale(&self) -> f32 {
        if self.cap.is_some() { 1.0 } else { self.scale() }
    }

    /// Scales scores and caps them, where they are capped.
    fn cap(&self, scores: &mut [f32]) {
        if let Some(cap) = self.cap {
            level_off(scores, self.scale() / cap, cap);
        }
    }

    /// The keys that the queries `first..=last` of a sequence may see, as far as the window goes.
    fn within_reach(&self, batch: usize, first: usize, last: usize) -> Range<usize> {
        let Some(Reach { back, ahead }) = self.reach else {
            return 0..self.length;
        };
        match &self.positions {
            None => first.saturating_sub(back)..last.saturating_add(ahead).saturating_add(1).min(self.length),
            Some(positions) => {
                let positions = &positions[batch * self.length..][..self.length];
                let distance = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
                let least = positions[first].saturating_sub(distance(back));
                let most = positions[last].saturating_add(distance(ahead));
                positions.partition_point(|p| *p < least)..positions.partition_point(|p| *p <= most)
            }
        }
    }

    /// The most keys that a block of queries sees.
    fn most_keys(&self) -> usize {
        match (&self.reach, &self.positions) {
            (Some(Reach { back, ahead }), None) => {
                let ahead = if self.causal { 0 } else { *ahead };
                let most = self.block().saturating_add(*back).saturating_add(ahead);
                most.min(self.length)
            }
            _ => self.length,
        }
    }

    /// Queries per block: the scores of one block fit into the second-level cache.
    fn block(&self) -> usize {
        if self.length <= 256 { 128 } else { 64 }.min(self.length)
    }

    /// Query heads for each key-value head.
    fn times(&self) -> usize {
        self.heads / self.groups
    }

    /// The blocks of queries of one sequence.
    fn blocks(&self, batch: usize) -> impl DoubleEndedIterator<Item = Block> + '_ {
        let documents = self
            .documents
            .as_ref()
            .map(|d| &d[batch * self.length..][..self.length]);
        (0..self.length.div_ceil(self.block())).map(move |index| {
            let first = index * self.block();
            let count = self.block().min(self.length - first);
            let begin = documents.and_then(|d| d[first..first + count].iter().min());
            let end = if self.causal { first + count } else { self.length };
            let near = self.within_reach(batch, first, first + count - 1);
            Block {
                first,
                count,
                keys: begin.map_or(0, |begin| *begin as usize).max(near.start)..end.min(near.end),
            }
        })
    }

    /// Sets the scores of keys that must not be seen to -∞.
    fn hide(&self, scores: &mut [f32], batch: usize, block: &Block) {
        let Range { start, end } = block.keys;
        let visible = self.visible.as_ref().map(|v| &v[batch * self.length..][start..end]);
        let documents = self
            .documents
            .as_ref()
            .map(|d| &d[batch * self.length..][..self.length]);
        for (i, row) in scores.chunks_exact_mut(end - start).enumerate() {
            let query = block.first + i;
            if let Some(visible) = visible {
                hide_row(row, visible);
            }
            if let Some(documents) = documents {
                hide_others(row, &documents[start..end], documents[query]);
            }
            if self.causal {
                let hidden = (query + 1 - start).min(row.len());
                row[hidden..].fill(f32::NEG_INFINITY);
            }
            if self.reach.is_some() {
                let near = self.within_reach(batch, query, query);
                let hidden = near.start.saturating_sub(start).min(row.len());
                row[..hidden].fill(f32::NEG_INFINITY);
                let hidden = near.end.saturating_sub(start).min(row.len());
                row[hidden..].fill(f32::NEG_INFINITY);
            }
        }
    }

    /// Index of an element in the dropout mask; a task is a query head of a batch element.
    fn mask_index(&self, task: usize, query: usize, key: usize) -> u64 {
        (task as u64 * self.length as u64 + query as u64) * self.length as u64 + key as u64
    }
}

/// Some queries of a sequence that are worked on at once.
struct Block {
    first: usize,
    count: usize,
    /// The keys that any of them may see.
    keys: Range<usize>,
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
                let shared = task % heads / plan.times() * width;
                let mut scores = filled(plan.block() * plan.most_keys(), |s| s.fill(0.0));
                for block in plan.blocks(b) {
                    let (first, count, begin) = (block.first, block.count, block.keys.start);
                    let keys = block.keys.len();
                    let scores = &mut scores[..count * keys];
                    let row = b * length + first;
                    let target = Target::new(scores, keys);
                    let (q, k, v) = (
                        q.head(b, first, col),
                        k.head(b, begin, shared),
                        v.head(b, begin, shared),
                    );
                    // SAFETY: `scores` belongs to this task.
                    unsafe { product_into(target, (0, 0), [count, keys, width], q, k.t(), Store::Replace) };
                    plan.cap(scores);
                    plan.hide(scores, b, &block);
                    let mut inverse = [0.0; 128];
                    for (i, row) in scores.chunks_exact_mut(keys).enumerate() {
                        let [sum, log_sum] = soften(row, plan.remaining_scale());
                        inverse[i] = if sum > 0.0 { 1.0 / sum } else { sum };
                        log_sums[first + i] = log_sum;
                        if let Some(drop) = &plan.dropout {
                            let index = plan.mask_index(task, first + i, begin);
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

multiversion!(fn hide_others(row: &mut [f32], documents: &[u32], own: u32) = hide_others_body);

#[inline(always)]
fn hide_others_body<const FMA: bool>(row: &mut [f32], documents: &[u32], own: u32) {
    for (x, &document) in row.iter_mut().zip(documents) {
        *x = if document == own { *x } else { f32::NEG_INFINITY };
    }
}

/// The weight of a score; 0 for a hidden one, which is -∞.
#[inline(always)]
fn weight<const FMA: bool>(score: f32, scale: f32, shift: f32) -> f32 {
    math::share::<FMA>(math::fma::<FMA>(score, scale, -shift))
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

/// Gradients of q, k and v, each shaped like what it belongs to.
pub(crate) fn backward(
    plan: &Plan,
    q: Sequences<'_>,
    k: Sequences<'_>,
    v: Sequences<'_>,
    log_sums: &[f32],
    dout: Sequences<'_>,
) -> [Vec<f32>; 3] {
    let rows = plan.batch * plan.length;
    let shared_width = plan.groups * plan.width;
    let (mut dk, mut dv) = (Vec::new(), Vec::new());
    let dq = filled(rows * plan.model_width(), |dq| {
        dk = filled(rows * shared_width, |dk| {
            dv = filled(rows * shared_width, |dv| {
                let dq = Target::new(dq, plan.model_width());
                let [dk, dv] = [dk, dv].map(|d| Target::new(d, shared_width));
                // One task for all query heads that share keys: their gradients add up in a fixed order.
                log_sums
                    .par_chunks(plan.length * plan.times())
                    .enumerate()
                    .for_each(|(task, log_sums)| backward_group(plan, task, [q, k, v, dout], log_sums, [dq, dk, dv]));
            });
        });
    });
    [dq, dk, dv]
}

/// The gradients of one key-value head of a batch element and of the query heads that it serves.
fn backward_group(
    plan: &Plan,
    task: usize,
    [q, k, v, dout]: [Sequences<'_>; 4],
    log_sums: &[f32],
    [dq, dk, dv]: [Target<'_>; 3],
) {
    let Plan {
        length, groups, width, ..
    } = *plan;
    let (b, group) = (task / groups, task % groups);
    let (row, shared) = (b * length, group * width);
    let mut weights = vec![0.0; plan.block() * plan.most_keys()];
    let mut grads = weights.clone();
    // Of scores as they are capped, by the scores before.
    let mut slopes = plan.cap.map(|_| weights.clone());
    // Without documents and windows the last block of queries reaches every key, so going backwards the first block writes all.
    let mut store = Store::Replace;
    if plan.documents.is_some() || plan.reach.is_some() {
        for row in row..row + length {
            // SAFETY: these rows and columns of the gradients belong to this task alone.
            unsafe {
                dk.row(row, shared, width).fill(0.0);
                dv.row(row, shared, width).fill(0.0);
            }
        }
        store = Store::Add;
    }
    for (member, log_sums) in log_sums.chunks_exact(length).enumerate() {
        let head = group * plan.times() + member;
        let col = head * width;
        let head = b * plan.heads + head;
        for block in plan.blocks(b).rev() {
            let (first, count, begin) = (block.first, block.count, block.keys.start);
            let keys = block.keys.len();
            let (weights, grads) = (&mut weights[..count * keys], &mut grads[..count * keys]);
            let (q, dout) = (q.head(b, first, col), dout.head(b, first, col));
            let (k, v) = (k.head(b, begin, shared), v.head(b, begin, shared));
            let target = Target::new(weights, keys);
            // SAFETY: `weights` belongs to this task.
            unsafe { product_into(target, (0, 0), [count, keys, width], q, k.t(), Store::Replace) };
            plan.cap(weights);
            let slopes = slopes.as_mut().zip(plan.cap).map(|(slopes, cap)| {
                let slopes = &mut slopes[..count * keys];
                level_off_slopes(weights, slopes, plan.scale(), 1.0 / cap);
                &*slopes
            });
            plan.hide(weights, b, &block);
            let target = Target::new(grads, keys);
            // SAFETY: `grads` belongs to this task.
            unsafe { product_into(target, (0, 0), [count, keys, width], dout, v.t(), Store::Replace) };
            for (i, (weights, grads)) in weights
                .chunks_exact_mut(keys)
                .zip(grads.chunks_exact_mut(keys))
                .enumerate()
            {
                let index = plan.mask_index(head, first + i, begin);
                if let Some(drop) = &plan.dropout {
                    drop_mask(grads, index, drop.seed, drop.threshold(), drop.scale());
                }
                soften_backward(weights, grads, plan.remaining_scale(), log_sums[first + i]);
                if let Some(drop) = &plan.dropout {
                    drop_mask(weights, index, drop.seed, drop.threshold(), drop.scale());
                }
            }
            if let Some(slopes) = slopes {
                multiply(grads, slopes);
            }
            let (weights, grads) = (Matrix::new(weights, keys), Matrix::new(grads, keys));
            // SAFETY: these rows and columns of the gradients belong to this task alone.
            unsafe {
                let at = (row + begin, shared);
                product_into(dv, at, [keys, width, count], weights.t(), dout, store);
                product_into(dk, at, [keys, width, count], grads.t(), q, store);
                let at = (row + first, col);
                product_into(dq, at, [count, width, keys], grads, k, Store::Replace);
            }
            store = Store::Add;
        }
    }
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
