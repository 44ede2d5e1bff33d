//! The gradients: those of queries in a cube for each tile of queries, those of keys and values in a cube for each tile of keys.
//!
//! With weights `P`, their gradients `dP = dO·vᵀ` and `D`, the sums over the rows of `P ∘ dP`, the gradients of the unscaled scores are
//! `dS = P ∘ (dP - D) · scale`, and where scores level off `· (1 - (score / cap)²)`. `D` is also the sum over the rows of `dO ∘ O`, with or without dropout.

use cubecl::prelude::*;

use super::{
    State,
    weights::{
        Shape, Sight, apart, end_tile, extent, extent_of_queries, first_tile, numbers, rows, rows_of_keys,
        scale_and_hide, slope, weight,
    },
};
use crate::cube::{
    CubeTensor, arg,
    chance::{Chance, factor},
    empty,
    tile::{Quad, Rows, Tile, first_column, first_row, products, put, sum_along, weighted, write},
};

/// Scores to weights as they act, and gradients of these to gradients of the unscaled scores. `row` and `key` number the first of each.
#[cube]
fn soften(
    scores: &mut Array<f32>,
    grads: &mut Array<f32>,
    log_sums: Quad,
    dots: Quad,
    row: usize,
    key: usize,
    shape: &Shape,
    chance: &Chance,
    #[comptime] sight: Sight,
) {
    #[unroll]
    for i in 0..4usize {
        #[unroll]
        for j in 0..4usize {
            let weight = weight(scores[4 * i + j], log_sums.extract(i));
            let kept = factor(row + i, key + j, shape.length, chance, sight.drops);
            let grad = grads[4 * i + j] * kept;
            let slope = slope(scores[4 * i + j], shape, sight);
            scores[4 * i + j] = weight * kept;
            grads[4 * i + j] = weight * (grad - dots.extract(i)) * slope;
        }
    }
}

/// The sums of `dout · out` over this thread's rows.
#[cube]
fn row_dots<N: Size>(
    dout: &[Vector<f32, N>],
    out: &[Vector<f32, N>],
    rows: &Rows,
    pool: &mut Shared<[Quad]>,
    #[comptime] tile: Tile,
) -> Quad {
    let first = first_row(tile);
    let mut dots = Quad::new(0.0f32);
    #[unroll]
    for i in 0..4usize {
        let mut sum = 0.0f32;
        if first + i < rows.count {
            let start = (rows.start + (first + i) * rows.stride) / tile.lanes();
            let mut column = UNIT_POS as usize % tile.side;
            while column < comptime![tile.width / tile.lanes()] {
                let products = dout[start + column] * out[start + column];
                #[unroll]
                for lane in 0..tile.lanes() {
                    sum += products.extract(lane);
                }
                column += tile.side;
            }
        }
        dots.insert(i, sum);
    }
    sum_along(dots, pool, tile)
}

/// `dq`, and `dots [B, H, queries]` for [`of_keys`].
#[cube(launch)]
fn of_queries<N: Size>(
    q: &[Vector<f32, N>],
    k: &[Vector<f32, N>],
    v: &[Vector<f32, N>],
    mask: &[f32],
    documents: &[i32],
    out: &[Vector<f32, N>],
    log_sums: &[f32],
    dout: &[Vector<f32, N>],
    dots: &mut [f32],
    dq: &mut [Vector<f32, N>],
    shape: &Shape,
    chance: &Chance,
    #[comptime] tile: Tile,
    #[comptime] sight: Sight,
) {
    let batch = CUBE_POS_Z as usize;
    let head = CUBE_POS_Y as usize;
    let number = (shape.queries - 1) / tile.rows() - CUBE_POS_X as usize;
    let query = number * tile.rows();
    let queries = rows(batch, query, shape.queries, head, shape.heads, tile);
    let first = first_row(tile);
    let start = (batch * shape.heads + head) * shape.queries + query;

    let mut pool = Shared::<[Quad]>::new_slice(tile.quads());
    let mut hides = Shared::<[u32]>::new_slice(1usize);
    let mut scores = Array::<f32>::new(16usize);
    let mut grads = Array::<f32>::new(16usize);
    let mut part = Array::<Quad>::new(4usize);
    let mut sums = Array::<Quad>::new(comptime![4 * tile.blocks()]);
    let own_dots = row_dots(dout, out, &queries, &mut pool, tile);
    if first_column(tile) == 0 {
        #[unroll]
        for i in 0..4usize {
            if first + i < queries.count {
                dots[start + first + i] = own_dots.extract(i);
            }
        }
    }
    let own_log_sums = numbers(log_sums, start, queries.count, tile);
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
            products(dout, &queries, v, &keys, &mut pool, &mut grads, tile);
            soften(
                &mut scores,
                &mut grads,
                own_log_sums,
                own_dots,
                start + first,
                key + first_column(tile),
                shape,
                chance,
                sight,
            );
            put(&grads, &mut pool, tile);
            #[unroll]
            for block in 0..tile.blocks() {
                weighted(k, &keys, block, &mut pool, &mut part, false, tile);
                #[unroll]
                for i in 0..4usize {
                    sums[4 * block + i] += part[i];
                }
            }
        }
    }
    write(dq, &queries, &sums, tile);
}

