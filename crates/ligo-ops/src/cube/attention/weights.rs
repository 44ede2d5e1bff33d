//! What forward and backward share: which keys a query sees, and which weights are dropped.

use cubecl::prelude::*;

use crate::{
    cube::{
        CubeTensor, arg,
        chance::{ChanceLaunch, Drops, chance},
        dims,
        tile::{Quad, Rows, Tile, first_column, first_row, max_along},
    },
    kernels::attention::Plan,
};

/// The score of a key that a query must not see.
pub(super) const HIDDEN: f32 = -3.0e38;
/// Below it a score is a hidden one.
pub(super) const LEAST: f32 = -1.0e37;

/// Below any score or document, above a hidden score.
pub(super) const FLOOR: f32 = -1.0e30;

/// What decides which keys are seen and which weights dropped; each combination is a kernel of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sight {
    pub(super) causal: bool,
    /// Whether there is a mask of keys.
    pub(super) padded: bool,
    /// Whether positions see their own document only.
    pub(super) divided: bool,
    /// Whether there is a window.
    pub(super) windowed: bool,
    /// Whether scores level off.
    pub(super) capped: bool,
    pub(super) drops: Drops,
}

impl Sight {
    /// Whether tiles may be hidden that a causal mask would leave.
    fn has_gaps(self) -> bool {
        self.padded || self.divided
    }
}

/// Numbers of a call.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Shape {
    /// Queries of a sequence.
    pub(super) queries: usize,
    /// Its keys; as many as queries, except where queries see all of them.
    pub(super) length: usize,
    /// Query heads.
    pub(super) heads: usize,
    /// Query heads for each key-value head.
    pub(super) times: usize,
    /// Factor of the scores.
    pub(super) scale: f32,
    /// Where they level off.
    pub(super) cap: f32,
    /// Positions that one sees before itself.
    pub(super) back: usize,
    /// Positions that one sees behind itself.
    pub(super) ahead: usize,
}

/// What a call is besides the tensors it differentiates.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) plan: Plan,
    /// Queries of a sequence; the plan has the number of its keys.
    pub(super) queries: usize,
    pub(super) tile: Tile,
    pub(super) sight: Sight,
    mask: Option<CubeTensor>,
    documents: Option<CubeTensor>,
}

impl Call {
    /// `q [B, queries, H·d]`.
    pub(super) fn new(q: &CubeTensor, plan: Plan, mask: Option<CubeTensor>, documents: Option<CubeTensor>) -> Self {
        let [batch, queries, _] = dims(q);
        Self {
            queries,
            tile: Tile::of(&q.client, plan.length.min(queries), plan.width),
            sight: Sight {
                causal: plan.causal,
                padded: mask.is_some(),
                divided: documents.is_some(),
                windowed: plan.reach.is_some(),
                capped: plan.cap.is_some(),
                drops: Drops::of(plan.dropout.as_ref(), batch * plan.heads * queries, plan.length),
            },
            plan,
            mask,
            documents,
        }
    }

    /// One cube for each tile of `positions` of each of `heads` heads.
    pub(super) fn cubes(&self, positions: usize, heads: usize) -> CubeCount {
        let along = self.tile.along(positions) as u32;
        CubeCount::Static(along, heads as u32, self.plan.batch as u32)
    }

    pub(super) fn shape(&self) -> ShapeLaunch {
        let Plan {
            length,
            heads,
            groups,
            reach,
            cap,
            ..
        } = self.plan;
        // Sums of positions and of these must not overflow.
        let [back, ahead] = reach.map_or([length; 2], |reach| {
            [reach.back, reach.ahead].map(|far| far.min(length))
        });
        let (scale, cap) = (self.plan.scale(), cap.unwrap_or(1.0));
        ShapeLaunch::new(self.queries, length, heads, heads / groups, scale, cap, back, ahead)
    }

    pub(super) fn chance(&self) -> ChanceLaunch {
        chance(self.plan.dropout.as_ref())
    }

