//! A branch that tells what a small model at a constant rate would have come to.

use ligo_train::{DecayShape, LrSchedule, ScheduleKind, TrainConfig};
use serde::{Deserialize, Serialize};

/// How the rate of the branch falls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Annealed {
    /// The share of the steps over which it falls.
    pub decay_share: f64,
    /// How it falls: `linear`, `1-sqrt` or `cosine`.
    pub decay_shape: DecayShape,
}

impl Default for Annealed {
    fn default() -> Self {
        let LrSchedule {
            decay_share,
            decay_shape,
            ..
        } = LrSchedule::default();
        Self {
            decay_share,
            decay_shape,
        }
    }
}

impl Annealed {
    /// The same training with a rate that falls at the end.
    pub(crate) fn of(self, train: &TrainConfig) -> TrainConfig {
        let mut train = train.clone();
        train.schedule.kind = ScheduleKind::Wsd;
        train.schedule.decay_share = self.decay_share;
        train.schedule.decay_shape = self.decay_shape;
        train
    }
}
