use std::collections::BTreeMap;

use ligo_cost::Cost;
use ligo_data::Cursor;
use serde::de::{Error as _, IgnoredAny};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::meter::Usage;
use crate::{EvalPoint, Outcome, Rollback, TrainResult};

/// How far a run is: the counters of its state. What is a function of the step (learning rate, seeds) is not kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) step: u64,
    pub(crate) cursor: Cursor,
    pub(crate) tokens: u64,
    #[serde(flatten)]
    pub(crate) cost: Cost,
    pub(crate) eval_seconds: f64,
    pub(crate) save_seconds: f64,
    pub(crate) last_train_loss: Option<f64>,
    pub(crate) skipped_steps: Vec<u64>,
    pub(crate) skipped_in_a_row: u64,
    pub(crate) curve: Vec<EvalPoint>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rollbacks: Vec<Rollback>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) loss_spikes: Vec<u64>,
    #[serde(default)]
    pub(crate) usage: Usage,
    #[serde(flatten)]
    pub(crate) rest: NothingElse,
}

/// Stands last among the fields of a file where others are flattened, so that `deny_unknown_fields` cannot be: refuses what none of them has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct NothingElse;

impl Serialize for NothingElse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

impl<'de> Deserialize<'de> for NothingElse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rest: BTreeMap<String, IgnoredAny> = BTreeMap::deserialize(deserializer)?;
        match rest.into_keys().next() {
            None => Ok(Self),
            Some(name) => Err(D::Error::custom(format!("unknown field `{name}`"))),
        }
    }
}

impl Progress {
    /// A run at its beginning that was preceded by work that it is charged for.
    pub(crate) fn after(spent: Cost) -> Self {
        Self {
            cost: spent,
            ..Self::default()
        }
    }

    /// The point of the validation curve for a loss measured now.
    pub(crate) fn point(&self, loss: f64) -> EvalPoint {
        EvalPoint {
            step: self.step,
            tokens: self.tokens,
            cost: self.cost,
            loss,
        }
    }

    /// Whether the weights of this moment were evaluated.
    pub(crate) fn is_evaluated(&self) -> bool {
        self.curve.last().is_some_and(|p| p.step == self.step)
    }

    pub(crate) fn result(&self, outcome: Outcome) -> TrainResult {
        let energy = self.usage.energy(self.step);
        TrainResult {
            outcome,
            steps: self.step,
            curve: self.curve.clone(),
            last_train_loss: self.last_train_loss,
            tokens: self.tokens,
            cost: self.cost,
            eval_seconds: self.eval_seconds,
            save_seconds: self.save_seconds,
            skipped_steps: self.skipped_steps.clone(),
            rollbacks: self.rollbacks.clone(),
            loss_spikes: self.loss_spikes.clone(),
            energy_joules: energy.map(|e| e.joules),
            energy_measured: energy.is_some_and(|e| e.measured),
            peak_memory_bytes: self.usage.peak_memory_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As versions wrote it whose counters were numbers of their own.
    const STORED: &str = r#"{"step":2,"cursor":{"epoch":0,"index":12},"tokens":192,"flops_exact":0.30000000000000004,"flops_electra":333333333333333.3,"seconds":0.062149226999999994,"eval_seconds":0.015,"save_seconds":0.0,"last_train_loss":4.351277828216553,"skipped_steps":[1],"skipped_in_a_row":0,"curve":[{"step":0,"tokens":0,"flops_exact":0.0,"flops_electra":0.0,"seconds":0.0,"loss":4.605170249938965},{"step":2,"tokens":192,"flops_exact":0.30000000000000004,"flops_electra":333333333333333.3,"seconds":0.062149226999999994,"loss":4.321}],"usage":{"joules":1.5,"estimated":false,"steps":2,"peak_memory_bytes":1048576}}"#;

    #[test]
    fn counters_of_earlier_checkpoints_are_read_to_the_bit_and_written_as_they_were() {
        let progress: Progress = serde_json::from_str(STORED).unwrap();
        let cost = Cost::of_measures([0.1 + 0.2, 1e15 / 3.0, 0.062_149_226_999_999_994]);
        let bits = |cost: Cost| cost.measures().map(f64::to_bits);
        assert_eq!(bits(progress.cost), bits(cost));
        assert_eq!(bits(progress.curve[1].cost), bits(cost));
        assert_eq!(
            (progress.tokens, progress.usage.peak_memory_bytes),
            (192, Some(1 << 20))
        );
        assert_eq!(serde_json::to_string(&progress).unwrap(), STORED);
    }

    #[test]
    fn a_counter_that_nobody_knows_is_refused_and_so_is_a_missing_one() {
        for (change, to, told) in [
            ("{\"step\":2,", "{\"step\":2,\"epochs\":1,", "epochs"),
            (
                "\"flops_electra\":333333333333333.3,\"seconds\":0.06",
                "\"seconds\":0.06",
                "flops_electra",
            ),
        ] {
            let changed = STORED.replacen(change, to, 1);
            assert_ne!(changed, STORED);
            let error = serde_json::from_str::<Progress>(&changed).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