    /// The mask and the documents, or something that the kernels do not read.
    pub(super) fn limits(&self, unused: &CubeTensor) -> [BufferArg; 2] {
        [&self.mask, &self.documents].map(|x| arg(x.as_ref().unwrap_or(unused)))
    }
}

/// The rows of head `head` of `heads` from position `first` of sequence `batch` on.
#[cube]
pub(super) fn rows(
    batch: usize,
    first: usize,
    length: usize,
    head: usize,
    heads: usize,
    #[comptime] tile: Tile,
) -> Rows {
    Rows {
        start: (batch * length + first) * heads * tile.width + head * tile.width,
        stride: heads * tile.width,
        count: length - first,
    }
}

/// The rows of keys, or of values, from position `key` on that query head `head` reads.
#[cube]
pub(super) fn rows_of_keys(batch: usize, key: usize, head: usize, shape: &Shape, #[comptime] tile: Tile) -> Rows {
    rows(
        batch,
        key,
        shape.length,
        head / shape.times,
        shape.heads / shape.times,
        tile,
    )
}

/// [`extent`] of the tile of queries from `query` on.
#[cube]
pub(super) fn extent_of_queries(
    mask: &[f32],
    documents: &[i32],
    batch: usize,
    query: usize,
    shape: &Shape,
    pool: &mut Shared<[Quad]>,
    #[comptime] tile: Tile,
    #[comptime] sight: Sight,
) -> Quad {
    extent(mask, documents, batch, query, shape.queries, pool, false, tile, sight)
}

/// What a tile of `length` positions has from `first` on: its smallest document with the sign turned, its largest one, and something above
/// [`FLOOR`] unless the mask hides all of them, which is asked of keys.
#[cube]
pub(super) fn extent(
    mask: &[f32],
    documents: &[i32],
    batch: usize,
    first: usize,
    length: usize,
    pool: &mut Shared<[Quad]>,
    #[comptime] of_keys: bool,
    #[comptime] tile: Tile,
    #[comptime] sight: Sight,
) -> Quad {
    let mut own = Quad::new(FLOOR);
    if comptime![sight.has_gaps()] {
        let at = first + first_column(tile);
        #[unroll]
        for j in 0..4usize {
            if at + j < length {
                let position = batch * length + at + j;
                let mut seen = true;
                if comptime![sight.padded && of_keys] {
                    seen = mask[position] > 0.5f32;
                }
                if seen {
                    let mut document = 0.0f32;
                    if comptime![sight.divided] {
                        document = f32::cast_from(documents[position]);
                    }
                    let least = own.extract(0usize);
                    let most = own.extract(1usize);
                    own.insert(0usize, select(-document > least, -document, least));
                    own.insert(1usize, select(document > most, document, most));
                    own.insert(2usize, 0.0f32);
                }
            }
        }
        own = max_along(own, pool, tile);
    }
    own
}

/// 1 where no query of one tile sees any key of the other, else 0: the same for all threads, so that they may go on to the next tile together.
#[cube]
pub(super) fn apart(queries: Quad, keys: Quad, shared: &mut Shared<[u32]>, #[comptime] sight: Sight) -> u32 {
    if comptime![sight.has_gaps()] {
        let mut apart = 0u32;
        if keys.extract(2usize) <= FLOOR
            || keys.extract(1usize) < -queries.extract(0usize)
            || queries.extract(1usize) < -keys.extract(0usize)
        {
            apart = 1u32;
        }
        sync_cube();
        if UNIT_POS == 0 {
            shared[0] = apart;
        }
        workgroup_uniform_load(&shared[0])
    } else {
        0u32.runtime()
    }
}

