//! Products of tiles in shared memory and registers: what the kernels of attention are made of.
//!
//! A cube of `side²` threads works on `4·side` rows and as many columns, each thread on a block of 4 × 4. Thread `(x, y)` has rows `4y ..` and
//! columns `4x ..`. Shared memory is one pool of quads. Its first part holds slices of the two factors while scores are computed, and after
//! that the tile of weights, four columns to a quad; behind the weights is the stage, for rows of the factor that weights are applied to.
//! Distances between rows are odd numbers of quads, so that threads which read at the same time meet different banks.
//!
//! Every function begins with a barrier before it writes to shared memory and ends with its last read, so a caller needs none between two
//! calls. All threads of a cube have to call them together.

use cubecl::prelude::*;

use super::CubeTensor;

/// Four numbers that are read together.
pub(crate) type Quad = Vector<f32, Const<4>>;

/// Quads of a row that are in shared memory at a time while scores are computed.
const SLICE: usize = 8;

/// How a kernel cuts its matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    /// Threads along each side of the cube.
    pub(crate) side: usize,
    /// Width of a head.
    pub(crate) width: usize,
    /// Numbers that are read from memory together, 1 or 4.
    lanes: usize,
}

/// Where rows go in the pool, counted in quads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    start: usize,
    rows: usize,
    quads: usize,
    pitch: usize,
    /// Whether row `4x + j` goes to place `j·side + x`. Threads then find their four rows `side` apart and their neighbors' rows one apart.
    spread: bool,
}

impl Tile {
    /// The largest tile whose pool fits into shared memory and that does not waste threads on a sequence of this length.
    pub(crate) fn of(client: &Client, length: usize, width: usize) -> Self {
        let hardware = &client.properties().hardware;
        let wide = Self {
            side: 16,
            width,
            lanes: 1,
        };
        let fits = wide.quads() * size_of::<[f32; 4]>() <= hardware.max_shared_memory_size
            && wide.units() <= hardware.max_units_per_cube as usize;
        if fits && length > 32 {
            wide
        } else {
            Self { side: 8, ..wide }
        }
    }

    /// The same tile for a launch with these tensors, whose numbers are read four at a time where that is possible.
    pub(crate) fn on(self, tensors: &[&CubeTensor]) -> Self {
        let together = size_of::<[f32; 4]>() as u64;
        let whole = |x: &&CubeTensor| x.handle.offset_start.unwrap_or(0).is_multiple_of(together);
        let lanes = if self.width.is_multiple_of(4) && tensors.iter().all(whole) {
            4
        } else {
            1
        };
        Self { lanes, ..self }
    }

    /// Numbers that are read from memory together: the vector size of a launch.
    pub(crate) fn lanes(self) -> usize {
        self.lanes
    }

    /// Rows and columns of a tile.
    pub(crate) fn rows(self) -> usize {
        4 * self.side
    }

    /// Threads of a cube.
    pub(crate) fn units(self) -> usize {
        self.side * self.side
    }

    /// Tiles along a sequence.
    pub(crate) fn along(self, length: usize) -> usize {
        length.div_ceil(self.rows())
    }

    /// Blocks of `4·side` columns that a head has.
    pub(crate) fn blocks(self) -> usize {
        self.width.div_ceil(self.rows())
    }

    /// Quads of shared memory.
    pub(crate) fn quads(self) -> usize {
        let right = self.right();
        let stage = self.stage();
        (right.start + right.rows * right.pitch).max(stage.start + stage.rows * stage.pitch)
    }

    /// The launch dimensions of a cube.
    pub(crate) fn cube(self) -> CubeDim {
        CubeDim::new_1d(self.units() as u32)
    }

    /// Slices that a row is cut into while scores are computed.
    fn slices(self) -> usize {
        self.width.div_ceil(4).div_ceil(SLICE)
    }

    /// Quads of a slice.
    fn slice(self) -> usize {
        self.width.div_ceil(4).div_ceil(self.slices())
    }

    fn left(self) -> Place {
        Place {
            start: 0,
            rows: self.rows(),
            quads: self.slice(),
            pitch: self.slice() | 1,
            spread: false,
        }
    }

    fn right(self) -> Place {
        let left = self.left();
        Place {
            start: left.rows * left.pitch,
            spread: true,
            ..left
        }
    }

    fn stage(self) -> Place {
        Place {
            start: self.rows() * self.pitch(),
            rows: self.rows() / 2,
            quads: self.side,
            pitch: self.side,
            spread: false,
        }
    }

