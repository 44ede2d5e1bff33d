//! What a step's loss and gradients amount to, without the host: clipping and the test for NaN stay on the device.

use cubecl::prelude::*;

use super::optimizer::{sequence, tensors_at_once};
use super::sums::cube_sum;
use super::{CubeTensor, UNITS, arg, empty};

/// Cubes for each tensor: as many partial sums.
const CUBES: usize = 512;

#[cube(launch)]
fn partial_squares(
    tensors: Sequence<Box<[f32]>>,
    partial: &mut [f32],
    offset: usize,
    #[comptime] number: usize,
    #[comptime] units: usize,
) {
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let mut total = 0.0f32;
    #[unroll]
    for t in 0..number {
        if CUBE_POS_Y == t as u32 {
            let length = tensors[t].len();
            let stride = CUBE_COUNT_X as usize * CUBE_DIM_X as usize;
            let mut i = ABSOLUTE_POS_X as usize;
            while i < length {
                let value = tensors[t][i];
                total += value * value;
                i += stride;
            }
        }
    }
    let total = cube_sum(total, &mut scratch);
    if UNIT_POS == 0 {
        partial[offset + CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize] = total;
    }
}

/// Whether neither NaN nor infinite, by the exponent's bits.
#[cube]
fn is_finite(x: f32) -> bool {
    (u32::reinterpret(x) & 0x7F80_0000u32) != 0x7F80_0000u32
}

/// `result`: loss, norm, the factor that clips the norm at `clip` (0: never), and 1 where loss and norm are finite, else 0. One cube.
#[cube(launch)]
fn conclude(partial: &[f32], loss: &[f32], result: &mut [f32], parts: usize, clip: f32, #[comptime] units: usize) {
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let mut total = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < parts {
        total += partial[i];
        i += units;
    }
    let norm = cube_sum(total, &mut scratch).sqrt();
    if UNIT_POS == 0 {
        let mut scale = 1.0f32;
        if clip > 0.0f32 {
            scale = clip / (norm + 1e-6f32);
            if scale > 1.0f32 {
                scale = 1.0f32;
            }
        }
        let mut finite = 0.0f32;
        if is_finite(norm) && is_finite(loss[0]) {
            finite = 1.0f32;
        }
        result[0] = loss[0];
        result[1] = norm;
        result[2] = scale;
        result[3] = finite;
    }
}

/// `[4]`: the loss, the norm of all gradients together, the factor that clips it, and 1 where both numbers are finite, else 0.
pub(crate) fn statistics(loss: &CubeTensor, gradients: &[CubeTensor], clip_norm: f64) -> CubeTensor {
    let parts = (gradients.len() * CUBES).max(1);
    let partial = empty(loss, [parts]);
    let at_once = tensors_at_once(loss, 1, 1);
    let units = CubeDim::new_1d(UNITS);
    for (number, some) in gradients.chunks(at_once).enumerate() {
        partial_squares::launch(
            &loss.client,
            CubeCount::Static(CUBES as u32, some.len() as u32, 1),
            units,
            sequence(some),
            arg(&partial),
            number * at_once * CUBES,
            some.len(),
            UNITS as usize,
        );
    }
    let result = empty(loss, [4]);
    let [a, b, c] = [&partial, loss, &result].map(arg);
    let summed = if gradients.is_empty() { 0 } else { parts };
    let one = CubeCount::Static(1, 1, 1);
    conclude::launch(
        &loss.client,
        one,
        units,
        a,
        b,
        c,
        summed,
        clip_norm as f32,
        UNITS as usize,
    );
    result
}
