//! One number of each head, four heads to a quad, and the matrices that mix them.

use cubecl::prelude::*;

use crate::cube::{
    chance::{Chance, Drops, factor},
    tile::Quad,
};

/// Quads for so many heads.
pub(super) fn quads(heads: usize) -> usize {
    heads.div_ceil(4)
}

/// Quads of a matrix in shared memory: a row for each head, filled up to whole quads both ways.
pub(super) fn matrix_quads(heads: usize) -> usize {
    4 * quads(heads) * quads(heads)
}

/// The rows of all heads that belong to one query: number `key` of head `h` is at `start + h·stride + key`.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Query {
    pub(super) start: usize,
    pub(super) stride: usize,
    /// The row of head 0 among all rows of weights; that of head `h` is `h·length` further.
    pub(super) row: usize,
    pub(super) length: usize,
}

/// Row `row` of `B·L`.
#[cube]
pub(super) fn query(row: usize, length: usize, #[comptime] heads: usize) -> Query {
    let first = row / length * heads * length + row % length;
    Query {
        start: first * length,
        stride: length * length,
        row: first,
        length,
    }
}

/// Copies `factor · matrix` to shared memory for [`mix`]; `transposed` says that the rows of the matrix are what is mixed.
#[cube]
pub(super) fn load_matrix(
    matrix: &[f32],
    factor: f32,
    shared: &mut Shared<[Quad]>,
    #[comptime] transposed: bool,
    #[comptime] heads: usize,
    #[comptime] units: usize,
) {
    let across = comptime![quads(heads)];
    let mut n = UNIT_POS as usize;
    while n < comptime![matrix_quads(heads)] {
        let from = n / across;
        let mut value = Quad::new(0.0f32);
        #[unroll]
        for lane in 0..4usize {
            let to = n % across * 4 + lane;
            if from < heads && to < heads {
                if comptime![transposed] {
                    value.insert(lane, factor * matrix[from * heads + to]);
                } else {
                    value.insert(lane, factor * matrix[to * heads + from]);
                }
            }
        }
        shared[n] = value;
        n += units;
    }
}

/// `y = matrix · x`.
#[cube]
pub(super) fn mix(x: &Array<Quad>, matrix: &Shared<[Quad]>, y: &mut Array<Quad>, #[comptime] heads: usize) {
    let across = comptime![quads(heads)];
    #[unroll]
    for to in 0..across {
        y[to] = Quad::new(0.0f32);
    }
    #[unroll]
    for from in 0..across {
        let some = x[from];
        #[unroll]
        for lane in 0..4usize {
            let one = Quad::new(some.extract(lane));
            #[unroll]
            for to in 0..across {
                y[to] += matrix[(4 * from + lane) * across + to] * one;
            }
        }
    }
}

/// The numbers of all heads at `key`.
#[cube]
pub(super) fn load(x: &[f32], query: &Query, key: usize, values: &mut Array<Quad>, #[comptime] heads: usize) {
    #[unroll]
    for quad in 0..comptime![quads(heads)] {
        let mut value = Quad::new(0.0f32);
        #[unroll]
        for lane in 0..4usize {
            let head = 4 * quad + lane;
            if head < heads {
                value.insert(lane, x[query.start + head * query.stride + key]);
            }
        }
        values[quad] = value;
    }
}

/// Writes the numbers of all heads at `key`.
#[cube]
pub(super) fn store(x: &mut [f32], query: &Query, key: usize, values: &Array<Quad>, #[comptime] heads: usize) {
    #[unroll]
    for quad in 0..comptime![quads(heads)] {
        let value = values[quad];
        #[unroll]
        for lane in 0..4usize {
            let head = 4 * quad + lane;
            if head < heads {
                x[query.start + head * query.stride + key] = value.extract(lane);
            }
        }
    }
}

/// Drops what is dropped of the weights of all heads at `key`, or of their gradients.
#[cube]
pub(super) fn drop_some(
    values: &mut Array<Quad>,
    query: &Query,
    key: usize,
    chance: &Chance,
    #[comptime] drops: Drops,
    #[comptime] heads: usize,
) {
    if comptime![drops.any] {
        #[unroll]
        for quad in 0..comptime![quads(heads)] {
            let mut value = values[quad];
            #[unroll]
            for lane in 0..4usize {
                let row = query.row + (4 * quad + lane) * query.length;
                let kept = value.extract(lane) * factor(row, key, query.length, chance, drops);
                value.insert(lane, kept);
            }
            values[quad] = value;
        }
    }
}

/// The numbers of all heads in row `row` of `[rows, heads]`.
#[cube]
pub(super) fn load_row(x: &[f32], row: usize, values: &mut Array<Quad>, #[comptime] heads: usize) {
    #[unroll]
    for quad in 0..comptime![quads(heads)] {
        let mut value = Quad::new(0.0f32);
        #[unroll]
        for lane in 0..4usize {
            let head = 4 * quad + lane;
            if head < heads {
                value.insert(lane, x[row * heads + head]);
            }
        }
        values[quad] = value;
    }
}

/// The larger one, number by number.
#[cube]
pub(super) fn larger(a: Quad, b: Quad) -> Quad {
    let mut c = a;
    #[unroll]
    for lane in 0..4usize {
        let one = a.extract(lane);
        let other = b.extract(lane);
        c.insert(lane, select(other > one, other, one));
    }
    c
}

/// The sums of `values` over the threads of a cube, or their maxima, in `values` of each. `scratch` has a place for each quad of each thread.
#[cube]
pub(super) fn over_threads(
    values: &mut Array<Quad>,
    scratch: &mut Shared<[Quad]>,
    #[comptime] largest: bool,
    #[comptime] number: usize,
    #[comptime] units: usize,
) {
    let unit = UNIT_POS as usize;
    sync_cube();
    #[unroll]
    for quad in 0..number {
        scratch[quad * units + unit] = values[quad];
    }
    sync_cube();
    let mut half = comptime![units / 2].runtime();
    while half > 0 {
        if unit < half {
            #[unroll]
            for quad in 0..number {
                let own = scratch[quad * units + unit];
                let other = scratch[quad * units + unit + half];
                if comptime![largest] {
                    scratch[quad * units + unit] = larger(own, other);
                } else {
                    scratch[quad * units + unit] = own + other;
                }
            }
        }
        sync_cube();
        half /= 2;
    }
    #[unroll]
    for quad in 0..number {
        values[quad] = scratch[quad * units];
    }
}
