//! One training run as a stage: skipped when complete, continued when not, and its model written at the end.

use std::path::Path;

use ligo_arch::ModelConfig;
use ligo_checkpoint::Card;
use ligo_cost::{Cost, format};
use ligo_pretrained::Beside;
use ligo_pretrained::Source;
use ligo_train::{
    DistillObjective, HostMoments, NewMasks, Objective, ParamStore, PretrainObjective, RunData, StepCost, TrainConfig,
    TrainResult, Trainer,
};
use serde_json::{Value, json};

use super::branch;
use super::dataset::Dataset;
use super::outcome::{MODEL, RESULT_JSON, read_result, save_result};
use super::ranks::{self, Assignment, Place};
use super::stage::{self, KERNELS, TRAIN};
use super::task::Task;
use super::trunk;
use super::{Session, revisions, room};
use crate::cost::TrainingCost;
use crate::identity::fingerprint;
use crate::listener::{NotingSaves, Watched};
use crate::recipe::DataSection;
use crate::stop::STOP;
use crate::{Failure, cost};

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

/// A card with what came of the training.
fn of_trained(mut card: Card, config: &ModelConfig, result: &TrainResult) -> Card {
    card.class = config.architecture();
    card.is_of_timm = config.is_of_timm();
    let loss = result.final_loss().map(|loss| format!("{loss:.4}"));
    card.numbers
        .extend(loss.map(|loss| ("validation loss".to_owned(), loss)));
    card.numbers.extend([
        ("steps".to_owned(), result.steps.to_string()),
        ("training FLOPs".to_owned(), format::flops(result.cost.flops.exact)),
    ]);
    card
}

/// What most training runs do without.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// Who teaches, where the settings ask for a teacher.
    pub teacher: Option<&'a Source>,
    /// A model directory whose other files, such as `generation_config.json`, go along.
    pub side_files: Option<&'a Path>,
    /// What was spent before the first step.
    pub spent: Cost,
    /// Ends the run early: after so many steps, of which the last one is evaluated. No model is written then, unless others go on from it.
    pub until: Option<u64>,
    /// Whether it is left there for others to go on from: its model is written, and where another one of the same kind was left sooner, it goes on
    /// with that.
    pub goes_on: bool,
    /// Keeps the state after so many steps for runs of other lengths.
    pub branch_at: Option<u64>,
}

impl Extras<'_> {
    fn writes_model(&self) -> bool {
        self.until.is_none() || self.goes_on
    }
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
    /// What is minimized.
    pub objective: &'a dyn Objective,
    /// The same for other ranks.
    pub task: Task,
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

