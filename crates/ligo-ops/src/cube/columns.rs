//! Sums over the rows of a matrix, in two stages with a fixed order.

use cubecl::prelude::*;

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

#[cube(launch)]
fn finish_one(partial: &[f32], sums: &mut [f32], blocks: usize, columns: usize) {
    let column = ABSOLUTE_POS;
    if column < columns {
        let mut total = 0.0f32;
        for block in 0..blocks {
            total += partial[block * columns + column];
        }
        sums[column] = total;
    }
}

#[cube(launch)]
fn finish_two(partial: &[f32], first: &mut [f32], second: &mut [f32], blocks: usize, columns: usize) {
    let place = ABSOLUTE_POS;
    if place < 2 * columns {
        let mut total = 0.0f32;
        for block in 0..blocks {
            total += partial[block * 2 * columns + place];
        }
        if place < columns {
            first[place] = total;
        } else {
            second[place - columns] = total;
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
    let sums = empty(x, [columns]);
    let (cubes, units) = super::threads(x, columns);
    finish_one::launch(
        &x.client,
        cubes,
        units,
        arg(&partial),
        arg(&sums),
        blocks.number,
        columns,
    );
    sums
}

/// Adds up partial sums `[blocks, 2, columns]` of two quantities.
pub(crate) fn finish_pair(partial: &CubeTensor, blocks: Blocks, columns: usize) -> [CubeTensor; 2] {
    let [first, second] = [(); 2].map(|()| empty(partial, [columns]));
    let (cubes, units) = super::threads(partial, 2 * columns);
    let [a, b, c] = [partial, &first, &second].map(arg);
    finish_two::launch(&partial.client, cubes, units, a, b, c, blocks.number, columns);
    [first, second]
}

/// Adds up partial sums `[blocks, columns]` of one quantity.
pub(crate) fn finish(partial: &CubeTensor, blocks: Blocks, columns: usize) -> CubeTensor {
    let sums = empty(partial, [columns]);
    let (cubes, units) = super::threads(partial, columns);
    finish_one::launch(
        &partial.client,
        cubes,
        units,
        arg(partial),
        arg(&sums),
        blocks.number,
        columns,
    );
    sums
}
