use std::collections::HashMap;

use burn::tensor::{Bool, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::{Error, ParamStore};

/// Which numbers of a grown model are new, by parameter: `true` for each one that its small predecessor did not have. A parameter that is
/// not listed has none.
pub type NewMasks = HashMap<String, Vec<bool>>;

/// Warms up the learning rate of new numbers once more after growth, as SPARKLING does (arXiv:2602.02472).
///
/// The factor on their rate climbs from 1 to `factor` and stays there: they begin at the current rate, and from the peak on they follow the
/// schedule at `factor` times the rate of all others, which learn as if nothing had happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rewarm {
    /// The length of the climb as a share of the steps of the whole schedule.
    pub share: f64,
    /// The length of the climb in steps, where it is not to be a share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The factor at its end.
    pub factor: f64,
}

impl Default for Rewarm {
    fn default() -> Self {
        Self {
            share: 0.004,
            steps: None,
            factor: 1.3,
        }
    }
}

impl Rewarm {
    /// The factor of the step with number `step`, counted from 0 where the model was grown, on a schedule of `total` steps.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        let climb = self.steps(total) as f64;
        let done = (step + 1) as f64;
        1.0 + (self.factor - 1.0) * (done / climb).min(1.0)
    }

    /// The steps of the climb on a schedule of `total` steps.
    pub fn steps(&self, total: u64) -> u64 {
        let share = (total as f64 * self.share).round() as u64;
        self.steps.unwrap_or(share).max(1)
    }

    pub(crate) fn faults(&self, steps: u64, total: u64, faults: &mut Vec<String>) {
        if !(self.factor.is_finite() && self.factor > 0.0) {
            faults.push(format!(
                "rewarm_new.factor must be a number above 0, found {}",
                self.factor
            ));
        }
        if !(self.share > 0.0 && self.share < 1.0) {
            faults.push(format!(
                "rewarm_new.share must be above 0 and below 1, found {}",
                self.share
            ));
        } else if self.steps == Some(0) {
            faults.push("rewarm_new.steps must be at least 1, found 0".into());
        } else if steps > 0 && self.steps(total) > steps {
            faults.push(format!(
                "rewarm_new climbs for {} steps, and only {steps} are left",
                self.steps(total)
            ));
        }
    }
}

/// The new numbers of each parameter, in the store's order.
#[derive(Clone, Debug)]
pub(crate) struct NewEntries(Vec<NewPart>);

#[derive(Clone, Debug)]
pub(crate) enum NewPart {
    None,
    All,
    Some(Box<Tensor<1, Bool>>),
}

impl NewEntries {
    pub(crate) fn new(store: &ParamStore, masks: NewMasks) -> Result<Self, Error> {
        let mut parts = vec![NewPart::None; store.len()];
        for (name, mask) in masks {
            let i = store.layout().position(&name)?;
            let info = &store.infos()[i];
            if mask.len() != info.num_elements() {
                return Err(Error::WrongNumberOfValues {
                    name: format!("new entries of {name}"),
                    shape: info.shape.clone(),
                    expected: info.num_elements(),
                    found: mask.len(),
                });
            }
            let count = mask.len();
            parts[i] = match mask.iter().filter(|new| **new).count() {
                0 => NewPart::None,
                new if new == count => NewPart::All,
                _ => {
                    let mask = Tensor::from_data(TensorData::new(mask, [count]), store.device());
                    NewPart::Some(Box::new(mask))
                }
            };
        }
        Ok(Self(parts))
    }

    pub(crate) fn part(&self, i: usize) -> &NewPart {
        &self.0[i]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_climbs_from_the_current_rate_to_its_peak_and_stays() {
        let rewarm = Rewarm {
            steps: Some(4),
            factor: 2.0,
            ..Rewarm::default()
        };
        let factors: Vec<f64> = (0..6).map(|step| rewarm.factor(step, 1000)).collect();
        assert_eq!(factors, [1.25, 1.5, 1.75, 2.0, 2.0, 2.0]);
    }
}
