//! Random draws for augmentation, each from a stream of its own.

use crate::rng::{self, Stream};

/// What the random numbers of one sample depend on, and nothing else: not the thread, the batch or what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SampleKey {
    /// Seed of the run.
    pub seed: u64,
    /// Pass over the set, from 0.
    pub epoch: u64,
    /// Index of the sample in the set.
    pub sample: u64,
    /// Which of the copies of the sample in this pass, from 0: see [`crate::Augmentation::repeats`].
    pub copy: u64,
}

/// What numbers are drawn for. Every purpose has its own stream, so that switching one augmentation off leaves the others as they were.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Crop = 1,
    Flip = 2,
    RandAugment = 3,
    ColorJitter = 4,
    Erasing = 5,
    Mixing = 6,
}

impl SampleKey {
    pub(super) fn stream(&self, purpose: Purpose) -> Stream {
        // The word in front keeps these apart from the keys of the sample order and of the masks.
        const IMAGES: u64 = 0x0069_6d61_6765;
        let key = [IMAGES, purpose as u64, self.seed, self.epoch, self.sample, self.copy];
        // The first copy is what a sample without copies is.
        let words = if self.copy == 0 { key.len() - 1 } else { key.len() };
        Stream::new(rng::key(&key[..words]))
    }
}

/// Uniform in `[low, high)`.
pub(super) fn uniform(stream: &mut Stream, low: f64, high: f64) -> f64 {
    low + (high - low) * stream.unit()
}

/// True with the probability given.
pub(super) fn chance(stream: &mut Stream, probability: f64) -> bool {
    stream.unit() < probability
}

/// Two independent standard normal numbers (Box and Muller, Ann. Math. Statist. 29, 1958).
pub(super) fn normals(stream: &mut Stream) -> [f64; 2] {
    // `unit` may be 0, whose logarithm is not finite.
    let radius = (-2.0 * (1.0 - stream.unit()).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * stream.unit()).sin_cos();
    [radius * cos, radius * sin]
}

/// Gamma of a shape and scale 1 (Marsaglia and Tsang, ACM TOMS 26, 2000; below 1 by their boost).
fn gamma(stream: &mut Stream, shape: f64) -> f64 {
    let boost = if shape < 1.0 {
        (1.0 - stream.unit()).powf(1.0 / shape)
    } else {
        1.0
    };
    let shape = if shape < 1.0 { shape + 1.0 } else { shape };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let [x, _] = normals(stream);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - stream.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return boost * d * v;
        }
    }
}

/// Beta(alpha, alpha), in `[0, 1]`.
pub(super) fn beta(stream: &mut Stream, alpha: f64) -> f64 {
    let (x, y) = (gamma(stream, alpha), gamma(stream, alpha));
    let share = x / (x + y);
    // Both may underflow when alpha is tiny; the distribution then is a coin.
    if share.is_finite() {
        share
    } else {
        f64::from(u8::from(chance(stream, 0.5)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(draw: impl Fn(&mut Stream) -> f64) -> (f64, f64) {
        let mut stream = Stream::new(7);
        let values: Vec<f64> = (0..40_000).map(|_| draw(&mut stream)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance)
    }

    #[test]
    fn normal_and_beta_numbers_have_their_moments() {
        let (mean, variance) = moments(|stream| normals(stream)[0]);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        for alpha in [0.2, 0.8, 1.0, 4.0] {
            let (mean, variance) = moments(|stream| beta(stream, alpha));
            // Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)).
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!(
                (mean - 0.5).abs() < 0.01 && (variance - expected).abs() < 0.004,
                "{alpha}: {mean} {variance}"
            );
        }
    }
}
