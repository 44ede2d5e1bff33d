//! Speed measurements: the same work in `ligo` and in PyTorch, in turn, on the same machine.
//!
//! `cargo run --release -p ligo-benches --bin bert-step` trains one small BERT on both sides with the same weights and inputs. Machines drift
//! by more than the differences of interest, so the two take turns and the median of the ratios counts.
//!
//! `cargo run --release -p ligo-benches --bin scaling` does so with one run on one and two ranks, and with the sum of gradients beside others'.

pub mod bert;
pub mod counted;
pub mod growing;
#[cfg(feature = "wgpu")]
pub mod launches;
pub mod peak;
pub mod scaling;
pub mod torch;

/// Sizes of the measured model; `pytorch/bert_step.py` receives them as its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Encoder layers.
    pub layers: usize,
    /// Model width.
    pub hidden: usize,
    /// Width of the feed-forward layer.
    pub ffn: usize,
    /// Attention heads.
    pub heads: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// Sequences per step.
    pub batch: usize,
    /// Tokens per sequence.
    pub length: usize,
    /// Positions whose logits are computed, of all sequences together.
    pub masked: usize,
}

impl Sizes {
    /// The sizes the project's speed goal is stated for.
    pub const GOAL: Self = Self {
        layers: 4,
        hidden: 256,
        ffn: 1024,
        heads: 4,
        vocab: 8192,
        batch: 16,
        length: 128,
        masked: 307,
    };

    /// Tokens per step.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.batch * self.length
    }

    /// Floating-point operations of one step's matrix products: 2 per multiply-add, backward twice forward.
    #[must_use]
    pub fn flops(&self) -> f64 {
        let d = self.hidden;
        let layer = self.tokens() * (4 * d * d + 2 * d * self.ffn + 2 * self.length * d);
        let head = self.masked * (d * d + d * self.vocab);
        6.0 * (self.layers * layer + head) as f64
    }
}

/// 32 well-mixed bits of `(seed, index)`; the Python side computes the same, so that both train the same model on the same data.
#[must_use]
pub fn bits(seed: u32, index: u32) -> u32 {
    let mut h = (index ^ seed.wrapping_mul(0x9E37_79B1)).wrapping_add(0x7F4A_7C15);
    h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
    h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
    h ^ (h >> 16)
}

/// The median of some measurements; NaN of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}
