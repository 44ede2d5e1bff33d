use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The shape of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// A straight line from the peak to the final rate.
    #[default]
    Linear,
    /// Half a cosine wave from the peak to the final rate.
    Cosine,
    /// The peak until the end.
    Constant,
    /// Warm-up, stable, decay: the peak, and over the last part ([`LrSchedule::decay_share`]) the way to the final rate.
    Wsd,
}

impl ScheduleKind {
    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Constant => "constant",
            Self::Wsd => "wsd",
        }
    }
}

/// How the rate of a [`ScheduleKind::Wsd`] falls. With `z` from 0 to 1 over the decay, this much of the way is left:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecayShape {
    /// `1 - z`.
    #[default]
    #[serde(rename = "linear")]
    Linear,
    /// `1 - √z` (arXiv:2405.18392).
    #[serde(rename = "1-sqrt")]
    OneMinusSqrt,
    /// `(1 + cos πz) / 2`.
    #[serde(rename = "cosine")]
    Cosine,
}

impl DecayShape {
    fn left(self, z: f64) -> f64 {
        match self {
            Self::Linear => 1.0 - z,
            Self::OneMinusSqrt => 1.0 - z.sqrt(),
            Self::Cosine => 0.5 * (1.0 + (PI * z).cos()),
        }
    }

    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// The usual share of a [`ScheduleKind::Wsd`] that decays.
const DECAY_SHARE: f64 = 0.2;

/// The learning rate as a pure function of the step, so that a resumed run needs no state for it.
///
/// ```
/// use ligo_train::{LrSchedule, ScheduleKind};
///
/// let schedule = LrSchedule { kind: ScheduleKind::Linear, peak_lr: 1e-3, warmup_steps: 10, total_steps: 110, ..LrSchedule::default() };
/// assert_eq!(schedule.lr(9), 1e-3);
/// assert_eq!(schedule.lr(60), 5e-4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LrSchedule {
    /// The shape after the warm-up.
    pub kind: ScheduleKind,
    /// The highest learning rate.
    pub peak_lr: f64,
    /// Steps over which the rate climbs to the peak.
    pub warmup_steps: u64,
    /// The step at which the final rate is reached; 0 stands for the `steps` of the run.
    pub total_steps: u64,
    /// The final rate as a fraction of the peak.
    pub final_fraction: f64,
    /// Steps of earlier runs on the same schedule, where this run goes on with it.
    #[serde(skip_serializing_if = "is_zero")]
    pub first_step: u64,
    /// The share of the steps after the warm-up over which `wsd` decays, above 0 and at most 1.
    #[serde(skip_serializing_if = "is_usual_share")]
    pub decay_share: f64,
    /// How `wsd` decays.
    #[serde(skip_serializing_if = "DecayShape::is_usual")]
    pub decay_shape: DecayShape,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_usual_share(share: &f64) -> bool {
    *share == DECAY_SHARE
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(steps: &u64) -> bool {
    *steps == 0
}

impl Default for LrSchedule {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Linear,
            peak_lr: 1e-4,
            warmup_steps: 0,
            total_steps: 0,
            final_fraction: 0.0,
            first_step: 0,
            decay_share: DECAY_SHARE,
            decay_shape: DecayShape::Linear,
        }
    }
}

impl LrSchedule {
    /// The rate of the update with number `step`, counted from 0.
    ///
    /// Steps of earlier runs (`first_step`) are added to it. With `w = warmup_steps`, `T = total_steps`, `f = final_fraction` and `x = (step - w) / (T - w)` in `[0, 1]`:
    ///
    /// ```text
    /// step < w:   peak · (step + 1) / w
    /// linear:     peak · (1 - (1 - f) x)
    /// cosine:     peak · (f + (1 - f) (1 + cos πx) / 2)
    /// constant:   peak
    /// wsd:        peak · (f + (1 - f) left(z)), z = max(0, (x - (1 - s)) / s), s = decay_share
    ///             left(z) = 1 - z (linear), 1 - √z (1-sqrt), (1 + cos πz) / 2 (cosine)
    /// ```
    ///
    /// The warm-up counts from 1 (`transformers` counts from 0), because a first step at rate 0 would be lost work.
    pub fn lr(&self, step: u64) -> f64 {
        let step = step + self.first_step;
        if step < self.warmup_steps {
            return self.peak_lr * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps);
        let done = step - self.warmup_steps;
        let progress = if done >= decay_steps {
            1.0
        } else {
            done as f64 / decay_steps as f64
        };
        let last = self.final_fraction;
        self.peak_lr
            * match self.kind {
                ScheduleKind::Linear => 1.0 - (1.0 - last) * progress,
                ScheduleKind::Cosine => last + (1.0 - last) * 0.5 * (1.0 + (PI * progress).cos()),
                ScheduleKind::Constant => 1.0,
                ScheduleKind::Wsd => {
                    let decayed = (progress - (1.0 - self.decay_share)).max(0.0) / self.decay_share;
                    match self.decay_shape {
                        // As it was before there were others, to the last bit.
                        DecayShape::Linear => 1.0 - (1.0 - last) * decayed,
                        shape => last + (1.0 - last) * shape.left(decayed.min(1.0)),
                    }
                }
            }
    }