impl Session<'_> {
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
        let mut inputs = json!({"config": config.to_json(), "train": train.deciding(), "data": data, "upstream": upstream, KERNELS: self.kernels});
        let parts = revisions::of_training(config.task(), train.distillation.is_some());
        inputs = revisions::noted(inputs, &parts);
        if let Some(until) = extras.until {
            inputs["until"] = until.into();
        }
        if !self.only_looks && stage::lacks_only(folder, &inputs, MODEL) && !has_checkpoint(folder) {
            // Hours of work, perhaps, for a model that somebody removed on purpose.
            self.listener.say(&format!(
                "{label}: complete, skipped; its model is not there any more, and to have it again, remove {}",
                folder.display()
            ));
            let print = stage::complete(folder).unwrap_or_else(|| fingerprint(&inputs));
            return Ok((read_result(folder)?, print));
        }
        let outputs = match extras.writes_model() {
            false => &[RESULT_JSON][..],
            true => &[RESULT_JSON, MODEL],
        };
        // Whatever its end is, it is the same run up to there.
        let of_run = match extras.goes_on {
            true => trunk::whole(&inputs),
            false => inputs.clone(),
        };
        self.check_same_run(folder, train, &inputs)?;
        let print = self.stage(label, folder, &inputs, outputs, || {
            if let Some(until) = extras.until.filter(|_| extras.goes_on && !has_checkpoint(folder)) {
                trunk::go_on_from_another(self.listener, label, folder, &inputs, until)?;
            }
            if extras.until.is_none() && !has_checkpoint(folder) {
                branch::go_on_from_another(self.listener, label, folder, train, &inputs)?;
            }
            let memory = crate::plan::training_memory_on(ranks::count_and_shares(), config, train, data);
            self.check_memory(label, &memory)?;
            let names: Vec<&str> = optional.iter().map(String::as_str).collect();
            let objective = PretrainObjective::new(config, &names, &self.device)?;
            let teacher = extras.teacher.filter(|_| train.distillation.is_some());
            let dims = |config| cost::dims(config, data.seq_len, data.mask_probability);
            let cost = TrainingCost::new(dims(config), teacher.map(|teacher| dims(&teacher.config)), train);
            let (objective, task): (Box<dyn Objective>, _) = match teacher {
                None => (
                    Box::new(objective),
                    Task::Pretrain {
                        optional: optional.to_vec(),
                    },
                ),
                Some(teacher) => {
                    let task = Task::Distill {
                        optional: optional.to_vec(),
                        teacher: ranks::whole(teacher.dir.path())?,
                    };
                    let objective = DistillObjective::new(objective, teacher.model(&self.device)?);
                    (Box::new(objective), task)
                }
            };
            let (store, result) = self.steps(Steps {
                label,
                folder,
                objective: objective.as_ref(),
                task,
                config,
                start: start()?,
                train,
                dataset,
                data,
                cost: Box::new(cost),
                extras,
                inputs: &of_run,
            })?;
            if extras.writes_model() {
                let beside = Beside {
                    tokenizer: Some(dataset.tokenizer()),
                    others: extras.side_files,
                    card: Some(of_trained(card, config, &result)),
                };
                ligo_pretrained::save_model(&store, config, &folder.join(MODEL), beside)?;
            }
            save_result(folder, &result)
        })?;
        let result = read_result(folder)?;
        self.listener.say(&format!(
            "{label}: validation loss {:.3} after {} steps, {}, {}",
            result.final_loss().unwrap_or(f64::NAN),
            result.steps,
            format::flops(result.cost.flops.exact),
            format::seconds(result.cost.seconds),
        ));
        Ok((result, print))
    }

    /// Refuses other settings for a folder whose training is complete and has checkpoints, while it still counts as complete.
    ///
    /// # Errors
    /// The settings, or what the run starts from, are others.
    pub fn check_same_run(&self, folder: &Path, train: &TrainConfig, inputs: &Value) -> Result<(), Failure> {
        match !self.only_looks && stage::is_of_others(folder, inputs) {
            true => ligo_train::check_same_run(folder, train, &identity(inputs)).map_err(explained),
            false => Ok(()),
        }
    }

    /// The steps of a run, from wherever it stands.
    ///
    /// # Errors
    /// As [`Session::train`].
    pub fn steps(&self, steps: Steps<'_>) -> Result<(ParamStore, TrainResult), Failure> {
        let Steps { config, train, .. } = steps;
        let parameters = steps.start.store.num_parameters();
        room::check_disk(
            steps.label,
            steps.folder,
            parameters,
            train,
            steps.extras.writes_model(),
        )?;
        let (loader, valid) = steps.dataset.batches(config, steps.data, train)?;
        let run = RunData {
            train: loader.as_ref(),
            valid: &valid,
        };
        let last = steps.extras.until.unwrap_or(train.steps);
        let mut observer = NotingSaves(self.listener.training(&Watched {
            label: steps.label,
            steps: last,
            peak_flops: self.peak_flops * ranks::count() as f64,
            reads_images: config.image_shape().is_some(),
        }));
        let Start { store, moments, new } = steps.start;
        let team = ranks::team();
        let assignment = match team {
            None => None,
            Some(_) => Some(Assignment {
                task: steps.task,
                config: config.to_json(),
                parameters: ranks::shapes_of(&store),
                train: train.clone(),
                data: steps.data.clone(),
                content: Place::of(steps.dataset)?,
                cost: steps.cost.whole(),
                last,
                branch_at: steps.extras.branch_at,
                inputs: steps.inputs.clone(),
                has_new: new.is_some(),
                shares_optimizer: ranks::count_and_shares().1,
            }),
        };
        let new_everywhere = new.clone().filter(|_| team.is_some());
        let mut trainer = Trainer::new(train.clone(), steps.objective, store, run, steps.folder)?
            .with_cost(steps.cost)
            .with_spent(steps.extras.spent)
            .with_end(last)
            .with_identity(identity(steps.inputs));
        if let Some(team) = team {
            trainer = trainer.with_ranks(team.ranks())?;
            let mut divided = String::new();
            if team.shares_optimizer() {
                trainer = trainer.with_optimizer_sharding();
                divided = ", and the moments of the optimizer".into();
            }
            self.listener.note(&format!(
                "{} ranks share the {} micro-batches of each step{divided}",
                ranks::count(),
                train.accumulation
            ));
        } else {
            // What the others use, nobody here can read.
            trainer = trainer.with_meter(self.machine.power.meter());
        }
        if let Some(step) = steps.extras.branch_at {
            trainer = trainer.with_branch(step);
        }
        if let Some((moments, updates)) = moments {
            trainer = trainer.with_moments(moments, updates)?;
        }
        if let Some(new) = new {
            trainer = trainer.map_optimizer(|optimizer, store| optimizer.with_new_entries(store, new))?;
        }
        if let (Some(team), Some(assignment)) = (team, assignment) {
            team.call(assignment, new_everywhere.as_ref())?;
        }
        let result = trainer.run(&STOP, &mut observer);
        drop(observer);
        if let (Some(team), Err(error)) = (team, &result)
            && !error.is_of_all_ranks()
        {
            team.lose();
        }
        let result = result.map_err(explained)?;
        // A stop may meet the last evaluation.
        if result.curve.last().is_none_or(|point| point.step < last) {
            return Err(Failure::Interrupted);
        }
        Ok((trainer.into_store(), result))
    }
}

