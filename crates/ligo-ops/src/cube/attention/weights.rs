//! What forward and backward share: which keys a query sees, and which weights are dropped.

use cubecl::prelude::*;

use crate::{
    cube::{
        CubeTensor, arg,
        chance::{ChanceLaunch, Drops, chance},
        dims,
        tile::{Quad, Rows, Tile, first_column, first_row},
    },
    kernels::attention::Plan,
};

/// The score of a key that a query must not see.
pub(super) const HIDDEN: f32 = -3.0e38;
/// Below it a score is a hidden one.
pub(super) const LEAST: f32 = -1.0e37;

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
