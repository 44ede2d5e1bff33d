//! One training run as a stage: skipped when complete, continued when not, and its model written at the end.

use std::path::Path;

use burn::tensor::Device;
use ligo_arch::ModelConfig;
use ligo_checkpoint::Card;
use ligo_cost::format;
use ligo_ops::{Precision, with_precision};
use ligo_train::{
    DistillObjective, HostMoments, NewMasks, Objective, ParamStore, PretrainObjective, RunData, Spent, StepCost,
    TrainConfig, TrainResult, Trainer,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::dataset::Dataset;
use super::guard::guarded;
use super::stage::{self, fingerprint, write_json};
use crate::cost::TrainingCost;
use crate::device::{self, Picked};
use crate::load::Source;
use crate::observer::Progress;
use crate::plan::Machine;
use crate::recipe::{DataSection, Recipe};
use crate::stop::STOP;
use crate::{Failure, Ui, cost};

const RESULT_JSON: &str = "result.json";

/// What all stages of a session share.
pub struct Session {
    /// Where messages go.
    pub ui: Ui,
    /// The device.
    pub device: Device,
    /// Its matmul peak in FLOP/s.
    pub peak_flops: f64,
    /// The same device as plans and meters see it.
    pub machine: Machine,
    /// Stages that are not complete are errors, and nothing is written.
    pub only_looks: bool,
}

/// One training run of a model.
pub struct Training<'a> {
    /// For messages.
    pub label: &'a str,
    /// The run's folder.
    pub folder: &'a Path,
    /// The model.
    pub config: &'a ModelConfig,
    /// What it starts from, asked for only when there is something to do.
    pub start: &'a mut dyn FnMut() -> Result<Start, Failure>,
    /// How it is trained.
    pub train: &'a TrainConfig,
    /// What it is trained on.
    pub dataset: &'a Dataset,
    /// How tokens become samples.
    pub data: &'a DataSection,
    /// What the start values depend on.
    pub upstream: Value,
    /// Optional tensors of the model.
    pub optional: &'a [String],
    /// The written model's card.
    pub card: Card,
    /// What most runs do without.
    pub extras: Extras<'a>,
}

/// What most training runs do without.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// Who teaches, where the settings ask for a teacher.
    pub teacher: Option<&'a Source>,
    /// What was spent before the first step.
    pub spent: Spent,
    /// Ends the run early: after so many steps, of which the last one is evaluated. No model is written then.
    pub until: Option<u64>,
}

/// What a training run starts from.
#[derive(Debug)]
pub struct Start {
    /// The parameters.
    pub store: ParamStore,
    /// The optimizer's moments, and how many updates they have seen.
    pub moments: Option<(HostMoments, u64)>,
    /// Which numbers are new.
    pub new: Option<NewMasks>,
}

impl From<ParamStore> for Start {
    fn from(store: ParamStore) -> Self {
        Self {
            store,
            moments: None,
            new: None,
        }
    }
}

/// The steps of one run, whatever it learns.
pub struct Steps<'a> {
    /// For messages.
    pub label: &'a str,
    /// The run's folder.
    pub folder: &'a Path,
    /// What is minimised.
    pub objective: &'a dyn Objective,
    /// The model that reads the data.
    pub config: &'a ModelConfig,
    /// What it starts from.
    pub start: Start,
    /// How it is trained.
    pub train: &'a TrainConfig,
    /// What it is trained on.
    pub dataset: &'a Dataset,
    /// How tokens become samples.
    pub data: &'a DataSection,
    /// The price of its steps.
    pub cost: Box<dyn StepCost + 'a>,
    /// What most runs do without.
    pub extras: Extras<'a>,
    /// All that decides the run.
    pub inputs: &'a Value,
}

impl Session {
    /// Measures the device's peak in the precision that most is computed in.
    pub fn new(ui: Ui, picked: &Picked, precision: Precision) -> Self {
        let peak_flops = Machine::peak_of(&picked.device, precision);
        ui.note(format!(
            "device: {} ({}), matmul peak {} in {precision}",
            picked.name,
            picked.reason,
            format::flops_per_second(peak_flops)
        ));
        if picked.is_gpu {
            device::kernel_notes().iter().for_each(|note| ui.note(note));
        }
        Self {
            ui,
            device: picked.device.clone(),
            peak_flops,
            machine: Machine::new(picked, peak_flops),
            only_looks: false,
        }
    }

    /// Finds out whether work is complete, and does none.
    pub fn looking(picked: &Picked) -> Self {
        Self {
            ui: Ui::new(true),
            device: picked.device.clone(),
            peak_flops: 0.0,
            machine: Machine::new(picked, 0.0),
            only_looks: true,
        }
    }

