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
            width,
            ..
        } = self.plan;
        ShapeLaunch::new(self.queries, length, heads, heads / groups, 1.0 / (width as f32).sqrt())
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
            let score = scores[4 * i + j] * shape.scale;
            scores[4 * i + j] = select(visible, score, HIDDEN);
        }
    }
}

/// The weight of a score.
#[cube]
pub(super) fn weight(score: f32, shift: f32) -> f32 {
    select(score < LEAST, 0.0f32, (score - shift).exp())
}

/// Numbers of this thread's four rows: those of `x` from `start` on, 0 beyond `count`.
#[cube]
pub(super) fn of_rows(x: &[f32], start: usize, count: usize, #[comptime] tile: Tile) -> Quad {
    let first = first_row(tile);
    let mut numbers = Quad::new(0.0f32);
    #[unroll]
    for i in 0..4usize {
        if first + i < count {
            numbers.insert(i, x[start + first + i]);
        }
    }
    numbers
}
