//! A branch that tells what a small model at a constant rate would have come to.

use ligo_train::{DecayShape, LrSchedule, ScheduleKind, TrainConfig};
use serde::{Deserialize, Serialize};

use super::faults::check_train;
use super::{Fault, Recipe};

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

pub(super) fn check(recipe: &Recipe, faults: &mut Vec<Fault>) {
    let mut fault = |key: &str, message: &str| {
        faults.push(Fault {
            key: key.into(),
            message: message.into(),
        });
    };
    if recipe.large.annealed.is_some() {
        fault("large.annealed", "is for the small model");
    }
    let Some(annealed) = recipe.small.annealed else { return };
    if recipe.small.path.is_some() {
        fault(
            "small.annealed",
            "is for a small model that is trained, and one is given",
        );
    } else if recipe.small.train.schedule.kind != ScheduleKind::Constant {
        fault(
            "small.annealed",
            "is for a small model at a constant rate: set small.train.schedule.kind=\"constant\"",
        );
    } else {
        check_train("small.annealed", &annealed.of(&recipe.small.train), faults);
    }
}
