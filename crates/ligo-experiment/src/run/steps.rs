//! The steps of a training run, from wherever it stands, alone or shared with other ranks.

use std::path::Path;

use ligo_train::{Objective, ParamStore, RunData, StepCost, TrainConfig, TrainResult, Trainer};
use serde_json::Value;

use super::outcome::MODEL;
use super::ranks::{self, Assignment, Place};
use super::stage::{self, identity};
use super::task::Task;
use super::training_run::{Start, TrainingRun};
use super::{Session, room};
use crate::Failure;
use crate::listener::{NotingSaves, Watched};
use crate::stop::STOP;

/// What a training run learns, and from where.
pub struct Steps<'a> {
    /// What is minimized.
    pub objective: &'a dyn Objective,
    /// The same for other ranks.
    pub task: Task,
    /// What it starts from.
    pub start: Start,
    /// The price of its steps.
    pub cost: Box<dyn StepCost + 'a>,
    /// All that decides the run.
    pub inputs: &'a Value,
}

impl Session<'_> {
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
    pub fn steps(&self, run: &TrainingRun<'_>, steps: Steps<'_>) -> Result<(ParamStore, TrainResult), Failure> {
        let TrainingRun {
            config, train, extras, ..
        } = *run;
        let parameters = steps.start.store.num_parameters();
        room::check_disk(run.label, run.folder, parameters, train, extras)?;
        let (loader, valid) = run.dataset.batches(config, run.data, train)?;
        let batches = RunData {
            train: loader.as_ref(),
            valid: &valid,
        };
        let last = extras.until.unwrap_or(train.steps);
        let mut observer = NotingSaves(self.listener.training(&Watched {
            label: run.label,
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
                data: run.data.clone(),
                content: Place::of(run.dataset)?,
                cost: steps.cost.whole(),
                last,
                branch_at: extras.branch_at,
                inputs: steps.inputs.clone(),
                has_new: new.is_some(),
                shares_optimizer: ranks::count_and_shares().1,
            }),
        };
        let new_everywhere = new.clone().filter(|_| team.is_some());
        let mut trainer = Trainer::new(train.clone(), steps.objective, store, batches, run.folder)?
            .with_cost(steps.cost)
            .with_spent(extras.spent)
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
        if let Some(step) = extras.branch_at {
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

/// Whether a run's folder holds a checkpoint.
pub(super) fn has_checkpoint(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder.join("checkpoints")).into_iter().flatten();
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with("step-"))
}
