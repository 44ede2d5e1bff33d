mod state;

use std::borrow::Cow;
use std::collections::HashMap;

use burn::tensor::Tensor;
use ligo_ops::{AdamwStep, AdamwUpdate, StepNumbers, StepStatistics};
use serde::{Deserialize, Serialize};

use self::state::{Moment, State};
use crate::average::Averages;
use crate::collective::Shares;
use crate::muon::Matrix;
use crate::new_entries::{NewEntries, NewPart};
use crate::store::{download, unreadable};
use crate::{Average, Error, Muon, NewMasks, ParamInfo, ParamStore};

/// The update rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay.
    #[default]
    Adamw,
    /// Muon for the matrices of layers, AdamW for all else; `muon` has its numbers.
    Muon,
    /// Plain gradient descent, no momentum: `p -= lr (g + weight_decay · p)`.
    Sgd,
}

/// The numbers of the update rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Which rule.
    pub kind: OptimizerKind,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator, at least 1e-12.
    pub eps: f64,
    /// Weight decay of the parameters that decay.
    pub weight_decay: f64,
    /// The numbers of Muon.
    #[serde(skip_serializing_if = "Muon::is_usual")]
    pub muon: Muon,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-6,
            weight_decay: 0.01,
            muon: Muon::default(),
        }
    }
}

impl OptimizerConfig {
    /// Numbers that it keeps for each parameter of a model, of whose parameters so much are matrices of layers.
    pub fn numbers_kept(&self, matrices: f64) -> f64 {
        match self.kind {
            OptimizerKind::Adamw => 2.0,
            OptimizerKind::Muon => 2.0 - matrices,
            OptimizerKind::Sgd => 0.0,
        }
    }

    /// What is wrong with the numbers, one sentence per fault.
    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        for (field, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                faults.push(format!("optimizer.{field} must be in [0, 1), found {beta}"));
            }
        }
        self.muon.faults(faults);
        // 0 would be divided by 0 where there is no gradient, and second moments below 1e-30 count as 0: ε is to be well above their root.
        for (field, value, least) in [("eps", self.eps, 1e-12), ("weight_decay", self.weight_decay, 0.0)] {
            if !(value.is_finite() && value >= least) {
                faults.push(format!(
                    "optimizer.{field} must be a number of at least {least:?}, found {value:?}"
                ));
            }
        }
    }
}

/// Moments on the host: parameter name, first moment, second moment. Muon's momentum is a first moment, and there is no second one.
pub type HostMoments = Vec<(String, Vec<f32>, Vec<f32>)>;

/// The learning rate of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The rate.
    pub lr: f64,
    /// A factor on it for the numbers that [`Optimizer::with_new_entries`] calls new.
    pub new_factor: f64,
}

impl From<f64> for Rate {
    /// One rate for all.
    fn from(lr: f64) -> Self {
        Self { lr, new_factor: 1.0 }
    }
}

/// An update rule with its state: two moments per parameter (one where Muon updates, none for SGD), the number of updates done, and the average of
/// weights if there is one.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    states: Vec<State>,
    averages: Option<Averages>,
    lr_multipliers: Vec<f64>,
    new: Option<NewEntries>,
    updates: u64,
}

impl Optimizer {
    /// A fresh optimizer for the parameters of a store. With Muon, [`Optimizer::with_matrices`] says what it updates.
    pub fn new(config: OptimizerConfig, store: &ParamStore) -> Self {
        let zeros = |info: &ParamInfo| match config.kind {
            OptimizerKind::Adamw | OptimizerKind::Muon => {
                State::Adam(Moment::zeros(info, store), Moment::zeros(info, store))
            }
            OptimizerKind::Sgd => State::Plain,
        };
        Self {
            config,
            states: store.infos().iter().map(zeros).collect(),
            averages: None,
            lr_multipliers: vec![1.0; store.len()],
            new: None,
            updates: 0,
        }
    }