    /// Distance between two rows of weights, in quads.
    fn pitch(self) -> usize {
        self.side + 1
    }
}

/// Consecutive positions of one head of a tensor `[B, L, heads·d]`.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Rows {
    /// Index of the first number.
    pub(crate) start: usize,
    /// Distance between positions.
    pub(crate) stride: usize,
    /// Their number; rows beyond it read as zero and are not written.
    pub(crate) count: usize,
}

/// The first of the four rows of this thread.
#[cube]
pub(crate) fn first_row(#[comptime] tile: Tile) -> usize {
    UNIT_POS as usize / tile.side * 4
}

/// The first of the four columns of this thread.
#[cube]
pub(crate) fn first_column(#[comptime] tile: Tile) -> usize {
    UNIT_POS as usize % tile.side * 4
}

/// Copies rows from `first` on, from `column` on, to their place in shared memory.
#[cube]
fn fill<N: Size>(
    x: &[Vector<f32, N>],
    rows: &Rows,
    first: usize,
    column: usize,
    pool: &mut Shared<[Quad]>,
    #[comptime] place: Place,
    #[comptime] tile: Tile,
) {
    let total = comptime![place.rows * place.quads];
    let mut n = UNIT_POS as usize;
    while n < total {
        let row = n / place.quads;
        let quad = n % place.quads;
        let from = first + row;
        let at = column + 4 * quad;
        let mut value = Quad::new(0.0f32);
        if from < rows.count {
            let index = rows.start + from * rows.stride + at;
            if comptime![tile.lanes == 4] {
                if at < tile.width {
                    let together = x[index / 4];
                    #[unroll]
                    for lane in 0..4usize {
                        value.insert(lane, together.extract(lane));
                    }
                }
            } else {
                #[unroll]
                for lane in 0..4usize {
                    if at + lane < tile.width {
                        value.insert(lane, x[index + lane].extract(0usize));
                    }
                }
            }
        }
        let mut slot = row;
        if comptime![place.spread] {
            slot = row % 4 * tile.side + row / 4;
        }
        pool[place.start + slot * place.pitch + quad] = value;
        n += tile.units();
    }
}

/// `scores[4i + j]`: this thread's row `i` of `left` times its row `j` of `right`, over the width of a head.
#[cube]
pub(crate) fn products<N: Size>(
    left: &[Vector<f32, N>],
    left_rows: &Rows,
    right: &[Vector<f32, N>],
    right_rows: &Rows,
    pool: &mut Shared<[Quad]>,
    scores: &mut Array<f32>,
    #[comptime] tile: Tile,
) {
    let x = UNIT_POS as usize % tile.side;
    let y = UNIT_POS as usize / tile.side;
    let a = comptime![tile.left()];
    let b = comptime![tile.right()];
    #[unroll]
    for n in 0..16usize {
        scores[n] = 0.0f32;
    }
    for slice in 0..tile.slices() {
        let column = slice * comptime![4 * tile.slice()];
        sync_cube();
        fill(left, left_rows, 0usize, column, pool, a, tile);
        fill(right, right_rows, 0usize, column, pool, b, tile);
        sync_cube();
        for quad in 0..tile.slice() {
            let mut of_right = Array::<Quad>::new(4usize);
            #[unroll]
            for j in 0..4usize {
                of_right[j] = pool[b.start + (j * tile.side + x) * b.pitch + quad];
            }
            #[unroll]
            for i in 0..4usize {
                let of_left = pool[a.start + (4 * y + i) * a.pitch + quad];
                #[unroll]
                for j in 0..4usize {
                    let other = of_right[j];
                    let mut sum = scores[4 * i + j];
                    #[unroll]
                    for lane in 0..4usize {
                        sum += of_left.extract(lane) * other.extract(lane);
                    }
                    scores[4 * i + j] = sum;
                }
            }
        }
    }
}

/// Puts this thread's 4 × 4 weights into the tile of weights. Follow it with [`weighted`].
#[cube]
pub(crate) fn put(weights: &Array<f32>, pool: &mut Shared<[Quad]>, #[comptime] tile: Tile) {
    let x = UNIT_POS as usize % tile.side;
    let y = UNIT_POS as usize / tile.side;
    sync_cube();
    #[unroll]
    for i in 0..4usize {
        let mut row = Quad::new(0.0f32);
        #[unroll]
        for j in 0..4usize {
            row.insert(j, weights[4 * i + j]);
        }
        pool[(4 * y + i) * tile.pitch() + x] = row;
    }
}