    /// The same schedule with `total_steps` filled in.
    pub fn over(mut self, steps: u64) -> Self {
        if self.total_steps == 0 {
            self.total_steps = steps;
        }
        self
    }

    /// The step, counted over all runs on this schedule, up to which the rate is the peak or climbs to it: where it begins to fall.
    pub fn decay_begins(&self) -> u64 {
        let after_warmup = self.total_steps.saturating_sub(self.warmup_steps) as f64;
        match self.kind {
            ScheduleKind::Linear | ScheduleKind::Cosine => self.warmup_steps,
            ScheduleKind::Constant => u64::MAX,
            ScheduleKind::Wsd => self.warmup_steps + (after_warmup * (1.0 - self.decay_share)).round() as u64,
        }
    }

    /// What is wrong with the numbers, one sentence per fault.
    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        let mut check = |good: bool, field: &str, expected: &str, found: f64| {
            if !good {
                faults.push(format!("schedule.{field} must be {expected}, found {found}"));
            }
        };
        let peak = self.peak_lr;
        check(
            peak.is_finite() && peak >= 0.0,
            "peak_lr",
            "a number of at least 0",
            peak,
        );
        let last = self.final_fraction;
        check((0.0..=1.0).contains(&last), "final_fraction", "between 0 and 1", last);
        let share = self.decay_share;
        check(
            share > 0.0 && share <= 1.0,
            "decay_share",
            "above 0 and at most 1",
            share,
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn schedule(kind: ScheduleKind) -> LrSchedule {
        LrSchedule {
            kind,
            peak_lr: 2.0,
            warmup_steps: 4,
            total_steps: 12,
            final_fraction: 0.25,
            ..LrSchedule::default()
        }
    }

    #[test]
    fn the_warm_up_climbs_from_one_part_to_the_peak() {
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::Constant] {
            let rates: Vec<f64> = (0..5).map(|s| schedule(kind).lr(s)).collect();
            assert_eq!(rates, [0.5, 1.0, 1.5, 2.0, 2.0]);
        }
    }

    #[test]
    fn every_kind_has_its_value_half_way_and_after_the_end() {
        assert_eq!(schedule(ScheduleKind::Linear).lr(8), 1.25);
        assert!((schedule(ScheduleKind::Cosine).lr(8) - 1.25).abs() < 1e-15);
        assert!((schedule(ScheduleKind::Cosine).lr(6) - (0.5 + 0.75 * (1.0 + 0.5_f64.sqrt()))).abs() < 1e-15);
        assert_eq!(schedule(ScheduleKind::Constant).lr(8), 2.0);
        for step in [12, 13, 1_000_000] {
            assert_eq!(schedule(ScheduleKind::Linear).lr(step), 0.5);
            assert!((schedule(ScheduleKind::Cosine).lr(step) - 0.5).abs() < 1e-15);
        }
    }

    #[test]
    fn a_stable_rate_decays_in_the_last_fifth() {
        let rate = |step| schedule(ScheduleKind::Wsd).lr(step);
        assert_eq!((rate(4), rate(10)), (2.0, 2.0));
        // 7 of 8 steps after the warm-up: 0.875 is in the middle between 0.8 and 0.95.
        assert!((rate(11) - 2.0 * (1.0 - 0.75 * 0.375)).abs() < 1e-12);
        assert!((rate(12) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_run_that_goes_on_with_a_schedule_has_the_rates_that_come_next() {
        for kind in [
            ScheduleKind::Linear,
            ScheduleKind::Cosine,
            ScheduleKind::Constant,
            ScheduleKind::Wsd,
        ] {
            let second = LrSchedule {
                first_step: 3,
                ..schedule(kind)
            };
            for step in 0..12 {
                assert_eq!(second.lr(step), schedule(kind).lr(step + 3));
            }
        }
    }

    #[test]
    fn a_schedule_shorter_than_its_warm_up_stays_finite() {
        let short = LrSchedule {
            warmup_steps: 10,
            total_steps: 5,
            ..schedule(ScheduleKind::Linear)
        };
        assert_eq!(short.lr(4), 1.0);
        assert_eq!(short.lr(10), 0.5);
    }

    #[test]
    fn total_steps_of_zero_stands_for_the_run() {
        let open = LrSchedule {
            total_steps: 0,
            ..schedule(ScheduleKind::Linear)
        };
        assert_eq!(open.over(12), schedule(ScheduleKind::Linear));
        assert_eq!(schedule(ScheduleKind::Linear).over(99).total_steps, 12);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let read: Result<LrSchedule, _> = serde_json::from_str(r#"{"peak_lrr": 1.0}"#);
        assert!(read.unwrap_err().to_string().contains("peak_lrr"));
    }
}
