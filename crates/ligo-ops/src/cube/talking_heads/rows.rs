//! What happens to the scores of a query: they are mixed, become weights, and are mixed again.
//!
//! A thread has the numbers of all heads at one key at a time. The cube goes over the keys twice: to find what the softmax divides by (or, for
//! gradients, what it subtracts), and to use it; computing the scores' mixture again is cheaper than keeping it.

use cubecl::prelude::*;

use super::heads::{
    drop_some, larger, load, load_matrix, load_row, matrix_quads, mix, over_threads, quads, query, store,
};
use super::{CubeTensor, empty};
use crate::{
    Dropout,
    cube::{
        arg,
        chance::{Chance, Drops, chance},
        tile::{Quad, Tile},
    },
};

/// Threads of a cube.
const UNITS: usize = 64;
/// Queries of a cube in the backward pass, unless there are very many.
const QUERIES: usize = 8;
/// Cubes of the backward pass at most, so that each sum over them is short.
const CUBES: usize = 8192;
/// Where the running maximum begins.
const FLOOR: f32 = -1.0e30;

/// What a call is besides its tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) batch: usize,
    pub(super) length: usize,
    pub(super) heads: usize,
    /// Width of one head.
    pub(super) width: usize,
    pub(super) dropout: Option<Dropout>,
}

impl Call {
    pub(super) fn tile(&self, like: &CubeTensor) -> Tile {
        Tile::of(&like.client, self.length, self.width)
    }

    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    fn rows(&self) -> usize {
        self.batch * self.length
    }

    fn drops(&self) -> Drops {
        Drops::of(self.dropout.as_ref(), self.rows() * self.heads, self.length)
    }
}

/// Whether the backward kernel's shared memory is there.
pub(super) fn fits(client: &Client, heads: usize) -> bool {
    let all = 4 * matrix_quads(heads) + 5 * quads(heads) * UNITS;
    all * size_of::<[f32; 4]>() <= client.properties().hardware.max_shared_memory_size
}

/// Softmax weights of all heads from their mixed scores.
#[cube]
fn soften(mixed: &Array<Quad>, log_sums: &Array<Quad>, weights: &mut Array<Quad>, #[comptime] number: usize) {
    #[unroll]
    for quad in 0..number {
        weights[quad] = (mixed[quad] - log_sums[quad]).exp();
    }
}

/// One cube for each query. `log_sums [B·L, H]`: `log Σ exp` of the mixed scores.
#[cube(launch)]
fn forward_kernel(
    scores: &[f32],
    before: &[f32],
    after: &[f32],
    bias: &[f32],
    weights: &mut [f32],
    log_sums: &mut [f32],
    rows: usize,
    length: usize,
    scale: f32,
    chance: &Chance,
    #[comptime] heads: usize,
    #[comptime] drops: Drops,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let number = comptime![quads(heads)];
    let query = query(row, length, heads);
    let mut mix_before = Shared::<[Quad]>::new_slice(comptime![matrix_quads(heads)]);
    let mut mix_after = Shared::<[Quad]>::new_slice(comptime![matrix_quads(heads)]);
    let mut scratch = Shared::<[Quad]>::new_slice(comptime![quads(heads) * units]);
    load_matrix(before, scale, &mut mix_before, false, heads, units);
    load_matrix(after, 1.0f32, &mut mix_after, false, heads, units);
    sync_cube();

    let mut x = Array::<Quad>::new(number);
    let mut y = Array::<Quad>::new(number);
    let mut top = Array::<Quad>::new(number);
    let mut total = Array::<Quad>::new(number);
    let mut shift = Array::<Quad>::new(number);
    #[unroll]
    for quad in 0..number {
        top[quad] = Quad::new(FLOOR);
        total[quad] = Quad::new(0.0f32);
    }
    let mut key = UNIT_POS as usize;
    while key < length {
        load(scores, &query, key, &mut x, heads);
        mix(&x, &mix_before, &mut y, heads);
        #[unroll]
        for quad in 0..number {
            let most = larger(top[quad], y[quad]);
            total[quad] = total[quad] * (top[quad] - most).exp() + (y[quad] - most).exp();
            top[quad] = most;
        }
        key += units;
    }
    #[unroll]
    for quad in 0..number {
        shift[quad] = top[quad];
    }
    over_threads(&mut shift, &mut scratch, true, number, units);
    #[unroll]
    for quad in 0..number {
        total[quad] = total[quad] * (top[quad] - shift[quad]).exp();
    }
    over_threads(&mut total, &mut scratch, false, number, units);
    #[unroll]
    for quad in 0..number {
        shift[quad] = shift[quad] + total[quad].ln();
    }
    if UNIT_POS == 0 {
        #[unroll]
        for quad in 0..number {
            let of_four = shift[quad];
            #[unroll]
            for lane in 0..4usize {
                let head = 4 * quad + lane;
                if head < heads {
                    log_sums[row * heads + head] = of_four.extract(lane);
                }
            }
        }
    }
    load_row(bias, 0usize, &mut top, heads);
    key = UNIT_POS as usize;
    while key < length {
        load(scores, &query, key, &mut x, heads);
        mix(&x, &mix_before, &mut y, heads);
        soften(&y, &shift, &mut x, number);
        mix(&x, &mix_after, &mut y, heads);
        #[unroll]
        for quad in 0..number {
            y[quad] += top[quad];
        }
        drop_some(&mut y, &query, key, chance, drops, heads);
        store(weights, &query, key, &y, heads);
        key += units;
    }
}

