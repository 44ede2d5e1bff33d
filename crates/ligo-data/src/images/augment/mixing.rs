//! Mixup (Zhang et al., 1710.09412), CutMix (Yun et al., 1905.04899) and label smoothing, for whole batches as timm's `Mixup(mode='batch')`.
//!
//! Legend: `B` batch, `C` channels, `H` and `W` the picture, `K` classes. The partner of sample `i` is sample `B − 1 − i`.

use serde::{Deserialize, Serialize};

use super::range::check_range;
use crate::Result;
use crate::images::draw::{Purpose, SampleKey, beta, chance};
use crate::images::image::Rect;

/// How the pictures of a batch are mixed with each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mixing {
    /// Mixup's share is drawn from Beta(alpha, alpha); 0 switches Mixup off.
    pub mixup_alpha: f64,
    /// CutMix's share is drawn from Beta(alpha, alpha); 0 switches CutMix off.
    pub cutmix_alpha: f64,
    /// The share of the batches that are mixed at all.
    pub probability: f64,
    /// The share of CutMix among these when both are on.
    pub switch_probability: f64,
}

impl Default for Mixing {
    fn default() -> Self {
        Self {
            mixup_alpha: 0.8,
            cutmix_alpha: 1.0,
            probability: 1.0,
            switch_probability: 0.5,
        }
    }
}

/// How one batch is mixed. `own` is the share that a sample keeps of itself and of its label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::images) enum BatchMix {
    Unmixed,
    /// `x_i ← own · x_i + (1 − own) · x_{B−1−i}`.
    Mixup {
        own: f64,
    },
    /// `x_i ← x_{B−1−i}` inside the rectangle; `own` is the area outside.
    CutMix {
        own: f64,
        rect: Rect,
    },
}

impl Mixing {
    pub(super) const OFF: Self = Self {
        mixup_alpha: 0.0,
        cutmix_alpha: 0.0,
        probability: 1.0,
        switch_probability: 0.5,
    };

    pub(super) fn check(&self) -> Result<()> {
        check_range("augmentation.mixing.mixup_alpha", self.mixup_alpha, 0.0, 1e3)?;
        check_range("augmentation.mixing.cutmix_alpha", self.cutmix_alpha, 0.0, 1e3)?;
        check_range("augmentation.mixing.probability", self.probability, 0.0, 1.0)?;
        check_range(
            "augmentation.mixing.switch_probability",
            self.switch_probability,
            0.0,
            1.0,
        )
    }

    /// How the batch that begins at a place is mixed.
    pub(in crate::images) fn draw(&self, height: usize, width: usize, first: SampleKey) -> BatchMix {
        let mut stream = first.stream(Purpose::Mixing);
        let (mixup, cutmix) = (self.mixup_alpha > 0.0, self.cutmix_alpha > 0.0);
        if !(mixup || cutmix) || !chance(&mut stream, self.probability) {
            return BatchMix::Unmixed;
        }
        let switch = chance(&mut stream, self.switch_probability);
        if !cutmix || (mixup && !switch) {
            return BatchMix::Mixup {
                own: beta(&mut stream, self.mixup_alpha),
            };
        }
        let own = beta(&mut stream, self.cutmix_alpha);
        let ratio = (1.0 - own).sqrt();
        let mut span = |length: usize| {
            let half = (length as f64 * ratio) as usize / 2;
            let middle = stream.below(length as u64) as usize;
            (middle.saturating_sub(half), (middle + half).min(length))
        };
        let ((top, bottom), (left, right)) = (span(height), span(width));
        let rect = Rect {
            top,
            left,
            height: bottom - top,
            width: right - left,
        };
        // The rectangle may have been cut at the edge: the labels follow the area that is really shown.
        let own = 1.0 - (rect.height * rect.width) as f64 / (height * width) as f64;
        BatchMix::CutMix { own, rect }
    }
}

impl BatchMix {
    /// The share that a sample keeps of itself.
    pub(in crate::images) fn own(&self) -> f64 {
        match *self {
            Self::Unmixed => 1.0,
            Self::Mixup { own } | Self::CutMix { own, .. } => own,
        }
    }

    /// Mixes pictures `[B, C, H, W]`, each of `sample_len` values; rows have `width` values and channels `height` rows.
    pub(in crate::images) fn apply(&self, pixels: &mut [f32], sample_len: usize, height: usize, width: usize) {
        let batch = pixels.len() / sample_len;
        let (front, back) = pixels.split_at_mut(batch.div_ceil(2) * sample_len);
        // An odd batch has a sample in the middle that is its own partner: the last of `front`, which `zip` leaves alone.
        let pairs = front
            .chunks_exact_mut(sample_len)
            .zip(back.chunks_exact_mut(sample_len).rev());
        match *self {
            Self::Unmixed => {}
            Self::Mixup { own } => {
                let (own, other) = (own as f32, (1.0 - own) as f32);
                for (a, b) in pairs {
                    for (a, b) in a.iter_mut().zip(b) {
                        (*a, *b) = (own * *a + other * *b, own * *b + other * *a);
                    }
                }
            }
            Self::CutMix { rect, .. } => {
                let columns = rect.left..rect.left + rect.width;
                for (a, b) in pairs {
                    for (a, b) in a
                        .chunks_exact_mut(height * width)
                        .zip(b.chunks_exact_mut(height * width))
                    {
                        let rows = a.chunks_exact_mut(width).zip(b.chunks_exact_mut(width));
                        for (a, b) in rows.skip(rect.top).take(rect.height) {
                            a[columns.clone()].swap_with_slice(&mut b[columns.clone()]);
                        }
                    }
                }
            }
        }
    }
}

