use std::collections::HashMap;

use burn::tensor::{Bool, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::{Error, ParamStore};

/// Which numbers of a grown model are new, by parameter: `true` for each one that its small predecessor did not have. A parameter that is
/// not listed has none.
pub type NewMasks = HashMap<String, Vec<bool>>;

/// Warms up the learning rate of new numbers once more after growth (SPARKLING, arXiv:2602.02472, uses 250 steps and a peak of 1.3).
///
/// The factor on their rate climbs from `factor / steps` to `factor` over `steps` steps and then goes back to 1 over as many. It
/// multiplies whatever the schedule says, so that all others learn as if nothing had happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rewarm {
    /// Steps of the climb.
    pub steps: u64,
    /// The factor at its end.
    pub factor: f64,
}

impl Default for Rewarm {
    fn default() -> Self {
        Self {
            steps: 250,
            factor: 1.3,
        }
    }
}

impl Rewarm {
    /// The factor of the step with number `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        let steps = self.steps as f64;
        let done = (step + 1) as f64;
        if done <= steps {
            self.factor * done / steps
        } else if done < 2.0 * steps {
            self.factor + (1.0 - self.factor) * (done - steps) / steps
        } else {
            1.0
        }
    }

    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        if !(self.factor.is_finite() && self.factor > 0.0) {
            faults.push(format!(
                "rewarm_new.factor must be a number above 0, found {}",
                self.factor
            ));
        }
        if self.steps == 0 {
            faults.push("rewarm_new.steps must be at least 1, found 0".into());
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
    fn the_factor_climbs_to_its_peak_and_returns_to_one() {
        let rewarm = Rewarm { steps: 4, factor: 2.0 };
        let factors: Vec<f64> = (0..10).map(|step| rewarm.factor(step)).collect();
        assert_eq!(factors, [0.5, 1.0, 1.5, 2.0, 1.75, 1.5, 1.25, 1.0, 1.0, 1.0]);
    }
}