    /// Runs `work` unless the folder says that it is complete for these inputs; returns the fingerprint.
    ///
    /// # Errors
    /// Those of `work`, or the folder cannot be written; in a session that only looks: it is not complete.
    pub fn stage(
        &self,
        name: &str,
        folder: &Path,
        inputs: &Value,
        work: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<String, Failure> {
        match self.only_looks {
            true => stage::found(name, folder, inputs),
            false => stage::stage(self.ui, name, folder, inputs, || guarded(self.machine.is_gpu, work)),
        }
    }

    /// A model card.
    pub fn card(&self, title: &str, base: Option<&Path>, method: &str, recipe: &Recipe) -> Card {
        Card {
            title: format!("{}: {title}", recipe.name),
            base_model: base.map(|b| b.display().to_string()),
            method: Some(method.into()),
            recipe: Some("recipe.toml".into()),
            ..Card::default()
        }
    }

    /// The validation loss of a model.
    ///
    /// # Errors
    /// The model does not fit the data, or the device fails.
    pub fn evaluate(
        &self,
        config: &ModelConfig,
        store: &ParamStore,
        dataset: &Dataset,
        data: &DataSection,
        train: &TrainConfig,
    ) -> Result<f64, Failure> {
        let (_, valid) = dataset.batches(config, data, train)?;
        let objective = PretrainObjective::new(config, &[], &self.device)?;
        let loss = with_precision(train.precision, || {
            ligo_train::evaluate(&objective, store, &valid, &STOP, &mut |_| {})
        })?;
        loss.ok_or(Failure::Interrupted)
    }

    /// Trains a model and writes it; returns what happened and the fingerprint of the outcome.
    ///
    /// # Errors
    /// Whatever training ends with; [`Failure::Interrupted`] after a stop.
    pub fn train(&self, training: Training<'_>) -> Result<(TrainResult, String), Failure> {
        let Training {
            label,
            folder,
            config,
            start,
            train,
            dataset,
            data,
            upstream,
            optional,
            card,
            extras,
        } = training;
        let mut inputs = json!({"config": config.to_json(), "train": train, "data": data, "upstream": upstream});
        if let Some(until) = extras.until {
            inputs["until"] = until.into();
        }
        let print = self.stage(label, folder, &inputs, || {
            let names: Vec<&str> = optional.iter().map(String::as_str).collect();
            let objective = PretrainObjective::new(config, &names, &self.device)?;
            let teacher = extras.teacher.filter(|_| train.distillation.is_some());
            let dims = |config| cost::dims(config, data.seq_len, data.mask_probability);
            let cost = TrainingCost::new(dims(config), teacher.map(|teacher| dims(&teacher.config)), train);
            let objective: Box<dyn Objective> = match teacher {
                None => Box::new(objective),
                Some(teacher) => Box::new(DistillObjective::new(objective, teacher.model(&self.device)?)),
            };
            let (store, result) = self.steps(Steps {
                label,
                folder,
                objective: objective.as_ref(),
                config,
                start: start()?,
                train,
                dataset,
                data,
                cost: Box::new(cost),
                extras,
                inputs: &inputs,
            })?;
            if extras.until.is_none() {
                crate::save_model(
                    &store,
                    config,
                    &folder.join("model"),
                    Some(dataset.tokenizer()),
                    Some(card),
                )?;
            }
            save_result(folder, &result)
        })?;
        let result = read_result(folder)?;
        self.ui.say(format!(
            "{label}: validation loss {:.3} after {} steps, {}, {}",
            result.final_loss().unwrap_or(f64::NAN),
            result.steps,
            format::flops(result.flops_exact),
            crate::ui::duration(result.seconds),
        ));
        Ok((result, print))
    }

    /// The steps of a run, from wherever it stands.
    ///
    /// # Errors
    /// As [`Session::train`].
    pub fn steps(&self, steps: Steps<'_>) -> Result<(ParamStore, TrainResult), Failure> {
        let Steps { config, train, .. } = steps;
        let (loader, valid) = steps.dataset.batches(config, steps.data, train)?;
        let run = RunData {
            train: loader.as_ref(),
            valid: &valid,
        };
        let last = steps.extras.until.unwrap_or(train.steps);
        let mut progress = Progress::new(self.ui, steps.label, last, self.peak_flops);
        if config.image_shape().is_some() {
            progress = progress.of_images();
        }
        let Start { store, moments, new } = steps.start;
        let mut trainer = Trainer::new(train.clone(), steps.objective, store, run, steps.folder)?
            .with_cost(steps.cost)
            .with_spent(steps.extras.spent)
            .with_end(last)
            .with_meter(self.machine.power.meter())
            .with_identity(identity(steps.inputs));
        if let Some((moments, updates)) = moments {
            trainer = trainer.with_moments(moments, updates)?;
        }
        if let Some(new) = new {
            trainer = trainer.map_optimizer(|optimizer, store| optimizer.with_new_entries(store, new))?;
        }
        let result = trainer.run(&STOP, &mut progress);
        progress.finish();
        let result = result.map_err(explained)?;
        // A stop may meet the last evaluation.
        if result.curve.last().is_none_or(|point| point.step < last) {
            return Err(Failure::Interrupted);
        }
        Ok((trainer.into_store(), result))
    }
}

/// A hash for each part of a stage's inputs, so that a run which cannot go on says which of them changed.
fn identity(inputs: &Value) -> Value {
    let parts = inputs.as_object().into_iter().flatten();
    parts
        .map(|(name, part)| (name.clone(), Value::from(&fingerprint(part)[..12])))
        .collect()
}

fn explained(error: ligo_train::Error) -> Failure {
    match error {
        ligo_train::Error::OtherRun { ref dir, .. } => {
            let help = format!(
                "to begin anew, remove {}; to keep both, give another --out",
                dir.display()
            );
            Failure::other(error.to_string(), help)
        }
        other => Failure::Train(other),
    }
}

/// Writes what a run did.
///
/// # Errors
/// The folder cannot be written.
pub fn save_result(folder: &Path, result: &TrainResult) -> Result<(), Failure> {
    write_json(&folder.join(RESULT_JSON), result)
}

/// Reads what a run did.
///
/// # Errors
/// The file is missing or damaged.
pub fn read_result(folder: &Path) -> Result<TrainResult, Failure> {
    read_json(&folder.join(RESULT_JSON))
}

/// Reads a file that a stage left.
///
/// # Errors
/// As [`read_result`].
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = std::fs::read(path).map_err(Failure::io("read", path))?;
    serde_json::from_slice(&text).map_err(|e| {
        Failure::other(
            format!("{} is damaged: {e}", path.display()),
            "remove the folder that holds it; that stage then runs again",
        )
    })
}
