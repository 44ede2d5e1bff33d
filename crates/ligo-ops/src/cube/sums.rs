//! Sums and maxima over the threads of a cube, as a tree, so that the order is fixed.

use cubecl::prelude::*;

/// The sum of one value from each thread of the cube, which has a power of two of them; every thread gets it. `scratch` has a place for each.
#[cube]
pub(crate) fn cube_sum(value: f32, scratch: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    scratch[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM as usize / 2;
    while half > 0 {
        if unit < half {
            let other = scratch[unit + half];
            scratch[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
    let total = scratch[0];
    sync_cube();
    total
}

/// The largest of one value from each thread of the cube, which has a power of two of them; every thread gets it.
#[cube]
pub(crate) fn cube_max(value: f32, scratch: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    scratch[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM as usize / 2;
    while half > 0 {
        if unit < half {
            let other = scratch[unit + half];
            if other > scratch[unit] {
                scratch[unit] = other;
            }
        }
        sync_cube();
        half /= 2;
    }
    let largest = scratch[0];
    sync_cube();
    largest
}