    /// Says which parameters are matrices of layers: Muon, if that is the rule, updates them, and a factor is on their learning rate.
    pub fn with_matrices(mut self, store: &ParamStore, lr_factor: f64, is_matrix: impl Fn(&str) -> bool) -> Self {
        for (i, info) in store.infos().iter().enumerate() {
            let [rows, columns] = *info.shape else { continue };
            if !is_matrix(&info.name) {
                continue;
            }
            self.lr_multipliers[i] = lr_factor;
            if self.config.kind == OptimizerKind::Muon {
                self.states[i] = State::Muon(Moment::zeros(info, store), [rows, columns]);
            }
        }
        self
    }

    /// Keeps an average of the weights.
    pub fn with_average(mut self, average: Option<Average>) -> Self {
        self.averages = average.map(Averages::new);
        self
    }

    /// The parameters that evaluations and the finished model take: the average where there is one, else those of the store.
    pub fn evaluated<'a>(&self, store: &'a ParamStore) -> Cow<'a, ParamStore> {
        let mean = self.averages.as_ref().and_then(|averages| averages.mean(store));
        mean.map_or(Cow::Borrowed(store), Cow::Owned)
    }

    pub(crate) fn averages(&self) -> Option<&Averages> {
        self.averages.as_ref()
    }

    pub(crate) fn averages_mut(&mut self) -> Option<&mut Averages> {
        self.averages.as_mut()
    }

    /// Sets factors on the learning rate by parameter name; 0 freezes a parameter. Names that are not listed keep 1.
    ///
    /// # Errors
    /// The store has no parameter of a given name.
    pub fn with_lr_multipliers(
        mut self,
        store: &ParamStore,
        multipliers: &HashMap<String, f64>,
    ) -> Result<Self, Error> {
        for (name, factor) in multipliers {
            let i = store.layout().position(name)?;
            self.lr_multipliers[i] = *factor;
        }
        Ok(self)
    }

    /// Says which numbers are new, for [`Rate::new_factor`].
    ///
    /// # Errors
    /// The store has no parameter of a given name, or a mask has another size than its parameter.
    pub fn with_new_entries(mut self, store: &ParamStore, masks: NewMasks) -> Result<Self, Error> {
        self.new = Some(NewEntries::new(store, masks)?);
        Ok(self)
    }

    /// Whether it knows which numbers are new.
    pub fn knows_new_entries(&self) -> bool {
        self.new.is_some()
    }

    /// The number of updates done.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// First and second moment of the parameter at this place, as far as the rule has them and they are here.
    pub(crate) fn moments_at(&self, i: usize) -> [Option<&Tensor<1>>; 2] {
        self.states.get(i).map_or([None, None], State::moments)
    }

    /// How many moments the rule has of the parameter at this place, wherever they are.
    pub(crate) fn moment_count(&self, i: usize) -> usize {
        self.states.get(i).map_or(0, State::count)
    }

    /// Lets go of the moments that other ranks keep.
    pub(crate) fn keep_share(&mut self, shares: &Shares) {
        for (i, state) in self.states.iter_mut().enumerate() {
            if !shares.is_mine(i) {
                *state = State::Elsewhere(state.count());
            }
        }
    }

    /// Whether other ranks keep some of the moments.
    pub(crate) fn has_share(&self) -> bool {
        self.states.iter().any(|state| matches!(state, State::Elsewhere(_)))
    }

    /// Whether all moments that are here are still those of a fresh optimizer.
    pub(crate) fn is_fresh(&self) -> bool {
        self.states.iter().all(State::is_fresh)
    }

    /// One update of every parameter that has a gradient; returns the step's numbers, which on a GPU waits for the update.
    ///
    /// `gradients` are in the store's order. `statistics` are those of the step, or a factor on the gradients. Where loss or norm are not
    /// finite nothing changes, and it is no update. A parameter without a gradient, or with a learning-rate factor of 0, is left as it is
    /// (no decay either), as in PyTorch.
    ///
    /// # Errors
    /// The device cannot be read.
    pub fn update(
        &mut self,
        store: &mut ParamStore,
        gradients: Vec<Option<Tensor<1>>>,
        rate: impl Into<Rate>,
        statistics: impl Into<StepStatistics>,
    ) -> Result<StepNumbers, Error> {
        let numbers = self.advance(store, gradients, rate.into(), &statistics.into())?;
        if numbers.is_finite() {
            self.average(store);
        }
        Ok(numbers)
    }

    /// Takes note of the weights after an update.
    pub(crate) fn average(&mut self, store: &ParamStore) {
        if let Some(averages) = &mut self.averages {
            averages.take(store, self.updates);
        }
    }

    /// [`Optimizer::update`] without what an average is made of.
    pub(crate) fn advance(
        &mut self,
        store: &mut ParamStore,
        gradients: Vec<Option<Tensor<1>>>,
        rate: Rate,
        statistics: &StepStatistics,
    ) -> Result<StepNumbers, Error> {
        let read = |statistics: &StepStatistics| {
            let numbers = statistics.read();
            numbers.map_err(|fault| unreadable("loss and gradient norm", fault))
        };
        // Only AdamW leaves it to the device whether anything changes.
        let known = match (self.config.kind, statistics.on_host()) {
            (OptimizerKind::Adamw, known) | (_, known @ Some(_)) => known,
            (OptimizerKind::Muon | OptimizerKind::Sgd, None) => Some(read(statistics)?),
        };
        if let Some(numbers) = known.filter(|numbers| !numbers.is_finite()) {
            return Ok(numbers);
        }
        self.updates += 1;
        let scale = known.map_or(1.0, |numbers| numbers.scale);
        self.apply(store, gradients, rate, statistics, scale)?;
        let numbers = match known {
            Some(numbers) => numbers,
            None => read(statistics)?,
        };
        if !numbers.is_finite() {
            // The device has found this out, too, and changed nothing.
            self.updates -= 1;
        }
        Ok(numbers)
    }

    fn apply(
        &mut self,
        store: &mut ParamStore,
        mut gradients: Vec<Option<Tensor<1>>>,
        Rate { lr, new_factor }: Rate,
        statistics: &StepStatistics,
        scale: f64,
    ) -> Result<(), Error> {
        let config = self.config;
        let mut values: Vec<Option<Tensor<1>>> = store.take().into_iter().map(Some).collect();
        let (mut places, mut updates) = (Vec::new(), Vec::new());
        // What a parameter was before, where its new and its old numbers get different rates.
        let mut mixed = Vec::new();
        for (i, info) in store.infos().iter().enumerate() {
            let Some(gradient) = gradients.get_mut(i).and_then(Option::take) else {
                continue;
            };
            if self.lr_multipliers[i] == 0.0 {
                continue;
            }
            let Some(value) = values[i].take() else { continue };
            let part = self.new.as_ref().filter(|_| new_factor != 1.0).map(|new| new.part(i));
            let lr = match part {
                Some(NewPart::All) => lr * self.lr_multipliers[i] * new_factor,
                _ => lr * self.lr_multipliers[i],
            };
            if let Some(NewPart::Some(mask)) = part {
                mixed.push((i, mask.as_ref().clone(), value.clone()));
            }
            let weight_decay = if info.decay { config.weight_decay } else { 0.0 };
            // The moments are moved, not cloned: the fused update then works in place.
            match std::mem::replace(&mut self.states[i], State::Plain) {
                State::Adam(m, v) => {
                    let step = AdamwStep {
                        lr,
                        beta1: config.beta1,
                        beta2: config.beta2,
                        eps: config.eps,
                        weight_decay,
                        step: self.updates,
                        grad_scale: 1.0,
                    };
                    places.push(i);
                    updates.push(AdamwUpdate {
                        param: value,
                        grad: gradient,
                        m: m.take(),
                        v: v.take(),
                        step,
                    });
                }
                State::Muon(momentum, shape) => {
                    let matrix = Matrix {
                        value,
                        gradient: gradient.mul_scalar(scale),
                        momentum: momentum.take(),
                        shape,
                    };
                    let [value, momentum] = config.muon.update(matrix, lr, weight_decay);
                    values[i] = Some(value);
                    self.states[i] = State::Muon(momentum.into(), shape);
                }
                State::Elsewhere(count) => {
                    // Its new values come from the rank that has the moments.
                    self.states[i] = State::Elsewhere(count);
                    values[i] = Some(value);
                }
                State::Plain => {
                    let step = gradient.mul_scalar(lr * scale);
                    values[i] = Some(value.mul_scalar(1.0 - lr * weight_decay) - step);
                }
            }
        }
        let updated =
            ligo_ops::adamw_all(updates, statistics).map_err(|fault| unreadable("loss and gradient norm", fault))?;
        for (i, [value, m, v]) in places.into_iter().zip(updated) {
            values[i] = Some(value);
            self.states[i] = State::Adam(m.into(), v.into());
        }
        for (i, mask, before) in mixed {
            // A rate is a factor on the whole update, decay included.
            if let Some(value) = values[i].take() {
                let scaled = before.clone() + (value.clone() - before).mul_scalar(new_factor);
                values[i] = Some(value.mask_where(mask, scaled));
            }
        }
        store.put(values.into_iter().flatten().collect());
        Ok(())
    }

    /// Copies the moments to the host, those that are kept here; empty for SGD.
    ///
    /// # Errors
    /// The device cannot be read.
    pub fn to_moments(&self, store: &ParamStore) -> Result<HostMoments, Error> {
        let mut moments = HostMoments::new();
        for (info, state) in store.infos().iter().zip(&self.states) {
            let name = &info.name;
            let read = |moment: Option<&Tensor<1>>| moment.map_or(Ok(Vec::new()), |moment| download(name, moment));
            let [first, second] = state.moments();
            if first.is_some() {
                moments.push((name.clone(), read(first)?, read(second)?));
            }
        }
        Ok(moments)
    }

    /// Puts moments and the number of updates back.
    ///
    /// # Errors
    /// A parameter lacks moments, has them where the rule keeps none, or the number of values differs.
    pub fn restore(&mut self, store: &ParamStore, moments: HostMoments, updates: u64) -> Result<(), Error> {
        let mut by_name: HashMap<String, (Vec<f32>, Vec<f32>)> =
            moments.into_iter().map(|(name, m, v)| (name, (m, v))).collect();
        for (i, info) in store.infos().iter().enumerate() {
            let (m, v) = by_name.remove(&info.name).unwrap_or_default();
            self.put_moments(store, i, m, v)?;
        }
        self.updates = updates;
        Ok(())
    }

    /// Puts the moments of one parameter back, where they are kept here; empty where the rule has none.
    pub(crate) fn put_moments(&mut self, store: &ParamStore, i: usize, m: Vec<f32>, v: Vec<f32>) -> Result<(), Error> {
        let (Some(info), Some(state)) = (store.infos().get(i), self.states.get_mut(i)) else {
            return Ok(());
        };
        if matches!(state, State::Elsewhere(_)) {
            return Ok(());
        }
        let count = info.num_elements();
        let expected = [0, 1].map(|which| if which < state.count() { count } else { 0 });
        if [m.len(), v.len()] != expected {
            return Err(Error::WrongNumberOfValues {
                name: format!("moments of {}", info.name),
                shape: info.shape.clone(),
                expected: expected.iter().sum(),
                found: m.len() + v.len(),
            });
        }
        state.set(m, v, store.device());
        Ok(())
    }

    /// Sets the number of updates done.
    pub(crate) fn set_updates(&mut self, updates: u64) {
        self.updates = updates;
    }
}

#[cfg(test)]
mod tests;
