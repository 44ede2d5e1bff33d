//! Dropout of attention weights where they are made: element `row·L + key` of the mask, bit for bit as on the CPU.

use cubecl::prelude::*;

use super::dropout::hash;
use crate::Dropout;

/// Halves of the seed, and what [`Dropout`] makes of its probability.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Chance {
    low: u32,
    high: u32,
    /// Elements whose hash is below are dropped.
    threshold: u32,
    /// Factor of the others.
    keep: f32,
}

/// Whether weights are dropped, and whether there are more of them than 32 bits can number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Drops {
    pub(crate) any: bool,
    pub(crate) wide: bool,
}

impl Drops {
    /// For `rows` rows of `length` weights.
    pub(crate) fn of(dropout: Option<&Dropout>, rows: usize, length: usize) -> Self {
        Self {
            any: dropout.is_some(),
            wide: rows as u64 * length as u64 > 1 << 32,
        }
    }
}

/// A kernel's argument; without dropout one that it does not read.
pub(crate) fn chance(dropout: Option<&Dropout>) -> ChanceLaunch {
    match dropout {
        Some(dropout) => {
            let [low, high] = dropout.halves();
            ChanceLaunch::new(low, high, dropout.threshold(), dropout.scale())
        }
        None => ChanceLaunch::new(0, 0, 0, 1.0),
    }
}

/// The factor of weight `key` of row `row`: 0 where it is dropped.
#[cube]
pub(crate) fn factor(row: usize, key: usize, length: usize, chance: &Chance, #[comptime] drops: Drops) -> f32 {
    let mut factor = 1.0f32;
    if comptime![drops.any] {
        let start = row as u32 * length as u32;
        let index = start + key as u32;
        let mut high = chance.high;
        if comptime![drops.wide] {
            let mut above = (row as u32).mul_hi(length as u32);
            if index < start {
                above += 1u32;
            }
            high ^= above;
        }
        factor = select(hash(chance.low, high, index) < chance.threshold, 0.0f32, chance.keep);
    }
    factor
}
