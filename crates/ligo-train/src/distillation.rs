use serde::{Deserialize, Serialize};

/// Knowledge inheritance (Qin et al., arXiv:2105.13880): a finished small model teaches at first, and less and less.
///
/// With `T` steps, step `t` minimizes
///
/// ```text
/// (1 - α) · L + α · τ² · KL(teacher ‖ student),   α = max(1 - t / (share · T), 0)
/// ```
///
/// over the places that have a label, both distributions at temperature `τ`. When `α` is 0 the teacher does not run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distillation {
    /// The temperature `τ`.
    pub temperature: f64,
    /// The share of the run in which the teacher teaches (the paper's `1 / α_T`); 55,000 of its 125,000 steps.
    pub share: f64,
}

impl Default for Distillation {
    fn default() -> Self {
        Self {
            temperature: 2.0,
            share: 0.44,
        }
    }
}

impl Distillation {
    /// The weight of the teacher in step `step` (from 0) of `steps`.
    pub fn weight(&self, step: u64, steps: u64) -> f64 {
        let taught = self.share * steps as f64;
        if taught > 0.0 {
            (1.0 - step as f64 / taught).max(0.0)
        } else {
            0.0
        }
    }

    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            faults.push(format!(
                "distillation.temperature must be a number above 0, found {}",
                self.temperature
            ));
        }
        if !(0.0..=1.0).contains(&self.share) {
            faults.push(format!(
                "distillation.share must be between 0 and 1, found {}",
                self.share
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_teacher_fades_on_a_straight_line_and_is_gone_after_its_share() {
        let distillation = Distillation {
            share: 0.5,
            ..Distillation::default()
        };
        let weights: Vec<f64> = [0, 10, 25, 49, 50, 51, 99]
            .into_iter()
            .map(|step| distillation.weight(step, 100))
            .collect();
        assert_eq!(weights[..3], [1.0, 0.8, 0.5]);
        assert!((weights[3] - 0.02).abs() < 1e-12);
        assert_eq!(weights[4..], [0.0; 3]);
        // KI's own notation: α_t = max(1 - α_T · t / T, 0) with α_T = 2.
        for (step, weight) in [(10.0, weights[1]), (25.0, weights[2])] {
            assert!((weight - (1.0 - 2.0 * step / 100.0_f64)).abs() < 1e-12);
        }
        let never = Distillation {
            share: 0.0,
            ..distillation
        };
        assert_eq!(never.weight(0, 100), 0.0);
    }
}
