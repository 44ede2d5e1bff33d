//! The gradient of mixing by its weights: a few sums over very long rows, in two stages with a fixed order.

use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::columns::{self, Blocks};
use super::sums::cube_sum;
use super::{UNITS, arg, dims, empty, reshaped, untracked, values};

/// Sources that a thread keeps a sum for; more of them are left to a matrix product.
pub(crate) const SOURCES: usize = 32;
/// Columns of a block at least: so many that its end, a tree for every source, does not count.
const COLUMNS: usize = 4096;
/// Blocks at most; the second stage adds up so many numbers.
const BLOCKS: usize = 512;

/// One cube for each block of columns and row of `dy`.
#[cube(launch)]
fn partial_products(
    dy: &[f32],
    x: &[f32],
    partial: &mut [f32],
    rows: usize,
    length: usize,
    block: usize,
    #[comptime] sources: usize,
    #[comptime] units: usize,
) {
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let row = CUBE_POS_Y as usize;
    let first = CUBE_POS_X as usize * block;
    let mut end = first + block;
    if end > length {
        end = length;
    }
    let mut sums = Array::<f32>::new(sources);
    #[unroll]
    for source in 0..sources {
        sums[source] = 0.0f32;
    }
    let mut column = first + UNIT_POS as usize;
    while column < end {
        let gradient = dy[row * length + column];
        #[unroll]
        for source in 0..sources {
            sums[source] += gradient * x[source * length + column];
        }
        column += units;
    }
    #[unroll]
    for source in 0..sources {
        let total = cube_sum(sums[source], &mut scratch);
        if UNIT_POS == 0 {
            partial[(CUBE_POS_X as usize * rows + row) * sources + source] = total;
        }
    }
}

/// `dy · xᵀ` of `dy [R, n]` and `x [S, n]` with at most [`SOURCES`] sources.
pub(crate) fn weights_gradient(dy: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
    let (dy, x) = (values(dy), values(x));
    let ([rows, length], [sources, _]) = (dims(&dy), dims(&x));
    let each = COLUMNS.max(length.div_ceil(BLOCKS));
    let blocks = Blocks {
        rows: each,
        number: length.div_ceil(each).max(1),
    };
    let partial = empty(&dy, [blocks.number, rows * sources]);
    partial_products::launch(
        &dy.client,
        CubeCount::Static(blocks.number as u32, rows as u32, 1),
        CubeDim::new_1d(UNITS),
        arg(&dy),
        arg(&x),
        arg(&partial),
        rows,
        length,
        each,
        sources,
        UNITS as usize,
    );
    let sums = columns::finish_one(&partial, blocks, rows * sources);
    untracked(reshaped(sums, [rows, sources]))
}
