//! What makes copied experts differ.

use std::ops::Add;

use ligo_arch::{Axis, Param, ParamTable};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::init;

/// How copies of experts, and of what routes tokens to them, begin otherwise than what they copy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Standard deviation of what is added to each weight, as a share of that of the tensor's weights.
    pub noise: f64,
    /// Share of an expert's neurons that begin anew.
    pub drop: f64,
    /// How many shares of a feed-forward network experts have, one each. What a share adds to the residual stream is multiplied by their number, since the
    /// probabilities of those that make up the whole sum to that of one expert; and the rows of the router are the same for them, so that a token goes
    /// through all or none (He et al., arXiv 2410.07524).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub shares: usize,
    /// Seed of the draws.
    pub seed: u64,
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_one(shares: &usize) -> bool {
    *shares == 1
}

impl Difference {
    /// Whether a tensor differs from what it copies.
    pub(crate) fn concerns(self, small: &ParamTable, param: &Param<'_>) -> bool {
        let Some(own) = small.counterpart(param.spec) else {
            return false;
        };
        let is_expert = param.axes().contains(&Axis::EXPERT_FFN);
        // The small model's own experts are where they were.
        let is_copy = is_expert && own.stored != param.spec.stored;
        (is_copy && (self.noise > 0.0 || self.drop > 0.0 || self.scales(param)))
            || (self.noise > 0.0 && is_longer_router(small, param))
    }

    /// Whether a tensor of an expert reads a share of the neurons, and so is multiplied by their number.
    fn scales(self, param: &Param<'_>) -> bool {
        self.shares > 1 && param.axes().get(1) == Some(&Axis::EXPERT_FFN)
    }

    /// The row of which a row of a fresh router is a copy: that of the first share.
    pub(crate) fn router_row(self, param: &Param<'_>, row: usize) -> usize {
        match param.axes().first() {
            Some(&Axis::EXPERTS) => row - row % self.shares.max(1),
            _ => row,
        }
    }

    /// Makes a whole tensor that copies another one differ from it.
    pub(crate) fn apply<E: From<f32> + Into<f64> + Copy + Add<Output = E>>(
        self,
        small: &ParamTable,
        param: &Param<'_>,
        values: &mut [E],
    ) {
        if !self.concerns(small, param) {
            return;
        }
        if self.scales(param) {
            let times = self.shares as f64;
            values
                .iter_mut()
                .for_each(|value| *value = (((*value).into() * times) as f32).into());
        }
        if self.noise > 0.0 {
            let first = match is_longer_router(small, param) {
                true => small.size(Axis::EXPERTS) * param.shape.get(1).copied().unwrap_or(1),
                false => 0,
            };
            let (_, deviation) = statistics(values.iter().map(|v| (*v).into()));
            let mut rng = init::rng(self.seed, &format!("upcycle.noise.{}", param.name));
            let noise = init::normal(&mut rng, self.noise * deviation, values.len());
            let noisy = values.iter_mut().zip(noise).skip(first);
            noisy.for_each(|(value, noise)| *value = *value + noise.into());
        }
        if self.drop > 0.0 {
            self.begin_anew(param, values);
        }
    }

    /// Draws the weights of some neurons from a normal distribution with the mean and the standard deviation of those that they replace. They are the same
    /// neurons in all matrices of an expert.
    fn begin_anew<E: From<f32> + Into<f64> + Copy>(self, param: &Param<'_>, values: &mut [E]) {
        let Some(neurons) = param.axes().iter().position(|axis| *axis == Axis::EXPERT_FFN) else {
            return;
        };
        let columns = param.shape.get(1).copied().unwrap_or(1).max(1);
        let expert = param.name.rsplitn(3, '.').nth(2).unwrap_or(&param.name);
        let mut order: Vec<usize> = (0..param.shape[neurons]).collect();
        order.shuffle(&mut init::rng(self.seed, &format!("upcycle.drop.{expert}")));
        let count = (order.len() as f64 * self.drop) as usize;
        let mut is_new = vec![false; order.len()];
        order[..count].iter().for_each(|neuron| is_new[*neuron] = true);
        let neuron = |index: usize| [index / columns, index % columns][neurons];
        let places: Vec<usize> = (0..values.len()).filter(|index| is_new[neuron(*index)]).collect();
        let (mean, deviation) = statistics(places.iter().map(|index| values[*index].into()));
        let mut rng = init::rng(self.seed, &format!("upcycle.new.{}", param.name));
        let drawn = init::normal(&mut rng, deviation, places.len());
        for (index, drawn) in places.into_iter().zip(drawn) {
            values[index] = (mean as f32 + drawn).into();
        }
    }
}

/// Whether a router has more rows than that which it copies.
fn is_longer_router(small: &ParamTable, param: &Param<'_>) -> bool {
    param.axes().first() == Some(&Axis::EXPERTS) && param.shape[0] > small.size(Axis::EXPERTS)
}

/// Mean and standard deviation.
fn statistics(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}
