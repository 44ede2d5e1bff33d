//! Work on the rows of a matrix: how many per task, sums over rows, rows of a table.

use rayon::prelude::*;

use crate::simd::{add_assign, filled};

/// Rows per task: about 32 Ki elements. A function of the shape alone, so that results do not depend on the number of threads.
pub(crate) fn per_task(width: usize) -> usize {
    (32 * 1024 / width.max(1)).clamp(1, 1024)
}

/// Sums partial results in their order.
pub(crate) fn add_up(partial: Vec<Vec<f32>>, width: usize) -> Vec<f32> {
    let mut total = vec![0.0; width];
    for part in &partial {
        add_assign(&mut total, part);
    }
    total
}

/// `Σ` over the rows of a row-major matrix.
pub(crate) fn sum(x: &[f32], width: usize) -> Vec<f32> {
    let chunk = per_task(width) * width;
    let partial = x
        .par_chunks(chunk.max(1))
        .map(|rows| {
            let mut total = vec![0.0; width];
            for row in rows.chunks_exact(width) {
                add_assign(&mut total, row);
            }
            total
        })
        .collect();
    add_up(partial, width)
}

/// `y[i] = table[ids[i]]`.
pub(crate) fn gather(table: &[f32], ids: &[usize], width: usize) -> Vec<f32> {
    filled(ids.len() * width, |y| {
        let chunk = per_task(width);
        let tasks = y.par_chunks_mut(chunk * width).zip(ids.par_chunks(chunk));
        tasks.for_each(|(y, ids)| {
            for (y, id) in y.chunks_exact_mut(width).zip(ids) {
                y.copy_from_slice(&table[id * width..(id + 1) * width]);
            }
        });
    })
}

/// `table[ids[i]] += y[i]` on a zero table of `count` rows. Each task owns a range of ids, and adds in the order of `i`.
pub(crate) fn scatter(y: &[f32], ids: &[usize], count: usize, width: usize) -> Vec<f32> {
    let mut table = vec![0.0; count * width];
    let range = count.div_ceil(8).max(256);
    table
        .par_chunks_mut(range * width)
        .enumerate()
        .for_each(|(task, part)| {
            let first = task * range;
            let last = first + part.len() / width;
            for (y, &id) in y.chunks_exact(width).zip(ids) {
                if (first..last).contains(&id) {
                    add_assign(&mut part[(id - first) * width..(id - first + 1) * width], y);
                }
            }
        });
    table
}
