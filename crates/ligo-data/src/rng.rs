//! Random numbers as a function of their coordinates.
//!
//! Nothing here is cryptographic. SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) passes the usual statistical tests, has a state of one
//! word, and so needs no stored state: the stream is rebuilt from (seed, epoch, sample) whenever it is asked for.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: a bijection of 64-bit words that mixes every input bit into every output bit.
pub(crate) fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// One key from several coordinates; order and number of the coordinates matter.
pub(crate) fn key(coordinates: &[u64]) -> u64 {
    coordinates.iter().fold(GOLDEN, |state, &word| {
        mix(state.wrapping_add(GOLDEN) ^ mix(word.wrapping_add(GOLDEN)))
    })
}

/// A stream of random numbers that starts at a key.
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) fn new(key: u64) -> Self {
        Self(key)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..bound` (`bound > 0`). The bias of the multiplication is below `bound / 2^64`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}
