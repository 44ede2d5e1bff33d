//! Many tensors under each other in one launch.

use cubecl::prelude::*;

use super::optimizer::{rows_of_cubes, sequence, tensors_at_once};
use super::{CubeTensor, arg, count, empty};

/// Rows `first ..` of `out` become the tensors.
#[cube(launch)]
fn copy_rows(tensors: Sequence<Box<[f32]>>, out: &mut [f32], first: usize, #[comptime] number: usize) {
    #[unroll]
    for t in 0..number {
        if CUBE_POS_Y == t as u32 {
            let row = tensors.index(t);
            let length = row.len();
            let start = (first + t) * length;
            let stride = CUBE_COUNT_X as usize * CUBE_DIM_X as usize;
            let mut i = ABSOLUTE_POS_X as usize;
            while i < length {
                out[start + i] = row[i];
                i += stride;
            }
        }
    }
}

/// `[n, len]` of `n` tensors `[len]`, of which there is at least one.
pub(crate) fn stack(tensors: &[CubeTensor]) -> CubeTensor {
    let length = count(&tensors[0]);
    let out = empty(&tensors[0], [tensors.len(), length]);
    let at_once = tensors_at_once(&out, 1, 1);
    for (chunk, some) in tensors.chunks(at_once).enumerate() {
        let (cubes, units) = rows_of_cubes(length, some.len());
        let rows = sequence(some);
        copy_rows::launch(&out.client, cubes, units, rows, arg(&out), chunk * at_once, some.len());
    }
    out
}