/// Columns `4·side·block + 4x ..` of the tile of weights, or of the transposed one, times the rows of `value`: one quad for each of this thread's four
/// rows.
#[cube]
pub(crate) fn weighted<N: Size>(
    value: &[Vector<f32, N>],
    rows: &Rows,
    block: usize,
    pool: &mut Shared<[Quad]>,
    sums: &mut Array<Quad>,
    #[comptime] transposed: bool,
    #[comptime] tile: Tile,
) {
    let x = UNIT_POS as usize % tile.side;
    let y = UNIT_POS as usize / tile.side;
    let stage = comptime![tile.stage()];
    #[unroll]
    for i in 0..4usize {
        sums[i] = Quad::new(0.0f32);
    }
    for half in 0..2usize {
        sync_cube();
        fill(value, rows, half * stage.rows, block * tile.rows(), pool, stage, tile);
        sync_cube();
        for quad in 0..comptime![stage.rows / 4] {
            if comptime![transposed] {
                #[unroll]
                for lane in 0..4usize {
                    let at = 4 * quad + lane;
                    let weights = pool[(half * stage.rows + at) * tile.pitch() + y];
                    let row = pool[stage.start + at * stage.pitch + x];
                    #[unroll]
                    for i in 0..4usize {
                        sums[i] += Quad::new(weights.extract(i)) * row;
                    }
                }
            } else {
                let mut weights = Array::<Quad>::new(4usize);
                #[unroll]
                for i in 0..4usize {
                    weights[i] = pool[(4 * y + i) * tile.pitch() + half * comptime![stage.rows / 4] + quad];
                }
                #[unroll]
                for lane in 0..4usize {
                    let row = pool[stage.start + (4 * quad + lane) * stage.pitch + x];
                    #[unroll]
                    for i in 0..4usize {
                        sums[i] += Quad::new(weights[i].extract(lane)) * row;
                    }
                }
            }
        }
    }
}

/// The sum of `value` over the threads that have the same rows; each gets it, added up in the same order.
#[cube]
pub(crate) fn sum_along(value: Quad, pool: &mut Shared<[Quad]>, #[comptime] tile: Tile) -> Quad {
    let start = share(value, pool, tile);
    let mut sum = pool[start];
    for x in 1..tile.side {
        sum += pool[start + x];
    }
    sum
}

/// The largest `value` over the threads that have the same rows, number by number.
#[cube]
pub(crate) fn max_along(value: Quad, pool: &mut Shared<[Quad]>, #[comptime] tile: Tile) -> Quad {
    let start = share(value, pool, tile);
    let mut largest = pool[start];
    for x in 1..tile.side {
        let other = pool[start + x];
        #[unroll]
        for lane in 0..4usize {
            let a = largest.extract(lane);
            let b = other.extract(lane);
            largest.insert(lane, select(b > a, b, a));
        }
    }
    largest
}

/// Puts `value` on the stage, where those of the threads with the same rows lie side by side; returns where they begin.
#[cube]
fn share(value: Quad, pool: &mut Shared<[Quad]>, #[comptime] tile: Tile) -> usize {
    let stage = comptime![tile.stage()];
    let start = stage.start + UNIT_POS as usize / tile.side * tile.pitch();
    sync_cube();
    pool[start + UNIT_POS as usize % tile.side] = value;
    sync_cube();
    start
}

/// Writes `sums`, four quads for each block of columns, to this thread's rows and columns.
#[cube]
pub(crate) fn write<N: Size>(out: &mut [Vector<f32, N>], rows: &Rows, sums: &Array<Quad>, #[comptime] tile: Tile) {
    let x = UNIT_POS as usize % tile.side;
    let first = first_row(tile);
    #[unroll]
    for block in 0..tile.blocks() {
        let column = 4 * (block * tile.side + x);
        #[unroll]
        for i in 0..4usize {
            let row = first + i;
            if row < rows.count {
                let sum = sums[4 * block + i];
                let index = rows.start + row * rows.stride + column;
                if comptime![tile.lanes == 4] {
                    if column < tile.width {
                        let mut together = Vector::<f32, N>::new(0.0f32);
                        #[unroll]
                        for lane in 0..4usize {
                            together.insert(lane, sum.extract(lane));
                        }
                        out[index / 4] = together;
                    }
                } else {
                    #[unroll]
                    for lane in 0..4usize {
                        if column + lane < tile.width {
                            out[index + lane] = Vector::<f32, N>::new(sum.extract(lane));
                        }
                    }
                }
            }
        }
    }
}
