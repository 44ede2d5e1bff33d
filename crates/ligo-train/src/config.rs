use std::collections::BTreeSet;

use ligo_arch::ParamTable;
use ligo_data::{LoaderSettings, Masking};
use ligo_ops::Precision;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::muon;
use crate::{
    Average, Distillation, Error, Freeze, LayerDrop, LrSchedule, OptimizerConfig, Rate, Rewarm, ScheduleKind,
    Submodels, TokenDropping,
};

/// What to do when the loss or the gradient of a step is not a finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NonFinitePolicy {
    /// End the run with an error. The last checkpoint stays as it is.
    #[default]
    Stop,
    /// Leave weights and optimizer as they are and go on with the next batch.
    Skip,
    /// Go back to the last checkpoint, and from there on with the batches behind the one that did it. A loss that is not finite in an
    /// evaluation is gone back from too. So weights that were spoiled themselves are got rid of, which skipping cannot do.
    Rollback,
}

/// What to do when a checkpoint on the way cannot be written. The last one of a run must always succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailedSavePolicy {
    /// End the run with an error.
    #[default]
    Stop,
    /// Report it and go on; the former checkpoint is still there.
    Continue,
}

/// Everything that decides how a run goes. With the same data and the same start, equal values give equal runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimizer steps.
    pub steps: u64,
    /// Sequences per micro-batch.
    pub batch_size: usize,
    /// Micro-batches per step; their gradients are averaged over all masked tokens of the step.
    pub accumulation: usize,
    /// The update rule. A recipe may give its kind alone: `optimizer = "muon"`.
    pub optimizer: OptimizerConfig,
    /// The learning rate.
    pub schedule: LrSchedule,
    /// Largest norm of the whole gradient; larger ones are scaled down to it. 0 turns clipping off.
    pub clip_norm: f64,
    /// Evaluate every so many steps (and before the first and after the last); 0 evaluates only there.
    pub eval_every: u64,
    /// Validation batches of `batch_size` sequences per evaluation; 0 takes all that there are.
    pub eval_batches: usize,
    /// Write a line of metrics every so many steps.
    pub log_every: u64,
    /// Save a checkpoint every so many steps; 0 saves only at the end and when interrupted.
    pub checkpoint_every: u64,
    /// Save also when so many seconds have passed since the last checkpoint; 0 turns it off.
    pub checkpoint_every_seconds: f64,
    /// Checkpoints to keep.
    pub keep_checkpoints: usize,
    /// Seed of dropout.
    pub seed: u64,
    /// Seed of the order of the data and of the masks; [`TrainConfig::loader_settings`] hands it on.
    pub data_order_seed: u64,
    /// What a step without a finite loss and gradient does.
    pub on_non_finite: NonFinitePolicy,
    /// Skipped steps in a row after which [`NonFinitePolicy::Skip`] gives up, and returns to the same checkpoint after which
    /// [`NonFinitePolicy::Rollback`] does.
    pub max_skipped_in_a_row: u64,
    /// What a checkpoint that cannot be written does.
    pub on_failed_save: FailedSavePolicy,
    /// A factor on the learning rate of the matrices of layers, and with it on their decay. muP divides their rate by how many times wider a model is than
    /// the one that its rate was found for (Yang et al., arXiv:2203.03466, table 3); tables, gains and biases keep theirs.
    #[serde(skip_serializing_if = "is_one")]
    pub matrix_lr_factor: f64,
    /// A factor on the learning rate of what is new in a grown model.
    #[serde(skip_serializing_if = "is_one")]
    pub new_lr_factor: f64,
    /// Warms up the rate of what is new in a grown model once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewarm_new: Option<Rewarm>,
    /// Skips layers at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_drop: Option<LayerDrop>,
    /// Leaves tokens out in middle layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_drop: Option<TokenDropping>,
    /// Trains sub-models first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submodels: Option<Submodels>,
    /// Holds the lower part of the model fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
    /// Learns from a teacher, the small model, beside the labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation>,
    /// Which average of the weights evaluations and the finished model take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
    /// Keeps only the states between layers for the backward pass, which computes each layer again: about a third more work for much less
    /// memory, and the same numbers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gradient_checkpointing: bool,
    /// The numbers that matrix products are computed with, in steps and evaluations.
    #[serde(skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch_size: 32,
            accumulation: 1,
            optimizer: OptimizerConfig::default(),
            schedule: LrSchedule::default(),
            clip_norm: 1.0,
            eval_every: 100,
            eval_batches: 0,
            log_every: 1,
            checkpoint_every: 500,
            checkpoint_every_seconds: 300.0,
            keep_checkpoints: 2,
            seed: 0,
            data_order_seed: 0,
            on_non_finite: NonFinitePolicy::Stop,
            max_skipped_in_a_row: 10,
            on_failed_save: FailedSavePolicy::Stop,
            matrix_lr_factor: 1.0,
            new_lr_factor: 1.0,
            rewarm_new: None,
            layer_drop: None,
            token_drop: None,
            submodels: None,
            freeze: None,
            distillation: None,
            average: None,
            gradient_checkpointing: false,
            precision: Precision::F32,
        }
    }
}

