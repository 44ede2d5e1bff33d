//! The training of a model as a stage: skipped when complete, continued when not, and its model written at the end.

use ligo_arch::ModelConfig;
use ligo_checkpoint::Card;
use ligo_cost::format;
use ligo_pretrained::Beside;
use ligo_train::{DistillObjective, Objective, PretrainObjective, TrainResult};
use serde_json::{Value, json};

use super::outcome::{MODEL, RESULT_JSON, read_result, save_result};
use super::stage::{self, KERNELS};
use super::steps::{Steps, has_checkpoint};
use super::task::Task;
use super::training_run::{Start, TrainingRun};
use super::{Session, branch, ranks, revisions, trunk};
use crate::cost::TrainingCost;
use crate::identity::fingerprint;
use crate::{Failure, cost};

/// The training of a model.
pub struct Training<'a> {
    /// The run.
    pub run: TrainingRun<'a>,
    /// What it starts from, asked for only when there is something to do.
    pub start: &'a mut dyn FnMut() -> Result<Start, Failure>,
    /// What the start values depend on.
    pub upstream: Value,
    /// Optional tensors of the model.
    pub optional: &'a [String],
    /// The written model's card.
    pub card: Card,
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

impl Session<'_> {
    /// Trains a model and writes it; returns what happened and the fingerprint of the outcome.
    ///
    /// # Errors
    /// Whatever training ends with; [`Failure::Interrupted`] after a stop.
    pub fn train(&self, training: Training<'_>) -> Result<(TrainResult, String), Failure> {
        let Training {
            run,
            start,
            upstream,
            optional,
            card,
        } = training;
        let TrainingRun {
            label,
            folder,
            config,
            train,
            dataset,
            data,
            extras,
        } = run;
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
            let steps = Steps {
                objective: objective.as_ref(),
                task,
                start: start()?,
                cost: Box::new(cost),
                inputs: &of_run,
            };
            let (store, result) = self.steps(&run, steps)?;
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
}