/// Blocks of 4 × 4 pairs of heads.
fn pair_blocks(heads: usize) -> usize {
    quads(heads) * quads(heads)
}

/// Threads that share the keys of one block of pairs.
fn lanes(heads: usize, units: usize) -> usize {
    units / pair_blocks(heads)
}

/// Adds to this thread's block of `Σ left ⊗ right` over the keys in shared memory; each has all heads of a key side by side.
#[cube]
fn add_pairs(
    left: &Shared<[Quad]>,
    right: &Shared<[Quad]>,
    sums: &mut Array<Quad>,
    #[comptime] heads: usize,
    #[comptime] units: usize,
) {
    let number = comptime![quads(heads)];
    let lanes = comptime![lanes(heads, units)];
    let block = UNIT_POS as usize / lanes;
    let lane = UNIT_POS as usize % lanes;
    if block < comptime![pair_blocks(heads)] {
        let mut key = lane;
        while key < units {
            let a = left[key * number + block / number];
            let b = right[key * number + block % number];
            #[unroll]
            for i in 0..4usize {
                sums[i] += Quad::new(a.extract(i)) * b;
            }
            key += lanes;
        }
    }
}

/// Writes the sums of a cube's threads over pairs of heads, `[H, H]`, to `out` from `start` on.
#[cube]
fn write_pairs(
    sums: &Array<Quad>,
    scratch: &mut Shared<[Quad]>,
    out: &mut [f32],
    start: usize,
    #[comptime] heads: usize,
    #[comptime] units: usize,
) {
    let number = comptime![quads(heads)];
    let lanes = comptime![lanes(heads, units)];
    let unit = UNIT_POS as usize;
    #[unroll]
    for i in 0..4usize {
        sync_cube();
        scratch[unit] = sums[i];
        sync_cube();
        if unit < comptime![pair_blocks(heads)] {
            let mut total = Quad::new(0.0f32);
            for lane in 0..lanes {
                total += scratch[unit * lanes + lane];
            }
            let to = unit / number * 4 + i;
            #[unroll]
            for l in 0..4usize {
                let from = unit % number * 4 + l;
                if to < heads && from < heads {
                    out[start + to * heads + from] = total.extract(l);
                }
            }
        }
    }
}

