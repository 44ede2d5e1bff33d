//! The result, a cube for each tile of queries.

use cubecl::prelude::*;

use super::weights::{
    Call, FLOOR, Shape, Sight, apart, end_tile, extent, extent_of_queries, first_tile, rows, rows_of_keys,
    scale_and_hide, weight,
};
use crate::cube::{
    CubeTensor, arg,
    chance::{Chance, factor},
    empty,
    tile::{Quad, Tile, first_column, first_row, max_along, products, put, sum_along, weighted, write},
};

/// `log_sums [B, H, queries]`: `log Σ exp` of each query's scores, 0 where it sees nothing.
#[cube(launch)]
fn kernel<N: Size>(
    q: &[Vector<f32, N>],
    k: &[Vector<f32, N>],
    v: &[Vector<f32, N>],
    mask: &[f32],
    documents: &[i32],
    out: &mut [Vector<f32, N>],
    log_sums: &mut [f32],
    shape: &Shape,
    chance: &Chance,
    #[comptime] tile: Tile,
    #[comptime] sight: Sight,
) {
    let batch = CUBE_POS_Z as usize;
    let head = CUBE_POS_Y as usize;
    // With a causal mask the last queries see the most keys; they go first.
    let number = (shape.queries - 1) / tile.rows() - CUBE_POS_X as usize;
    let query = number * tile.rows();
    let queries = rows(batch, query, shape.queries, head, shape.heads, tile);
    let first = first_row(tile);
    let row = (batch * shape.heads + head) * shape.queries + query + first;

    let mut pool = Shared::<[Quad]>::new_slice(tile.quads());
    let mut hides = Shared::<[u32]>::new_slice(1usize);
    let mut scores = Array::<f32>::new(16usize);
    let mut part = Array::<Quad>::new(4usize);
    let mut sums = Array::<Quad>::new(comptime![4 * tile.blocks()]);
    let mut largest = Quad::new(FLOOR);
    // Of this thread's columns alone, until the end.
    let mut total = Quad::new(0.0f32);
    let begin = first_tile(query, shape, tile, sight);
    let end = end_tile(query, number, shape, tile, sight);
    let range = extent_of_queries(mask, documents, batch, query, shape, &mut pool, tile, sight);
    for step in begin..end {
        let key = step * tile.rows();
        let key_range = extent(mask, documents, batch, key, shape.length, &mut pool, true, tile, sight);
        if apart(range, key_range, &mut hides, sight) == 0u32 {
            let keys = rows_of_keys(batch, key, head, shape, tile);
            products(q, &queries, k, &keys, &mut pool, &mut scores, tile);
            scale_and_hide(&mut scores, mask, documents, batch, query, key, shape, tile, sight);
            let mut top = largest;
            #[unroll]
            for i in 0..4usize {
                let mut most = largest.extract(i);
                #[unroll]
                for j in 0..4usize {
                    let score = scores[4 * i + j];
                    most = select(score > most, score, most);
                }
                top.insert(i, most);
            }
            let top = max_along(top, &mut pool, tile);
            let fade = (largest - top).exp();
            largest = top;
            #[unroll]
            for i in 0..4usize {
                let mut sum = total.extract(i) * fade.extract(i);
                #[unroll]
                for j in 0..4usize {
                    let mut share = weight(scores[4 * i + j], top.extract(i));
                    sum += share;
                    share *= factor(row + i, key + first_column(tile) + j, shape.length, chance, sight.drops);
                    scores[4 * i + j] = share;
                }
                total.insert(i, sum);
            }
            put(&scores, &mut pool, tile);
            #[unroll]
            for block in 0..tile.blocks() {
                weighted(v, &keys, block, &mut pool, &mut part, false, tile);
                #[unroll]
                for i in 0..4usize {
                    sums[4 * block + i] = sums[4 * block + i] * Quad::new(fade.extract(i)) + part[i];
                }
            }
        }
    }
    let total = sum_along(total, &mut pool, tile);
    #[unroll]
    for i in 0..4usize {
        let sum = total.extract(i);
        let mut inverse = 0.0f32;
        let mut log_sum = 0.0f32;
        if sum != 0.0f32 {
            inverse = 1.0f32 / sum;
            log_sum = largest.extract(i) + sum.ln();
        }
        #[unroll]
        for block in 0..tile.blocks() {
            sums[4 * block + i] *= Quad::new(inverse);
        }
        if first_column(tile) == 0 && first + i < queries.count {
            log_sums[row + i] = log_sum;
        }
    }
    write(out, &queries, &sums, tile);
}

/// The result `[B, queries, H·d]`, and `log Σ exp` of the scores of every query, `[B, H, queries]`.
pub(super) fn run(call: &Call, q: &CubeTensor, k: &CubeTensor, v: &CubeTensor) -> (CubeTensor, CubeTensor) {
    let plan = &call.plan;
    let out = empty(q, q.meta.shape().clone());
    let log_sums = empty(q, [plan.batch, plan.heads, call.queries]);
    let [mask, documents] = call.limits(q);
    let tile = call.tile.on(&[q, k, v, &out]);
    kernel::launch(
        &q.client,
        call.cubes(call.queries, plan.heads),
        tile.cube(),
        tile.lanes(),
        arg(q),
        arg(k),
        arg(v),
        mask,
        documents,
        arg(&out),
        arg(&log_sums),
        call.shape(),
        call.chance(),
        tile,
        call.sight,
    );
    (out, log_sums)
}
