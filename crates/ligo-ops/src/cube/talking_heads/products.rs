//! Products between heads and their `L × L` scores or weights.

use cubecl::prelude::*;

use super::{CubeTensor, empty, rows::Call};
use crate::cube::{
    arg,
    tile::{self, Quad, Rows, Tile, first_column, first_row, products, put, write},
};

/// Where a thread's block of `[B·H, L, L]` begins, and how much of it there is.
#[derive(CubeType, Clone, Copy)]
struct Block {
    start: usize,
    rows: usize,
    columns: usize,
}

/// The block of this thread in the tile that begins at `query` and `key`.
#[cube]
fn block(matrix: usize, query: usize, key: usize, length: usize, #[comptime] tile: Tile) -> Block {
    let row = query + first_row(tile);
    let column = key + first_column(tile);
    let mut rows = 0usize;
    if row < length {
        rows = length - row;
    }
    let mut columns = 0usize;
    if column < length {
        columns = length - column;
    }
    Block {
        start: (matrix * length + row) * length + column,
        rows,
        columns,
    }
}

/// Positions from `first` on of matrix `b·H + h`, a head of a tensor `[B, L, H·d]`.
#[cube]
fn rows(matrix: usize, heads: usize, first: usize, length: usize, #[comptime] tile: Tile) -> Rows {
    let stride = heads * tile.width;
    Rows {
        start: (matrix / heads * length + first) * stride + matrix % heads * tile.width,
        stride,
        count: length - first,
    }
}

/// `left · rightᵀ` of each head, `[B, H, L, L]`.
#[cube(launch)]
fn scores_kernel<N: Size>(
    left: &[Vector<f32, N>],
    right: &[Vector<f32, N>],
    scores: &mut [f32],
    length: usize,
    heads: usize,
    #[comptime] tile: Tile,
) {
    let matrix = CUBE_POS_Z as usize;
    let query = CUBE_POS_Y as usize * tile.rows();
    let key = CUBE_POS_X as usize * tile.rows();
    let left_rows = rows(matrix, heads, query, length, tile);
    let right_rows = rows(matrix, heads, key, length, tile);
    let mut pool = Shared::<[Quad]>::new_slice(tile.quads());
    let mut own = Array::<f32>::new(16usize);
    products(left, &left_rows, right, &right_rows, &mut pool, &mut own, tile);
    let to = block(matrix, query, key, length, tile);
    #[unroll]
    for i in 0..4usize {
        #[unroll]
        for j in 0..4usize {
            if i < to.rows && j < to.columns {
                scores[to.start + i * length + j] = own[4 * i + j];
            }
        }
    }
}

/// Reads this thread's block of weights.
#[cube]
fn load(weights: &[f32], from: &Block, length: usize, own: &mut Array<f32>) {
    #[unroll]
    for i in 0..4usize {
        #[unroll]
        for j in 0..4usize {
            let mut weight = 0.0f32;
            if i < from.rows && j < from.columns {
                weight = weights[from.start + i * length + j];
            }
            own[4 * i + j] = weight;
        }
    }
}

/// `weights · value` of each head, or `weightsᵀ · value`, as `[B, L, H·d]`.
#[cube(launch)]
fn weighted_kernel<N: Size>(
    weights: &[f32],
    value: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    length: usize,
    heads: usize,
    #[comptime] transposed: bool,
    #[comptime] tile: Tile,
) {
    let matrix = CUBE_POS_Z as usize;
    let target = CUBE_POS_X as usize * tile.rows();
    let mut pool = Shared::<[Quad]>::new_slice(tile.quads());
    let mut own = Array::<f32>::new(16usize);
    let mut part = Array::<Quad>::new(4usize);
    let mut sums = Array::<Quad>::new(comptime![4 * tile.blocks()]);
    for step in 0..CUBE_COUNT_X as usize {
        let source = step * tile.rows();
        let source_rows = rows(matrix, heads, source, length, tile);
        if comptime![transposed] {
            let from = block(matrix, source, target, length, tile);
            load(weights, &from, length, &mut own);
        } else {
            let from = block(matrix, target, source, length, tile);
            load(weights, &from, length, &mut own);
        }
        put(&own, &mut pool, tile);
        #[unroll]
        for columns in 0..tile.blocks() {
            tile::weighted(value, &source_rows, columns, &mut pool, &mut part, transposed, tile);
            #[unroll]
            for i in 0..4usize {
                sums[4 * columns + i] += part[i];
            }
        }
    }
    write(out, &rows(matrix, heads, target, length, tile), &sums, tile);
}

/// `left · rightᵀ` of each head of two tensors `[B, L, H·d]`: `[B, H, L, L]`.
pub(super) fn scores(call: &Call, left: &CubeTensor, right: &CubeTensor) -> CubeTensor {
    let tile = call.tile(left).on(&[left, right]);
    let tiles = tile.along(call.length) as u32;
    let scores = empty(left, [call.batch, call.heads, call.length, call.length]);
    scores_kernel::launch(
        &left.client,
        CubeCount::Static(tiles, tiles, (call.batch * call.heads) as u32),
        tile.cube(),
        tile.lanes(),
        arg(left),
        arg(right),
        arg(&scores),
        call.length,
        call.heads,
        tile,
    );
    scores
}

/// `weights · value` of each head: `[B, L, H·d]`.
pub(super) fn of_rows(call: &Call, weights: &CubeTensor, value: &CubeTensor) -> CubeTensor {
    weighted(call, weights, value, false)
}

/// `weightsᵀ · value` of each head: `[B, L, H·d]`.
pub(super) fn of_columns(call: &Call, weights: &CubeTensor, value: &CubeTensor) -> CubeTensor {
    weighted(call, weights, value, true)
}

fn weighted(call: &Call, weights: &CubeTensor, value: &CubeTensor, transposed: bool) -> CubeTensor {
    let out = empty(value, value.meta.shape().clone());
    let tile = call.tile(value).on(&[value, &out]);
    weighted_kernel::launch(
        &value.client,
        CubeCount::Static(tile.along(call.length) as u32, 1, (call.batch * call.heads) as u32),
        tile.cube(),
        tile.lanes(),
        arg(weights),
        arg(value),
        arg(&out),
        call.length,
        call.heads,
        transposed,
        tile,
    );
    out
}