/// One cube for `each` queries. In place, `scores` become the weights that met the values, and `grads`, which come as the gradients of these,
/// become the gradients of the scores. `partial [cubes, 2·H² + H]` gets the cube's share of the gradients of both matrices, the first one without
/// the scale, and of the bias.
#[cube(launch)]
fn backward_kernel(
    scores: &mut [f32],
    grads: &mut [f32],
    log_sums: &[f32],
    before: &[f32],
    after: &[f32],
    bias: &[f32],
    partial: &mut [f32],
    rows: usize,
    length: usize,
    each: usize,
    scale: f32,
    chance: &Chance,
    #[comptime] heads: usize,
    #[comptime] drops: Drops,
    #[comptime] units: usize,
) {
    let number = comptime![quads(heads)];
    let mut mix_before = Shared::<[Quad]>::new_slice(comptime![matrix_quads(heads)]);
    let mut mix_after = Shared::<[Quad]>::new_slice(comptime![matrix_quads(heads)]);
    let mut unmix_before = Shared::<[Quad]>::new_slice(comptime![matrix_quads(heads)]);
    let mut unmix_after = Shared::<[Quad]>::new_slice(comptime![matrix_quads(heads)]);
    let mut scratch = Shared::<[Quad]>::new_slice(comptime![quads(heads) * units]);
    let mut all_scores = Shared::<[Quad]>::new_slice(comptime![quads(heads) * units]);
    let mut all_shares = Shared::<[Quad]>::new_slice(comptime![quads(heads) * units]);
    let mut all_outer = Shared::<[Quad]>::new_slice(comptime![quads(heads) * units]);
    let mut all_inner = Shared::<[Quad]>::new_slice(comptime![quads(heads) * units]);
    load_matrix(before, scale, &mut mix_before, false, heads, units);
    load_matrix(after, 1.0f32, &mut mix_after, false, heads, units);
    load_matrix(before, scale, &mut unmix_before, true, heads, units);
    load_matrix(after, 1.0f32, &mut unmix_after, true, heads, units);
    sync_cube();

    // Of one key: scores, their mixture and gradients come and go in the first three.
    let mut x = Array::<Quad>::new(number);
    let mut y = Array::<Quad>::new(number);
    let mut z = Array::<Quad>::new(number);
    let mut shares = Array::<Quad>::new(number);
    let mut shift = Array::<Quad>::new(number);
    let mut dots = Array::<Quad>::new(number);
    let mut biases = Array::<Quad>::new(number);
    let mut bias_sums = Array::<Quad>::new(number);
    let mut before_sums = Array::<Quad>::new(4usize);
    let mut after_sums = Array::<Quad>::new(4usize);
    load_row(bias, 0usize, &mut biases, heads);

    let first = CUBE_POS_X as usize * each;
    let mut end = first + each;
    if end > rows {
        end = rows;
    }
    for row in first..end {
        let query = query(row, length, heads);
        load_row(log_sums, row, &mut shift, heads);
        #[unroll]
        for quad in 0..number {
            dots[quad] = Quad::new(0.0f32);
        }
        let mut key = UNIT_POS as usize;
        while key < length {
            load(&*scores, &query, key, &mut x, heads);
            mix(&x, &mix_before, &mut y, heads);
            soften(&y, &shift, &mut shares, number);
            load(&*grads, &query, key, &mut x, heads);
            drop_some(&mut x, &query, key, chance, drops, heads);
            mix(&x, &unmix_after, &mut y, heads);
            #[unroll]
            for quad in 0..number {
                dots[quad] += shares[quad] * y[quad];
            }
            key += units;
        }
        over_threads(&mut dots, &mut scratch, false, number, units);

        let mut start = 0usize;
        while start < length {
            key = start + UNIT_POS as usize;
            let place = UNIT_POS as usize * number;
            // The keys before are no longer read.
            sync_cube();
            if key < length {
                load(&*scores, &query, key, &mut x, heads);
                mix(&x, &mix_before, &mut y, heads);
                soften(&y, &shift, &mut shares, number);
                mix(&shares, &mix_after, &mut z, heads);
                #[unroll]
                for quad in 0..number {
                    z[quad] += biases[quad];
                    all_scores[place + quad] = x[quad];
                    all_shares[place + quad] = shares[quad];
                }
                drop_some(&mut z, &query, key, chance, drops, heads);
                store(scores, &query, key, &z, heads);
                load(&*grads, &query, key, &mut x, heads);
                drop_some(&mut x, &query, key, chance, drops, heads);
                mix(&x, &unmix_after, &mut y, heads);
                #[unroll]
                for quad in 0..number {
                    bias_sums[quad] += x[quad];
                    all_outer[place + quad] = x[quad];
                    let inner = shares[quad] * (y[quad] - dots[quad]);
                    y[quad] = inner;
                    all_inner[place + quad] = inner;
                }
                mix(&y, &unmix_before, &mut z, heads);
                store(grads, &query, key, &z, heads);
            } else {
                #[unroll]
                for quad in 0..number {
                    let nothing = Quad::new(0.0f32);
                    all_scores[place + quad] = nothing;
                    all_shares[place + quad] = nothing;
                    all_outer[place + quad] = nothing;
                    all_inner[place + quad] = nothing;
                }
            }
            sync_cube();
            add_pairs(&all_inner, &all_scores, &mut before_sums, heads, units);
            add_pairs(&all_outer, &all_shares, &mut after_sums, heads, units);
            start += units;
        }
    }
    let place = CUBE_POS_X as usize * comptime![2 * heads * heads + heads];
    write_pairs(&before_sums, &mut scratch, partial, place, heads, units);
    write_pairs(
        &after_sums,
        &mut scratch,
        partial,
        place + comptime![heads * heads],
        heads,
        units,
    );
    over_threads(&mut bias_sums, &mut scratch, false, number, units);
    if UNIT_POS == 0 {
        #[unroll]
        for quad in 0..number {
            let of_four = bias_sums[quad];
            #[unroll]
            for lane in 0..4usize {
                let head = 4 * quad + lane;
                if head < heads {
                    partial[place + comptime![2 * heads * heads] + head] = of_four.extract(lane);
                }
            }
        }
    }
}

