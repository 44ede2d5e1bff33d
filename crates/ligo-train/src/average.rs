//! Averages of weights, which evaluations and the finished model take instead of the last weights.

use std::collections::VecDeque;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::ParamStore;
use crate::store::upload;

/// The most weights that are kept.
const MOST_KEPT: usize = 64;

/// Which average of the weights is evaluated and becomes the model. Training itself goes on from the weights as they are.
///
/// `{ ema = 0.999 }` or `{ last = 5, every = 100 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Average {
    /// An exponential moving average: after each update this much of it stays, and the rest is the new weights. It begins with the weights after the
    /// first update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// The mean of the last so many weights, taken after every [`Average::every`] updates (checkpoint merging, arXiv:2507.17634).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    /// Updates between those weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
}

impl Average {
    /// Weights that it keeps beside those that are trained.
    pub fn kept(&self) -> usize {
        self.last.unwrap_or(1)
    }

    pub(crate) fn faults(&self, steps: u64, faults: &mut Vec<String>) {
        let mut fault = |message: String| faults.push(format!("average{message}"));
        match (self.ema, self.last, self.every) {
            (Some(ema), None, None) => {
                if !(ema > 0.0 && ema < 1.0) {
                    fault(format!(".ema must be above 0 and below 1, found {ema}"));
                }
            }
            (None, Some(last), Some(every)) => {
                if !(2..=MOST_KEPT).contains(&last) {
                    fault(format!(".last must be 2 to {MOST_KEPT}, found {last}"));
                } else if every == 0 {
                    fault(".every must be at least 1, found 0".into());
                } else if steps > 0 && every.saturating_mul(last as u64) > steps {
                    fault(format!(
                        ": {last} weights that are {every} steps apart need {} steps, and there are {steps}",
                        every.saturating_mul(last as u64)
                    ));
                }
            }
            _ => fault(" is either `ema` alone, or `last` with `every`".into()),
        }
    }
}

/// The weights that an average is made of; for an exponential one the average itself.
#[derive(Clone, Debug)]
pub(crate) struct Averages {
    config: Average,
    kept: VecDeque<Vec<Tensor<1>>>,
}

impl Averages {
    pub(crate) fn new(config: Average) -> Self {
        Self {
            config,
            kept: VecDeque::new(),
        }
    }

    /// Takes note of the weights after an update.
    pub(crate) fn take(&mut self, store: &ParamStore, updates: u64) {
        let now = || store.values().to_vec();
        if let Some(ema) = self.config.ema {
            let next = match self.kept.pop_front() {
                None => now(),
                Some(before) => before
                    .into_iter()
                    .zip(store.values())
                    .map(|(mean, value)| mean.mul_scalar(ema) + value.clone().mul_scalar(1.0 - ema))
                    .collect(),
            };
            self.kept.push_back(next);
            return;
        }
        if updates.is_multiple_of(self.config.every.unwrap_or(1)) {
            self.kept.push_back(now());
            if self.kept.len() > self.config.kept() {
                self.kept.pop_front();
            }
        }
    }

    /// The average; `None` as long as nothing was taken.
    pub(crate) fn mean(&self, store: &ParamStore) -> Option<ParamStore> {
        let (first, others) = (self.kept.front()?, self.kept.iter().skip(1));
        let mut sums = first.clone();
        for other in others {
            let added = sums.into_iter().zip(other);
            sums = added.map(|(sum, value)| sum + value.clone()).collect();
        }
        let count = self.kept.len() as f64;
        let means = match self.kept.len() {
            1 => sums,
            _ => sums.into_iter().map(|sum| sum.div_scalar(count)).collect(),
        };
        let mut averaged = store.clone();
        averaged.put(means);
        Some(averaged)
    }

    /// What is kept, oldest first, each in the store's order.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Vec<Tensor<1>>> {
        self.kept.iter()
    }

    /// The most that are kept.
    pub(crate) fn limit(&self) -> usize {
        self.config.kept()
    }

    /// Puts what was kept back; the numbers of values have been checked.
    pub(crate) fn restore(&mut self, store: &ParamStore, kept: Vec<Vec<Vec<f32>>>) {
        let device = store.device();
        let upload_all = |values: Vec<Vec<f32>>| values.into_iter().map(|host| upload(host, device)).collect();
        self.kept = kept.into_iter().map(upload_all).collect();
    }
}
