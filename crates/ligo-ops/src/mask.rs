//! Which elements dropout drops: a pure function of a seed and of the element's index.

/// Which elements are dropped, and with what probability.
///
/// The mask is a function of `(seed, element index)` only: forward and backward agree, a resumed run repeats it, and no global random
/// generator is touched. Give every layer and step its own seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Probability of setting an element to zero, in `[0, 1)`; kept elements are scaled by `1 / (1 - probability)`.
    pub probability: f64,
    /// Seed of the mask.
    pub seed: u64,
}

impl Dropout {
    /// Elements whose 32 hash bits are below this number are dropped.
    pub(crate) fn threshold(&self) -> u32 {
        (self.probability.clamp(0.0, 1.0) * 4_294_967_296.0).min(4_294_967_295.0) as u32
    }

    /// Factor of a kept element.
    pub(crate) fn scale(&self) -> f32 {
        if self.probability < 1.0 {
            (1.0 / (1.0 - self.probability)) as f32
        } else {
            0.0
        }
    }

    /// The lower and the upper half of the seed.
    #[cfg(feature = "cube")]
    pub(crate) fn halves(&self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    /// Factors of the first `count` elements: 0 where dropped, [`Self::scale`] elsewhere.
    pub(crate) fn factors(&self, count: usize) -> Vec<f32> {
        let (threshold, scale) = (self.threshold(), self.scale());
        (0..count as u64)
            .map(|index| if hash(self.seed, index) < threshold { 0.0 } else { scale })
            .collect()
    }
}

/// 32 well-mixed bits of `(seed, index)`: two rounds of a multiply-xorshift mixer, keyed by the halves of the seed.
#[inline(always)]
pub(crate) fn hash(seed: u64, index: u64) -> u32 {
    let low = mix(index as u32 ^ seed as u32);
    mix(low ^ (index >> 32) as u32 ^ (seed >> 32) as u32)
}

#[inline(always)]
fn mix(mut h: u32) -> u32 {
    // Adding a constant first keeps (0, 0) from being a fixed point of the mixer.
    h = h.wrapping_add(0x9E37_79B9);
    h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
    h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
    h ^ (h >> 16)
}
