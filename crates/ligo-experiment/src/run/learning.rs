//! Learning an operator as a stage.

use std::path::Path;

use ligo_arch::ModelConfig;
use ligo_cost::format;
use ligo_growth::{LigoOperator, OperatorInfo, OperatorSpec};
use ligo_pretrained::open_model;
use ligo_train::OperatorObjective;
use serde_json::{Value, json};

use super::outcome::{RESULT_JSON, read_result, save_result};
use super::steps::Steps;
use super::task::Task;
use super::training_run::TrainingRun;
use super::{Session, ranks, revisions, stage};
use crate::{Failure, cost};

/// Learning an operator.
pub struct Learning<'a> {
    /// Its run; the large model reads the data.
    pub run: TrainingRun<'a>,
    /// Where the operator is written: beside the run's folder.
    pub operator_dir: &'a Path,
    /// The operator's description.
    pub spec: &'a OperatorSpec,
    /// The operator.
    pub operator: LigoOperator,
    /// The small model's directory.
    pub small_dir: &'a Path,
    /// The small model.
    pub small: &'a ModelConfig,
    /// What else decides the outcome.
    pub upstream: Value,
}

impl Learning<'_> {
    /// Learns the operator and writes it; returns the fingerprint of the outcome.
    ///
    /// # Errors
    /// Whatever training ends with.
    pub fn run(self, session: &Session) -> Result<String, Failure> {
        let TrainingRun {
            label,
            folder,
            config,
            train,
            data,
            ..
        } = self.run;
        let inputs = json!({"train": train.deciding(), "data": data, "upstream": self.upstream, stage::KERNELS: session.kernels});
        let inputs = revisions::noted(inputs, &revisions::of_learning(config.task()));
        let operator = self.operator_dir.file_name().unwrap_or_default();
        let operator = format!("../{}", operator.to_string_lossy());
        let outputs = [RESULT_JSON, &operator];
        session.check_same_run(folder, train, &inputs)?;
        let print = session.stage(label, folder, &inputs, &outputs, || self.learn(session, &inputs))?;
        let result = read_result(folder)?;
        session.listener.say(&format!(
            "{label}: loss {:.3} → {:.3} in {} steps, {}",
            result.curve.first().map_or(f64::NAN, |p| p.loss),
            result.final_loss().unwrap_or(f64::NAN),
            result.steps,
            format::seconds(result.cost.seconds),
        ));
        Ok(print)
    }

    fn learn(self, session: &Session, inputs: &Value) -> Result<(), Failure> {
        let TrainingRun {
            label,
            folder,
            config: large,
            train,
            data,
            ..
        } = self.run;
        let mut source = open_model(self.small_dir)?.at(self.small)?;
        let learned = self.operator.num_parameters();
        let config = self.operator.config().clone();
        let memory = crate::plan::learning_memory((self.small, large), &self.operator, train, data);
        session.check_memory(label, &memory)?;
        let task = Task::Learn {
            small_dir: ranks::whole(self.small_dir)?,
            small: self.small.to_json(),
            operator: Box::new(config.clone()),
            seed: self.operator.seed(),
        };
        let objective = OperatorObjective::new(self.operator, large, &mut source.dir, &session.device)?;
        let start = objective.start(&session.device)?;
        let dims = |config| cost::dims(config, data.seq_len, data.mask_probability);
        let (small_dims, large_dims) = (dims(self.small), dims(large));
        let step = cost::learn_step((self.small, &small_dims), (large, &large_dims), train, &config);
        let steps = Steps {
            objective: &objective,
            task,
            start: start.into(),
            cost: Box::new(cost::LearningCost::new(large_dims, step, train)),
            inputs,
        };
        let (store, result) = session.steps(&self.run, steps)?;
        let training = json!({
            "learned_parameters": learned,
            "steps": result.steps,
            "seconds": result.cost.seconds,
            "flops_exact": result.cost.flops.exact,
            "flops_electra": result.cost.flops.electra,
            "validation_loss_before": result.curve.first().map(|p| p.loss),
            "validation_loss_after": result.final_loss(),
            "train": train,
        });
        let info = OperatorInfo::new(self.spec.clone(), self.small, large, training);
        ligo_growth::save_operator(self.operator_dir, &objective.map(&store), info)?;
        save_result(folder, &result)
    }
}
