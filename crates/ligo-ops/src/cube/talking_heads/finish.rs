//! The gradients of the matrices and biases from what each cube summed up.

use cubecl::prelude::*;

use super::{CubeTensor, dims, empty, rows::Call};
use crate::cube::{arg, columns, threads};

/// One thread for each entry of `sums [2·H² + H]`.
#[cube(launch)]
fn split(
    sums: &[f32],
    before: &mut [f32],
    shift: &mut [f32],
    after: &mut [f32],
    bias: &mut [f32],
    scale: f32,
    heads: usize,
) {
    let n = ABSOLUTE_POS;
    let entries = heads * heads;
    if n < entries {
        before[n] = sums[n] * scale;
        after[n] = sums[entries + n];
    }
    if n < heads {
        bias[n] = sums[2 * entries + n];
        // It shifts all scores of a query alike, which the softmax does not see.
        shift[n] = 0.0f32;
    }
}

/// The gradients of `before` (matrix, bias) and of `after` (matrix, bias).
pub(super) fn sums(call: &Call, partial: &CubeTensor) -> [CubeTensor; 4] {
    let [_, columns] = dims(partial);
    let sums = columns::sum(partial, columns);
    let heads = call.heads;
    let [before, after] = [(); 2].map(|()| empty(&sums, [heads, heads]));
    let [shift, bias] = [(); 2].map(|()| empty(&sums, [heads]));
    let (number, units) = threads(&sums, heads * heads);
    split::launch(
        &sums.client,
        number,
        units,
        arg(&sums),
        arg(&before),
        arg(&shift),
        arg(&after),
        arg(&bias),
        call.scale(),
        heads,
    );
    [before, shift, after, bias]
}
