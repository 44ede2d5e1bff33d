//! Sums over the rows of a matrix, in two stages with a fixed order.

use cubecl::prelude::*;

use super::optimizer::sequence;
use super::{CubeTensor, UNITS, arg, count, empty};

/// Rows that one thread adds up at most, unless there are very many rows.
const ROWS: usize = 32;
/// Blocks of rows at most; the second stage adds up so many numbers.
const BLOCKS: usize = 512;

/// How the rows of a matrix are cut into blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    /// Rows of a block; the last one may have fewer.
    pub(crate) rows: usize,
    /// Their number.
    pub(crate) number: usize,
}

impl Blocks {
    pub(crate) fn of(rows: usize) -> Self {
        let each = ROWS.max(rows.div_ceil(BLOCKS));
        Self {
            rows: each,
            number: rows.div_ceil(each).max(1),
        }
    }

    /// A cube for every block and [`UNITS`] columns.
    pub(crate) fn launch(self, columns: usize) -> (CubeCount, CubeDim) {
        let across = columns.div_ceil(UNITS as usize) as u32;
        (
            CubeCount::Static(across.max(1), self.number as u32, 1),
            CubeDim::new_1d(UNITS),
        )
    }
}

#[cube(launch)]
fn partial_sums(x: &[f32], partial: &mut [f32], rows: usize, columns: usize, block: usize) {
    let column = ABSOLUTE_POS_X as usize;
    if column < columns {
        let first = CUBE_POS_Y as usize * block;
        let mut end = first + block;
        if end > rows {
            end = rows;
        }
        let mut total = 0.0f32;
        for row in first..end {
            total += x[row * columns + column];
        }
        partial[CUBE_POS_Y as usize * columns + column] = total;
    }
}

/// Adds up partial sums `[blocks, quantities, columns]`; a row of cubes for each quantity.
#[cube(launch)]
fn finish_sums(
    partial: &[f32],
    mut sums: Sequence<Box<[f32]>>,
    blocks: usize,
    columns: usize,
    #[comptime] quantities: usize,
) {
    let column = ABSOLUTE_POS_X as usize;
    if column < columns {
        let place = CUBE_POS_Y as usize * columns + column;
        let mut total = 0.0f32;
        for block in 0..blocks {
            total += partial[block * quantities * columns + place];
        }
        #[unroll]
        for q in 0..quantities {
            if CUBE_POS_Y == q as u32 {
                let sum = sums.index_mut(q);
                sum[column] = total;
            }
        }
    }
}

/// The sum of all rows of `x [.., columns]`.
pub(crate) fn sum(x: &CubeTensor, columns: usize) -> CubeTensor {
    let rows = count(x) / columns.max(1);
    let blocks = Blocks::of(rows);
    let partial = empty(x, [blocks.number, columns]);
    let (cubes, units) = blocks.launch(columns);
    partial_sums::launch(
        &x.client,
        cubes,
        units,
        arg(x),
        arg(&partial),
        rows,
        columns,
        blocks.rows,
    );
    finish_one(&partial, blocks, columns)
}

/// [`finish`] of one quantity.
pub(crate) fn finish_one(partial: &CubeTensor, blocks: Blocks, columns: usize) -> CubeTensor {
    finish(partial, blocks, columns, 1).swap_remove(0)
}

/// Adds up partial sums `[blocks, quantities, columns]`.
pub(crate) fn finish(partial: &CubeTensor, blocks: Blocks, columns: usize, quantities: usize) -> Vec<CubeTensor> {
    let sums: Vec<CubeTensor> = (0..quantities).map(|_| empty(partial, [columns])).collect();
    let across = columns.div_ceil(UNITS as usize).max(1) as u32;
    finish_sums::launch(
        &partial.client,
        CubeCount::Static(across, quantities as u32, 1),
        CubeDim::new_1d(UNITS),
        arg(partial),
        sequence(&sums),
        blocks.number,
        columns,
        quantities,
    );
    sums
}
