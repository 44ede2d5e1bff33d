//! AdamW and gradient sums over many tensors in one launch.

use cubecl::prelude::*;

use super::{CubeTensor, UNITS, arg, count};
use crate::kernels::optimizer::Factors;

/// Tensors of one launch at most; each number of them is a kernel of its own to compile.
const TENSORS: usize = 16;
/// Buffers of one launch at most.
const BUFFERS: usize = 32;
/// Cubes for each tensor at most. Beyond that a thread takes several elements.
const CUBES: usize = 1024;

/// A kernel's arguments: the same kind of buffer of several tensors.
pub(super) fn sequence<'a>(tensors: impl IntoIterator<Item = &'a CubeTensor>) -> SequenceArg<Box<[f32]>> {
    tensors.into_iter().map(arg).collect()
}

/// How many tensors a launch can take when each has so many buffers and there are `others` besides.
pub(super) fn tensors_at_once(like: &CubeTensor, buffers: usize, others: usize) -> usize {
    let limit = like.client.properties().hardware.max_bindings as usize;
    (limit.min(BUFFERS + others).saturating_sub(others) / buffers).clamp(1, TENSORS)
}

/// A row of cubes for each of `tensors` tensors, of which the longest has so many elements.
pub(super) fn rows_of_cubes(longest: usize, tensors: usize) -> (CubeCount, CubeDim) {
    let across = longest.div_ceil(UNITS as usize).clamp(1, CUBES) as u32;
    (CubeCount::Static(across, tensors as u32, 1), CubeDim::new_1d(UNITS))
}

/// [`crate::adamw()`] of several tensors. Nothing changes when `statistics` say that the step is not finite.
#[cube(launch)]
fn adamw(
    mut params: Sequence<Box<[f32]>>,
    grads: Sequence<Box<[f32]>>,
    mut first: Sequence<Box<[f32]>>,
    mut second: Sequence<Box<[f32]>>,
    statistics: &[f32],
    keep: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    root: f32,
    eps: f32,
    rate: f32,
    #[comptime] tensors: usize,
) {
    let scale = statistics[2];
    if statistics[3] < 0.5f32 {
        terminate!();
    }
    #[unroll]
    for t in 0..tensors {
        if CUBE_POS_Y == t as u32 {
            let param = params.index_mut(t);
            let grad = grads.index(t);
            let first = first.index_mut(t);
            let second = second.index_mut(t);
            let length = param.len();
            let stride = CUBE_COUNT_X as usize * CUBE_DIM_X as usize;
            let mut i = ABSOLUTE_POS_X as usize;
            while i < length {
                let g = grad[i] * scale;
                let mut m = beta1 * first[i] + rest1 * g;
                let mut v = beta2 * second[i] + rest2 * g * g;
                // As on the CPU: moments that have decayed to nothing are zero.
                if m.abs() < 1e-30f32 {
                    m = 0.0f32;
                }
                if v < 1e-30f32 {
                    v = 0.0f32;
                }
                first[i] = m;
                second[i] = v;
                param[i] = param[i] * keep - rate * m / (v.sqrt() * root + eps);
                i += stride;
            }
        }
    }
}

/// A parameter, its gradient and its moments. All but the gradient are changed in place.
pub(crate) struct Update {
    pub(crate) param: CubeTensor,
    pub(crate) grad: CubeTensor,
    pub(crate) first: CubeTensor,
    pub(crate) second: CubeTensor,
}

/// Updates tensors that share their factors; `statistics` as [`super::statistics`] makes them.
pub(crate) fn update(updates: &[Update], statistics: &CubeTensor, factors: &Factors) {
    let at_once = tensors_at_once(statistics, 4, 1);
    for some in updates.chunks(at_once) {
        let longest = some.iter().map(|update| count(&update.param)).max().unwrap_or(0);
        if longest == 0 {
            continue;
        }
        let (cubes, units) = rows_of_cubes(longest, some.len());
        adamw::launch(
            &statistics.client,
            cubes,
            units,
            sequence(some.iter().map(|update| &update.param)),
            sequence(some.iter().map(|update| &update.grad)),
            sequence(some.iter().map(|update| &update.first)),
            sequence(some.iter().map(|update| &update.second)),
            arg(statistics),
            factors.keep,
            factors.beta1,
            factors.rest1,
            factors.beta2,
            factors.rest2,
            factors.root,
            factors.eps,
            factors.rate,
            some.len(),
        );
    }
}

#[cube(launch)]
fn accumulate(mut sums: Sequence<Box<[f32]>>, new: Sequence<Box<[f32]>>, #[comptime] tensors: usize) {
    #[unroll]
    for t in 0..tensors {
        if CUBE_POS_Y == t as u32 {
            let sum = sums.index_mut(t);
            let new = new.index(t);
            let length = sum.len();
            let stride = CUBE_COUNT_X as usize * CUBE_DIM_X as usize;
            let mut i = ABSOLUTE_POS_X as usize;
            while i < length {
                sum[i] += new[i];
                i += stride;
            }
        }
    }
}

/// Adds each second tensor to the first, in place.
pub(crate) fn add(pairs: &[(CubeTensor, CubeTensor)]) {
    let Some((one, _)) = pairs.first() else { return };
    for some in pairs.chunks(tensors_at_once(one, 2, 0)) {
        let longest = some.iter().map(|(sum, _)| count(sum)).max().unwrap_or(0);
        if longest == 0 {
            continue;
        }
        let (cubes, units) = rows_of_cubes(longest, some.len());
        let sums = sequence(some.iter().map(|(sum, _)| sum));
        let new = sequence(some.iter().map(|(_, new)| new));
        accumulate::launch(&one.client, cubes, units, sums, new, some.len());
    }
}

/// The tensor itself when nothing else holds it, else a copy.
pub(crate) fn writable(x: CubeTensor) -> CubeTensor {
    if x.can_mut() { x } else { x.copy() }
}
