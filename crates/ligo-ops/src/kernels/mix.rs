//! Linear combinations of a few long rows: each pass reads and writes every row once, a stretch of all rows at a time.

use rayon::prelude::*;

use super::math::fma;
use crate::simd::{filled, multiversion};

/// Columns per task: all rows of a stretch stay in the cache of one core.
const STRETCH: usize = 2048;

/// Partial sums of a dot product kept side by side.
const LANES: usize = 64;

/// `y[i] = Σ_j weights[i, j] · x[j]` for `[rows, sources, len]`.
pub(crate) fn forward(weights: &[f32], x: &[f32], [rows, sources, len]: [usize; 3]) -> Vec<f32> {
    filled(rows * len, |y| {
        let mut tasks = stretches(y, len);
        tasks.par_iter_mut().enumerate().for_each(|(task, y)| {
            let x: Vec<&[f32]> = x.chunks(len.max(1)).map(|x| stretch(x, task)).collect();
            for (y, weights) in y.iter_mut().zip(weights.chunks(sources)) {
                combine(weights, &x, y);
            }
        });
    })
}

/// `(dy · xᵀ, weightsᵀ · dy)` for `[sources, len]`; the first where there is an `x`, the second on request.
pub(crate) fn backward(
    weights: &[f32],
    x: Option<&[f32]>,
    dy: &[&[f32]],
    [sources, len]: [usize; 2],
    wants_dx: bool,
) -> (Option<Vec<f32>>, Option<Vec<f32>>) {
    let rows = dy.len();
    // Row `j` of the transpose is what source `j` gives to each row.
    let transposed: Vec<f32> = (0..sources * rows)
        .map(|i| weights[i % rows * sources + i / rows])
        .collect();
    let mut partial = Vec::new();
    let mut work = |dx: &mut [f32]| {
        let mut tasks = match wants_dx {
            true => stretches(dx, len),
            false => (0..len.div_ceil(STRETCH)).map(|_| Vec::new()).collect(),
        };
        let tasks = tasks.par_iter_mut().enumerate();
        let parts = tasks.map(|(task, dx)| {
            let dy: Vec<&[f32]> = dy.iter().map(|dy| stretch(dy, task)).collect();
            for (dx, weights) in dx.iter_mut().zip(transposed.chunks(rows)) {
                combine(weights, &dy, dx);
            }
            let x = x.iter().flat_map(|x| x.chunks(len.max(1))).map(|x| stretch(x, task));
            let x: Vec<&[f32]> = x.collect();
            let dots = dy.iter().flat_map(|dy| x.iter().map(move |x| f64::from(dot(dy, x))));
            dots.collect::<Vec<f64>>()
        });
        partial = parts.collect();
    };
    let dx = match wants_dx {
        true => Some(filled(sources * len, work)),
        false => {
            work(&mut []);
            None
        }
    };
    let dw = x.map(|_| {
        // In the order of the stretches, whichever thread took them.
        let sum = |entry: usize| partial.iter().map(|part: &Vec<f64>| part[entry]).sum::<f64>() as f32;
        (0..rows * sources).map(sum).collect()
    });
    (dw, dx)
}

/// The rows of `y`, each `len` long, cut into stretches; what belongs to one stretch lies together.
fn stretches(y: &mut [f32], len: usize) -> Vec<Vec<&mut [f32]>> {
    let mut tasks: Vec<Vec<&mut [f32]>> = (0..len.div_ceil(STRETCH)).map(|_| Vec::new()).collect();
    for row in y.chunks_mut(len.max(1)) {
        for (task, part) in tasks.iter_mut().zip(row.chunks_mut(STRETCH)) {
            task.push(part);
        }
    }
    tasks
}

fn stretch(row: &[f32], task: usize) -> &[f32] {
    let start = task * STRETCH;
    &row[start..(start + STRETCH).min(row.len())]
}

multiversion!(
    /// `y = Σ_j weights[j] · x[j]`.
    fn combine(weights: &[f32], x: &[&[f32]], y: &mut [f32]) = combine_body
);

#[inline(always)]
fn combine_body<const FMA: bool>(weights: &[f32], x: &[&[f32]], y: &mut [f32]) {
    let (Some((first, weights)), Some((start, x))) = (weights.split_first(), x.split_first()) else {
        y.fill(0.0);
        return;
    };
    for (y, x) in y.iter_mut().zip(*start) {
        *y = first * x;
    }
    for (weight, x) in weights.iter().zip(x) {
        for (y, x) in y.iter_mut().zip(*x) {
            *y = fma::<FMA>(*weight, *x, *y);
        }
    }
}

multiversion!(
    /// `Σ a·b` in an order that depends on the length alone.
    fn dot(a: &[f32], b: &[f32]) -> f32 = dot_body
);

#[inline(always)]
fn dot_body<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] = fma::<FMA>(a[lane], b[lane], lanes[lane]);
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane = fma::<FMA>(*a, *b, *lane);
    }
    lanes.iter().sum()
}