/// Weights that meet the values, `[B, H, L, L]`, and `log Σ exp` of the mixed scores, `[B·L, H]`.
pub(super) fn forward(
    call: &Call,
    scores: &CubeTensor,
    before: &CubeTensor,
    after: &CubeTensor,
    bias: &CubeTensor,
) -> (CubeTensor, CubeTensor) {
    let weights = empty(scores, scores.meta.shape().clone());
    let log_sums = empty(scores, [call.rows(), call.heads]);
    let one = CubeDim::new_1d(1);
    forward_kernel::launch(
        &scores.client,
        cubecl::calculate_cube_count_elemwise(&scores.client, call.rows(), one),
        CubeDim::new_1d(UNITS as u32),
        arg(scores),
        arg(before),
        arg(after),
        arg(bias),
        arg(&weights),
        arg(&log_sums),
        call.rows(),
        call.length,
        call.scale(),
        chance(call.dropout.as_ref()),
        call.heads,
        call.drops(),
        UNITS,
    );
    (weights, log_sums)
}

/// Turns scores into weights and the weights' gradients into the scores', both in place. Returns partial sums `[.., 2·H² + H]` of the
/// gradients of both matrices, the first one without the scale, and of the bias.
pub(super) fn backward(
    call: &Call,
    scores: &CubeTensor,
    grads: &CubeTensor,
    log_sums: &CubeTensor,
    [before, after, bias]: [&CubeTensor; 3],
) -> CubeTensor {
    let heads = call.heads;
    let each = QUERIES.max(call.rows().div_ceil(CUBES));
    let cubes = call.rows().div_ceil(each);
    let partial = empty(scores, [cubes, 2 * heads * heads + heads]);
    backward_kernel::launch(
        &scores.client,
        CubeCount::Static(cubes as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        arg(scores),
        arg(grads),
        arg(log_sums),
        arg(before),
        arg(after),
        arg(bias),
        arg(&partial),
        call.rows(),
        call.length,
        each,
        call.scale(),
        chance(call.dropout.as_ref()),
        heads,
        call.drops(),
        UNITS,
    );
    partial
}
