//! Rotation of pairs of elements by angles of a table.

use rayon::prelude::*;

use super::rows;
use crate::simd::multiversion;

/// Cosines and sines, `[rows, half]` each; row `r` of a tensor is turned by row `r mod rows`.
#[derive(Clone, Copy)]
pub(crate) struct Angles<'a> {
    pub(crate) cos: &'a [f32],
    pub(crate) sin: &'a [f32],
    /// Pairs of a head that are turned.
    pub(crate) half: usize,
    /// The width of a head; what is behind its pairs stays.
    pub(crate) head: usize,
}

/// Turns elements `i` and `i + half` of every head of every row of `x`, forward, or backward when `sign` is -1.
pub(crate) fn rotate(x: &[f32], width: usize, angles: Angles<'_>, sign: f32, y: &mut [f32]) {
    let chunk = rows::per_task(width);
    let Angles { cos, sin, half, head } = angles;
    y.par_chunks_mut(chunk * width)
        .zip(x.par_chunks(chunk * width))
        .enumerate()
        .for_each(|(task, (y, x))| rotate_rows(x, width, cos, sin, [half, head], sign, task * chunk, y));
}

multiversion!(
    fn rotate_rows(
        x: &[f32],
        width: usize,
        cos: &[f32],
        sin: &[f32],
        sizes: [usize; 2],
        sign: f32,
        first: usize,
        y: &mut [f32],
    ) = rotate_body
);

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a SIMD body takes plain slices and numbers")]
fn rotate_body<const FMA: bool>(
    x: &[f32],
    width: usize,
    cos: &[f32],
    sin: &[f32],
    [half, head]: [usize; 2],
    sign: f32,
    first: usize,
    y: &mut [f32],
) {
    let rows = cos.len() / half;
    for (index, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate() {
        let at = (first + index) % rows * half;
        let (cos, sin) = (&cos[at..at + half], &sin[at..at + half]);
        for (x, y) in x.chunks_exact(head).zip(y.chunks_exact_mut(head)) {
            let (x, still) = x.split_at(2 * half);
            let (y, kept) = y.split_at_mut(2 * half);
            kept.copy_from_slice(still);
            let (a, b) = x.split_at(half);
            let (first, second) = y.split_at_mut(half);
            for i in 0..half {
                let (c, s) = (cos[i], sign * sin[i]);
                first[i] = a[i] * c - b[i] * s;
                second[i] = b[i] * c + a[i] * s;
            }
        }
    }
}