/// Scales this thread's scores and hides those of keys that must not be seen. `query` and `key` are the first positions of the tile.
#[cube]
pub(super) fn scale_and_hide(
    scores: &mut Array<f32>,
    mask: &[f32],
    documents: &[i32],
    batch: usize,
    query: usize,
    key: usize,
    shape: &Shape,
    #[comptime] tile: Tile,
    #[comptime] sight: Sight,
) {
    let start = batch * shape.length;
    let from = query + first_row(tile);
    let to = key + first_column(tile);
    let mut own = Array::<i32>::new(4usize);
    if comptime![sight.divided] {
        #[unroll]
        for i in 0..4usize {
            if from + i < shape.queries {
                own[i] = documents[start + from + i];
            }
        }
    }
    #[unroll]
    for j in 0..4usize {
        let at = to + j;
        let mut seen = at < shape.length;
        let mut document = 0i32;
        if at < shape.length {
            if comptime![sight.padded] {
                seen = mask[start + at] > 0.5f32;
            }
            if comptime![sight.divided] {
                document = documents[start + at];
            }
        }
        #[unroll]
        for i in 0..4usize {
            let mut visible = seen;
            if comptime![sight.causal] {
                visible = visible && at <= from + i;
            }
            if comptime![sight.divided] {
                visible = visible && document == own[i];
            }
            if comptime![sight.windowed] {
                visible = visible && at + shape.back >= from + i && at <= from + i + shape.ahead;
            }
            let mut score = scores[4 * i + j] * shape.scale;
            if comptime![sight.capped] {
                score = shape.cap * tanh(score / shape.cap);
            }
            scores[4 * i + j] = select(visible, score, HIDDEN);
        }
    }
}

/// The hyperbolic tangent, by the CPU's formula.
#[cube]
fn tanh(x: f32) -> f32 {
    let square = x * x;
    let above = ((square + 378.0f32) * square + 17_325.0f32) * square + 135_135.0f32;
    let below = ((28.0f32 * square + 3_150.0f32) * square + 62_370.0f32) * square + 135_135.0f32;
    let near = x * (above / below);
    let size = x.abs();
    let far = 1.0f32 - 2.0f32 / ((2.0f32 * size).exp() + 1.0f32);
    let far = select(x < 0.0f32, -far, far);
    select(size < 1.0f32, near, far)
}

/// The slope of a score that may have leveled off, by the product of query and key.
#[cube]
pub(super) fn slope(score: f32, shape: &Shape, #[comptime] sight: Sight) -> f32 {
    let mut slope = shape.scale;
    if comptime![sight.capped] {
        let share = score / shape.cap;
        // A hidden score has none.
        slope = select(score < LEAST, 0.0f32, shape.scale * (1.0f32 - share * share));
    }
    slope
}

/// The first tile of keys that queries from `query` on may see, as far as the window goes.
#[cube]
pub(super) fn first_tile(query: usize, shape: &Shape, #[comptime] tile: Tile, #[comptime] sight: Sight) -> usize {
    let mut first = 0usize;
    if comptime![sight.windowed] {
        if query > shape.back {
            first = (query - shape.back) / tile.rows();
        }
    }
    first
}

/// The tiles of keys up to the last one that the queries of a tile from `query` on may see.
#[cube]
pub(super) fn end_tile(
    query: usize,
    number: usize,
    shape: &Shape,
    #[comptime] tile: Tile,
    #[comptime] sight: Sight,
) -> usize {
    let mut end = (shape.length - 1) / tile.rows() + 1;
    if comptime![sight.causal] {
        end = number + 1;
    } else if comptime![sight.windowed] {
        let last = (query + tile.rows() - 1 + shape.ahead) / tile.rows() + 1;
        end = select(last < end, last, end);
    }
    end
}

/// The weight of a score.
#[cube]
pub(super) fn weight(score: f32, shift: f32) -> f32 {
    select(score < LEAST, 0.0f32, (score - shift).exp())
}

/// Numbers of this thread's four rows: those of `x` from `start` on, 0 beyond `count`.
#[cube]
pub(super) fn numbers(x: &[f32], start: usize, count: usize, #[comptime] tile: Tile) -> Quad {
    let first = first_row(tile);
    let mut own = Quad::new(0.0f32);
    #[unroll]
    for i in 0..4usize {
        if first + i < count {
            own.insert(i, x[start + first + i]);
        }
    }
    own
}