/// `dk` and `dv`; the query heads of a key-value head come one after the other.
#[cube(launch)]
fn of_keys<N: Size>(
    q: &[Vector<f32, N>],
    k: &[Vector<f32, N>],
    v: &[Vector<f32, N>],
    mask: &[f32],
    documents: &[i32],
    log_sums: &[f32],
    dout: &[Vector<f32, N>],
    dots: &[f32],
    dk: &mut [Vector<f32, N>],
    dv: &mut [Vector<f32, N>],
    shape: &Shape,
    chance: &Chance,
    #[comptime] tile: Tile,
    #[comptime] sight: Sight,
) {
    let batch = CUBE_POS_Z as usize;
    let group = CUBE_POS_Y as usize;
    let tiles = (shape.queries - 1) / tile.rows() + 1;
    let number = CUBE_POS_X as usize;
    let key = number * tile.rows();
    let keys = rows(batch, key, shape.length, group, shape.heads / shape.times, tile);

    let mut pool = Shared::<[Quad]>::new_slice(tile.quads());
    let mut hides = Shared::<[u32]>::new_slice(1usize);
    let mut scores = Array::<f32>::new(16usize);
    let mut grads = Array::<f32>::new(16usize);
    let mut part = Array::<Quad>::new(4usize);
    let mut key_sums = Array::<Quad>::new(comptime![4 * tile.blocks()]);
    let mut value_sums = Array::<Quad>::new(comptime![4 * tile.blocks()]);
    let mut begin = 0usize;
    if comptime![sight.causal] {
        begin = number;
    } else if comptime![sight.windowed] {
        if key > shape.ahead {
            begin = (key - shape.ahead) / tile.rows();
        }
    }
    let mut end = tiles;
    if comptime![sight.windowed] {
        let last = (key + tile.rows() - 1 + shape.back) / tile.rows() + 1;
        end = select(last < tiles, last, tiles);
    }
    let key_range = extent(mask, documents, batch, key, shape.length, &mut pool, true, tile, sight);
    for member in 0..shape.times {
        let head = group * shape.times + member;
        for step in begin..end {
            let query = step * tile.rows();
            let range = extent_of_queries(mask, documents, batch, query, shape, &mut pool, tile, sight);
            if apart(range, key_range, &mut hides, sight) == 0u32 {
                let queries = rows(batch, query, shape.queries, head, shape.heads, tile);
                let start = (batch * shape.heads + head) * shape.queries + query;
                products(q, &queries, k, &keys, &mut pool, &mut scores, tile);
                scale_and_hide(&mut scores, mask, documents, batch, query, key, shape, tile, sight);
                products(dout, &queries, v, &keys, &mut pool, &mut grads, tile);
                soften(
                    &mut scores,
                    &mut grads,
                    numbers(log_sums, start, queries.count, tile),
                    numbers(dots, start, queries.count, tile),
                    start + first_row(tile),
                    key + first_column(tile),
                    shape,
                    chance,
                    sight,
                );
                put(&scores, &mut pool, tile);
                #[unroll]
                for block in 0..tile.blocks() {
                    weighted(dout, &queries, block, &mut pool, &mut part, true, tile);
                    #[unroll]
                    for i in 0..4usize {
                        value_sums[4 * block + i] += part[i];
                    }
                }
                put(&grads, &mut pool, tile);
                #[unroll]
                for block in 0..tile.blocks() {
                    weighted(q, &queries, block, &mut pool, &mut part, true, tile);
                    #[unroll]
                    for i in 0..4usize {
                        key_sums[4 * block + i] += part[i];
                    }
                }
            }
        }
    }
    write(dk, &keys, &key_sums, tile);
    write(dv, &keys, &value_sums, tile);
}

/// The gradient of the queries, and the sums over the rows of `dout · out`, `[B, H, queries]`.
pub(super) fn queries(state: &State, dout: &CubeTensor) -> (CubeTensor, CubeTensor) {
    let State {
        call,
        qkv: [q, k, v],
        out,
        log_sums,
    } = state;
    let dq = empty(q, q.meta.shape().clone());
    let dots = empty(q, log_sums.meta.shape().clone());
    let [mask, documents] = call.limits(q);
    let tile = call.tile.on(&[q, k, v, out, dout, &dq]);
    of_queries::launch(
        &q.client,
        call.cubes(call.queries, call.plan.heads),
        tile.cube(),
        tile.lanes(),
        arg(q),
        arg(k),
        arg(v),
        mask,
        documents,
        arg(out),
        arg(log_sums),
        arg(dout),
        arg(&dots),
        arg(&dq),
        call.shape(),
        call.chance(),
        tile,
        call.sight,
    );
    (dq, dots)
}

/// The gradients of the keys and of the values; `dots` come from [`queries`].
pub(super) fn keys(state: &State, dout: &CubeTensor, dots: &CubeTensor) -> [CubeTensor; 2] {
    let State {
        call,
        qkv: [q, k, v],
        log_sums,
        ..
    } = state;
    let [dk, dv] = [(); 2].map(|()| empty(k, k.meta.shape().clone()));
    let [mask, documents] = call.limits(q);
    let tile = call.tile.on(&[q, k, v, dout, &dk, &dv]);
    of_keys::launch(
        &q.client,
        call.cubes(call.plan.length, call.plan.groups),
        tile.cube(),
        tile.lanes(),
        arg(q),
        arg(k),
        arg(v),
        mask,
        documents,
        arg(log_sums),
        arg(dout),
        arg(dots),
        arg(&dk),
        arg(&dv),
        call.shape(),
        call.chance(),
        tile,
        call.sight,
    );
    [dk, dv]
}