/// Whether a run's folder holds a checkpoint.
fn has_checkpoint(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder.join("checkpoints")).into_iter().flatten();
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with("step-"))
}

/// A hash for each part of a stage's inputs, so that a run which cannot go on says which of them changed. What a run starts from is told
/// apart by its own parts, where they have names.
pub(super) fn identity(inputs: &Value) -> Value {
    let parts = inputs.as_object().into_iter().flatten();
    let named = parts.flat_map(|(name, part)| match part.as_object() {
        // The loop compares them itself, and says which setting is another.
        _ if name == TRAIN => Vec::new(),
        Some(inner) if name == "upstream" => inner.iter().collect(),
        _ => vec![(name, part)],
    });
    let told = |(name, part): (&String, &Value)| match part {
        // Short, and people know what it means.
        Value::String(kernels) if name == KERNELS => (name.clone(), kernels.as_str().into()),
        part => (name.clone(), Value::from(&fingerprint(part)[..12])),
    };
    named.map(told).collect()
}

fn explained(error: ligo_train::Error) -> Failure {
    match error {
        ligo_train::Error::OtherRun { ref dir, .. } => {
            let model = dir.with_file_name(MODEL);
            let further = match model.is_dir() {
                true => format!(
                    "; to train its model further, give another --out with --init {}",
                    model.display()
                ),
                false => String::new(),
            };
            let help = format!(
                "what a run starts from (upstream: its data, and the models that --init, --teacher or --small name) counts by its content; \
                 to begin anew, remove {}; to keep both, give another --out{further}",
                dir.display()
            );
            Failure::other(error.to_string(), help)
        }
        other => Failure::Train(other),
    }
}