/// Soft labels `[B, K]` of a mixed batch:
///
/// ```text
/// t_i = own · s(y_i) + (1 − own) · s(y_{B−1−i}),   s(y)_k = (1 − ε) [k = y] + ε / K
/// ```
///
/// with label smoothing ε (Szegedy et al., 1512.00567, section 7). Labels must be below `classes`.
pub(in crate::images) fn soft_targets(labels: &[u32], classes: usize, smoothing: f64, own: f64) -> Vec<f32> {
    let (off, on) = (smoothing / classes as f64, 1.0 - smoothing);
    let mut targets = Vec::with_capacity(labels.len() * classes);
    for (&label, &partner) in labels.iter().zip(labels.iter().rev()) {
        targets.extend((0..classes).map(|class| {
            let one = |at: u32| f64::from(u8::from(class == at as usize));
            (off + on * (own * one(label) + (1.0 - own) * one(partner))) as f32
        }));
    }
    targets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(sample: u64) -> SampleKey {
        SampleKey {
            seed: 2,
            epoch: 0,
            sample,
            copy: 0,
        }
    }

    proptest! {
        #[test]
        fn targets_sum_to_one_and_a_mixed_batch_keeps_its_sum(
            labels in prop::collection::vec(0u32..7, 1..9),
            smoothing in 0.0..0.5_f64,
            sample: u64,
        ) {
            let mix = Mixing::default().draw(6, 5, key(sample));
            let targets = soft_targets(&labels, 7, smoothing, mix.own());
            for row in targets.chunks_exact(7) {
                prop_assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                prop_assert!(row.iter().all(|&share| share >= 0.0));
            }
            let mut pixels: Vec<f32> = (0..labels.len() * 60).map(|at| (at * 31 % 97) as f32).collect();
            let before: f32 = pixels.iter().sum();
            mix.apply(&mut pixels, 60, 6, 5);
            prop_assert!((pixels.iter().sum::<f32>() - before).abs() <= 1e-4 * before.abs().max(1.0));
        }

        #[test]
        fn the_share_of_a_label_is_the_area_that_is_shown(sample: u64) {
            let mixing = Mixing { mixup_alpha: 0.0, ..Mixing::default() };
            let mix = mixing.draw(8, 10, key(sample));
            let mut pixels = [[1.0; 80], [0.0; 80]].concat();
            mix.apply(&mut pixels, 80, 8, 10);
            let shown = pixels[..80].iter().sum::<f32>() / 80.0;
            prop_assert!((f64::from(shown) - mix.own()).abs() < 1e-6);
        }
    }

    #[test]
    fn half_of_the_batches_are_cut_and_the_shares_have_their_means() {
        let draws: Vec<BatchMix> = (0..6_000)
            .map(|sample| Mixing::default().draw(224, 224, key(sample)))
            .collect();
        let cut: Vec<f64> = draws
            .iter()
            .filter(|mix| matches!(mix, BatchMix::CutMix { .. }))
            .map(BatchMix::own)
            .collect();
        let mixed: Vec<f64> = draws
            .iter()
            .filter(|mix| matches!(mix, BatchMix::Mixup { .. }))
            .map(BatchMix::own)
            .collect();
        let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
        assert_eq!(cut.len() + mixed.len(), 6_000);
        assert!((cut.len() as f64 / 6_000.0 - 0.5).abs() < 0.02);
        assert!((mean(&mixed) - 0.5).abs() < 0.02, "{}", mean(&mixed));
        let spread = mixed.iter().map(|own| (own - 0.5).powi(2)).sum::<f64>() / mixed.len() as f64;
        assert!((spread - 1.0 / (4.0 * 2.6)).abs() < 0.005, "{spread}");
        // With r² uniform and a middle anywhere, a side of length r keeps r - r²/4 on average, so the area is E[(r - r²/4)²] = 1/2 - 1/5 + 1/48.
        let expected = 1.0 - (0.5 - 0.2 + 1.0 / 48.0);
        assert!((mean(&cut) - expected).abs() < 0.015, "{} {expected}", mean(&cut));
    }

    #[test]
    fn without_mixing_the_targets_are_smoothed_labels() {
        let targets = soft_targets(&[2, 0], 4, 0.1, Mixing::OFF.draw(4, 4, key(0)).own());
        assert_eq!(targets, [0.025, 0.025, 0.925, 0.025, 0.925, 0.025, 0.025, 0.025]);
        assert_eq!(soft_targets(&[1], 3, 0.0, 1.0), [0.0, 1.0, 0.0]);
    }
}
