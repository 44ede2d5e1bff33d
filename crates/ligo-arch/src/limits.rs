//! The sizes and numbers that a configuration may have, checked before anything is made from them.

use crate::Error;

/// The largest sizes: far above every published model, and so small that no product of them overflows and the table of a model fits into memory.
pub(crate) const LAYERS: usize = 10_000;
pub(crate) const WIDTH: usize = 1 << 20;
pub(crate) const HEADS: usize = 1 << 16;
pub(crate) const NEURONS: usize = 1 << 24;
pub(crate) const VOCABULARY: usize = 1 << 26;
pub(crate) const POSITIONS: usize = 1 << 27;
pub(crate) const CLASSES: usize = 1 << 24;
pub(crate) const CHANNELS: usize = 1 << 10;
pub(crate) const PIXELS: usize = 1 << 16;
pub(crate) const PATCH: usize = 1 << 12;
/// Width of all heads together.
const HEADS_WIDTH: usize = 1 << 24;

/// Heads share the width evenly.
pub(crate) fn heads_divide(heads: usize, hidden: usize) -> Result<(), Error> {
    match hidden.is_multiple_of(heads) {
        true => Ok(()),
        false => Err(Error::HeadsDoNotDivide { heads, hidden }),
    }
}

/// Refuses sizes of zero, and those that no model has: `(field, size, the most)`.
pub(crate) fn sizes<const N: usize>(sizes: [(&'static str, usize, usize); N]) -> Result<(), Error> {
    for (field, found, most) in sizes {
        if found == 0 {
            return Err(Error::Zero { field });
        }
        if found > most {
            return Err(Error::TooLarge { field, found, most });
        }
    }
    Ok(())
}

/// Refuses heads that are too wide together; both sizes are checked on their own before.
pub(crate) fn heads(heads: usize, width: usize) -> Result<(), Error> {
    sizes([(
        "num_attention_heads · head_dim",
        heads.saturating_mul(width),
        HEADS_WIDTH,
    )])
}

/// Refuses probabilities with which nothing would be left, or that are none.
pub(crate) fn dropouts<const N: usize>(dropouts: [(&'static str, f64); N]) -> Result<(), Error> {
    let fits = |share: f64| (0.0..1.0).contains(&share);
    numbers(dropouts, fits, "at least 0 and less than 1")
}

/// Refuses an ε that is nothing, or zero, as an `f32`, or outweighs what is normalized.
pub(crate) fn epsilon(field: &'static str, found: f64) -> Result<(), Error> {
    let fits = |epsilon: f64| epsilon as f32 > 0.0 && epsilon <= 1.0;
    numbers([(field, found)], fits, "more than 0 and at most 1, such as 1e-5")
}

/// Refuses a standard deviation of fresh matrices that is none.
pub(crate) fn deviation(field: &'static str, found: f64) -> Result<(), Error> {
    let fits = |deviation: f64| (0.0..=1e3).contains(&deviation);
    numbers([(field, found)], fits, "0 to 1000, such as 0.02")
}

/// Refuses the base of a rotation from which no angles follow.
pub(crate) fn base(field: &'static str, found: f64) -> Result<(), Error> {
    let fits = |base: f64| base > 0.0 && (base as f32).is_finite();
    numbers([(field, found)], fits, "a number above 0, such as 10000")
}

fn numbers<const N: usize>(
    numbers: [(&'static str, f64); N],
    fits: impl Fn(f64) -> bool,
    expected: &'static str,
) -> Result<(), Error> {
    match numbers.into_iter().find(|(_, found)| !fits(*found)) {
        Some((field, found)) => Err(Error::Number { field, found, expected }),
        None => Ok(()),
    }
}
