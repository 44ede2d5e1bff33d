use std::collections::BTreeSet;

use ligo_models::Layers;
use serde::{Deserialize, Serialize};

use crate::seed::{Purpose, StepKey, uniform};

/// Progressive layer dropping (Zhang and He, arXiv:2010.13369): every micro-batch skips some layers, upper ones more often, and more
/// often as the run goes on. Skipped layers are not computed.
///
/// With `T` steps and `L` layers, layer `l` (1 to `L`) of step `t` is skipped with probability
///
/// ```text
/// p = l / L · max_rate · (1 - exp(-rise · t / T))
/// ```
///
/// What remains is not scaled, and evaluation drops nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerDrop {
    /// The probability for the last layer at the end of the run; the LiGO paper used 0.1.
    pub max_rate: f64,
    /// How fast the probability rises; with 100, as published, it is there after a twentieth of the run.
    pub rise: f64,
}

impl Default for LayerDrop {
    fn default() -> Self {
        Self {
            max_rate: 0.1,
            rise: 100.0,
        }
    }
}

impl LayerDrop {
    /// The probability of skipping layer `layer` (from 0) of `depth` when `progress` of the run (0 to 1) is done.
    pub fn rate(&self, layer: usize, depth: usize, progress: f64) -> f64 {
        let height = (layer + 1) as f64 / depth as f64;
        height * self.max_rate * (1.0 - (-self.rise * progress).exp())
    }

    /// The layers of a micro-batch.
    pub(crate) fn layers(&self, depth: usize, at: &StepKey) -> Layers {
        let seed = at.micro_seed(Purpose::Layers);
        let is_skipped = |layer: &usize| uniform(seed, *layer as u64) < self.rate(*layer, depth, at.progress());
        let skipped: BTreeSet<usize> = (0..depth).filter(is_skipped).collect();
        if skipped.is_empty() {
            Layers::All
        } else {
            Layers::Without(skipped)
        }
    }

    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        if !(0.0..1.0).contains(&self.max_rate) {
            faults.push(format!(
                "layer_drop.max_rate must be at least 0 and below 1, found {}",
                self.max_rate
            ));
        }
        if !(self.rise.is_finite() && self.rise > 0.0) {
            faults.push(format!("layer_drop.rise must be a number above 0, found {}", self.rise));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_with_height_and_time_up_to_its_maximum() {
        let drop = LayerDrop::default();
        assert_eq!(drop.rate(11, 12, 0.0), 0.0);
        assert!((drop.rate(11, 12, 1.0) - 0.1).abs() < 1e-12);
        assert!((drop.rate(5, 12, 1.0) - 0.05).abs() < 1e-12);
        // 1 - e⁻¹ of the maximum after a hundredth of the run.
        assert!((drop.rate(11, 12, 0.01) - 0.1 * 0.632_120_558_828_557_7).abs() < 1e-12);
    }

    #[test]
    fn layers_are_skipped_as_often_as_the_rate_says_and_the_same_ones_each_time() {
        let drop = LayerDrop {
            max_rate: 0.4,
            ..LayerDrop::default()
        };
        let at = |step| StepKey {
            seed: 0,
            steps: 20_000,
            step,
            micro_step: 1,
        };
        let mut skipped = [0; 4];
        for step in 10_000..20_000 {
            let layers = drop.layers(4, &at(step));
            assert_eq!(layers, drop.layers(4, &at(step)));
            for (layer, count) in skipped.iter_mut().enumerate() {
                *count += usize::from(!layers.contain(layer));
            }
        }
        for (layer, count) in skipped.into_iter().enumerate() {
            let expected = 1_000.0 * (layer + 1) as f64;
            assert!((count as f64 - expected).abs() < 200.0, "layer {layer}: {count}");
        }
    }
}