/// Steps of a run. The longest ones that are known have some millions.
pub const MOST_STEPS: u64 = 100_000_000;
/// Sequences of a step. The largest batches that are known have some hundred thousand.
pub const MOST_SEQUENCES: u64 = 1 << 24;

impl TrainConfig {
    /// The learning rate of the step with number `step`, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        self.schedule.over(self.steps).lr(step)
    }

    /// The learning rates of the step with number `step`, counted from 0.
    pub fn rate(&self, step: u64) -> Rate {
        let total = self.schedule.over(self.steps).total_steps;
        let rewarmed = self.rewarm_new.map_or(1.0, |rewarm| rewarm.factor(step, total));
        Rate {
            lr: self.lr(step),
            new_factor: self.new_lr_factor * rewarmed,
        }
    }

    /// Whether new numbers of a grown model learn at rates of their own.
    pub fn needs_new_entries(&self) -> bool {
        self.new_lr_factor != 1.0 || self.rewarm_new.is_some()
    }

    /// Numbers that are kept for each parameter of a model beside its value and gradient: moments, and weights that are averaged.
    pub fn numbers_kept(&self, table: &ParamTable) -> f64 {
        let averaged = self.average.map_or(0, |average| average.kept());
        self.optimizer.numbers_kept(muon::share_of(table)) + averaged as f64
    }

    /// Settings that ask for something else than a plain pass through the whole model, by their keys.
    pub fn special_passes(&self) -> Vec<&'static str> {
        let asked = [
            ("layer_drop", self.layer_drop.is_some()),
            ("token_drop", self.token_drop.is_some()),
            ("submodels", self.submodels.is_some()),
            ("freeze", self.freeze.is_some()),
            ("distillation", self.distillation.is_some()),
        ];
        let asked = asked.into_iter().filter(|(_, asked)| *asked);
        asked.map(|(key, _)| key).collect()
    }

    /// What does not fit a model whose first stack has `depth` layers, one sentence per fault.
    pub fn depth_faults(&self, depth: usize) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(drop) = &self.token_drop {
            drop.depth_faults(depth, &mut faults);
        }
        if let Some(submodels) = &self.submodels {
            submodels.depth_faults(depth, &mut faults);
        }
        if let Some(freeze) = &self.freeze {
            freeze.depth_faults(depth, &mut faults);
        }
        faults
    }

    /// Sequences per optimizer step.
    pub fn sequences_per_step(&self) -> usize {
        // `validate` refuses what would come near the end of the numbers; whoever did not ask it must not get a small one.
        self.batch_size.saturating_mul(self.accumulation)
    }

    /// Settings of a loader that shuffles by this configuration's seed.
    pub fn loader_settings(&self, seq_len: usize, masking: Masking) -> LoaderSettings {
        LoaderSettings {
            seq_len,
            seed: self.data_order_seed,
            shuffle: true,
            masking,
        }
    }

    /// Whether the validation loss is due after `step` steps.
    pub(crate) fn evaluates_at(&self, step: u64) -> bool {
        step == 0 || step == self.steps || (self.eval_every > 0 && step.is_multiple_of(self.eval_every))
    }

    /// How many times a run measures its validation loss: before its first step, on the way and after its last.
    pub fn evaluations(&self) -> u64 {
        let between = match self.eval_every {
            0 => 0,
            every => self.steps.saturating_sub(1) / every,
        };
        1 + between + u64::from(self.steps > 0)
    }

    /// Checks all numbers.
    ///
    /// # Errors
    /// [`Error::Config`] with every fault that was found.
    pub fn validate(&self) -> Result<(), Error> {
        let mut faults = Vec::new();
        let at_least_one = [
            ("batch_size", self.batch_size as u64),
            ("accumulation", self.accumulation as u64),
            ("log_every", self.log_every),
            ("keep_checkpoints", self.keep_checkpoints as u64),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                faults.push(format!("{field} must be at least 1, found 0"));
            }
        }
        for (field, value) in [
            ("clip_norm", self.clip_norm),
            ("checkpoint_every_seconds", self.checkpoint_every_seconds),
            ("matrix_lr_factor", self.matrix_lr_factor),
            ("new_lr_factor", self.new_lr_factor),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                faults.push(format!("{field} must be a number of at least 0, found {value}"));
            }
        }
        self.size_faults(&mut faults);
        self.schedule.faults(&mut faults);
        self.end_faults(&mut faults);
        if let Some(average) = &self.average {
            average.faults(self.steps, &mut faults);
        }
        self.optimizer.faults(&mut faults);
        self.pass_faults(&mut faults);
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Error::Config { faults })
        }
    }

    /// A schedule that is over before the run that goes on with it begins.
    fn end_faults(&self, faults: &mut Vec<String>) {
        let schedule = self.schedule.over(self.steps);
        let (first, total) = (schedule.first_step, schedule.total_steps);
        if first > 0 && first >= total && self.steps > 0 && schedule.kind != ScheduleKind::Constant {
            faults.push(format!(
                "schedule.first_step must be below schedule.total_steps ({total}), or the whole decay lies before the first step; found {first}"
            ));
        }
    }

    /// Numbers beyond what anyone trains with, whose products would not be numbers any more.
    fn size_faults(&self, faults: &mut Vec<String>) {
        let mut at_most = |field: &str, most: u64, found: u64| {
            if found > most {
                faults.push(format!("{field} must be at most {most}, found {found}"));
            }
        };
        at_most("steps", MOST_STEPS, self.steps);
        at_most("schedule.warmup_steps", MOST_STEPS, self.schedule.warmup_steps);
        at_most("schedule.total_steps", MOST_STEPS, self.schedule.total_steps);
        at_most("schedule.first_step", MOST_STEPS, self.schedule.first_step);
        at_most("batch_size", MOST_SEQUENCES, self.batch_size as u64);
        at_most("accumulation", MOST_SEQUENCES, self.accumulation as u64);
        if self.batch_size as u64 <= MOST_SEQUENCES && self.accumulation as u64 <= MOST_SEQUENCES {
            let sequences = self.sequences_per_step() as u64;
            at_most("batch_size × accumulation", MOST_SEQUENCES, sequences);
        }
    }

    fn pass_faults(&self, faults: &mut Vec<String>) {
        if let Some(rewarm) = &self.rewarm_new {
            rewarm.faults(self.steps, self.schedule.over(self.steps).total_steps, faults);
        }
        if let Some(drop) = &self.layer_drop {
            drop.faults(faults);
        }
        if let Some(drop) = &self.token_drop {
            drop.faults(faults);
        }
        if let Some(submodels) = &self.submodels {
            submodels.faults(faults);
        }
        if let Some(freeze) = &self.freeze {
            freeze.faults(faults);
        }
        if let Some(distillation) = &self.distillation {
            distillation.faults(faults);
        }
    }

    /// The same settings with the usual value for everything that decides no number of a run: how often it reports and saves, and what it
    /// does when it cannot save.
    #[must_use]
    pub fn deciding(&self) -> Self {
        let free = Self::default();
        Self {
            log_every: free.log_every,
            checkpoint_every: free.checkpoint_every,
            checkpoint_every_seconds: free.checkpoint_every_seconds,
            keep_checkpoints: free.keep_checkpoints,
            on_failed_save: free.on_failed_save,
            ..self.clone()
        }
    }

    /// The names of the fields that decide the numbers of a run and differ from `other`'s.
    ///
    /// How often to report or to save and what is kept in memory may change when a run is continued; anything else may not.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let fields = |c: &Self| {
            let c = Self {
                gradient_checkpointing: Self::default().gradient_checkpointing,
                ..c.deciding()
            };
            let precision = Value::from(c.precision.name());
            let mut fields = serde_json::to_value(c).unwrap_or_default();
            // Not written when it is the usual one, and better named than called null.
            fields["precision"] = precision;
            fields
        };
        let (mine, theirs) = (fields(self), fields(other));
        // What is not asked for is not written, so either side may lack a field.
        let names = [&mine, &theirs].map(|fields| fields.as_object().into_iter().flatten().map(|(name, _)| name));
        let names: BTreeSet<&String> = names.into_iter().flatten().collect();
        let value = |fields: &Value, name: &str| fields.get(name).cloned().unwrap_or_default();
        let changed = names.into_iter().filter_map(|name| {
            let (now, before) = (value(&mine, name), value(&theirs, name));
            (now != before).then(|| format!("{name} was {before} and is now {now}"))
        });
        changed.collect()
    }
}

#[cfg(test)]
mod tests;
