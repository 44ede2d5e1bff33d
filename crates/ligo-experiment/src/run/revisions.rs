//! What of the program's own arithmetic decides the outcome of a stage: operators, objectives and losses declare a revision, and one beyond the first is
//! among the inputs of the stages that use it, and of no others.

use ligo_arch::Task;
use ligo_growth::OperatorSpec;
use ligo_train::{DistillObjective, OperatorObjective, PretrainObjective};
use serde_json::{Map, Value, json};

/// The key among the inputs.
const KEY: &str = "revisions";

/// A part of the program with arithmetic of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Part<'a> {
    /// What makes one model of another.
    Operator(&'a OperatorSpec),
    /// Training of a model.
    Pretrain,
    /// Training with a teacher.
    Distill,
    /// Learning of an operator.
    Learn,
    /// From what a model says to its loss.
    Loss(Task),
}

impl Part<'_> {
    fn name(&self) -> String {
        match self {
            Self::Operator(spec) => format!("operator {}", spec.name()),
            Self::Pretrain => "pretrain".into(),
            Self::Distill => "distill".into(),
            Self::Learn => "learn".into(),
            Self::Loss(task) => format!("loss {task}"),
        }
    }

    fn revision(&self) -> u32 {
        match self {
            Self::Operator(spec) => spec.revision(),
            Self::Pretrain => PretrainObjective::REVISION,
            Self::Distill => DistillObjective::REVISION,
            Self::Learn => OperatorObjective::REVISION,
            Self::Loss(task) => ligo_models::loss_revision(*task),
        }
    }
}

/// What trains a model, with a teacher or without.
pub fn of_training(task: Task, has_teacher: bool) -> Vec<Part<'static>> {
    let teacher = has_teacher.then_some(Part::Distill);
    [Part::Pretrain, Part::Loss(task)].into_iter().chain(teacher).collect()
}

/// What learns an operator for a large model of this task.
pub fn of_learning(task: Task) -> Vec<Part<'static>> {
    vec![Part::Learn, Part::Loss(task)]
}

/// The inputs of a stage with the revisions of what computes it. First ones are not noted, so that fingerprints stay as they were before there were any.
pub fn noted(inputs: Value, parts: &[Part<'_>]) -> Value {
    noted_as(inputs, parts, |part| part.revision())
}

fn noted_as(mut inputs: Value, parts: &[Part<'_>], revision: impl Fn(&Part<'_>) -> u32) -> Value {
    let later = parts.iter().map(|part| (part.name(), revision(part)));
    let later: Map<String, Value> = later
        .filter(|(_, n)| *n != 1)
        .map(|(name, n)| (name, n.into()))
        .collect();
    if later.is_empty() {
        return inputs;
    }
    match &mut inputs {
        Value::Object(fields) => drop(fields.insert(KEY.into(), later.into())),
        Value::Array(items) => items.push(json!({KEY: later})),
        other => inputs = json!([other, {KEY: later}]),
    }
    inputs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identity::fingerprint;

    /// Stages of several kinds, each with what computes it.
    fn stages(operators: &[OperatorSpec]) -> Vec<(Value, Vec<Part<'_>>)> {
        let maps = operators
            .iter()
            .map(|spec| (json!(["before", spec, 7]), vec![Part::Operator(spec)]));
        let trainings = [Task::MaskedLm, Task::CausalLm].into_iter().flat_map(|task| {
            let inputs = |what: &str| json!({"train": what, "task": task.to_string()});
            [
                (inputs("plain"), of_training(task, false)),
                (inputs("teacher"), of_training(task, true)),
                (inputs("learn"), of_learning(task)),
            ]
        });
        maps.chain(trainings).collect()
    }

    #[test]
    fn first_revisions_leave_fingerprints_as_they_were() {
        for (inputs, parts) in stages(&OperatorSpec::NAMES.map(|name| OperatorSpec::from_name(name).unwrap())) {
            assert_eq!(noted_as(inputs.clone(), &parts, |_| 1), inputs);
        }
    }

    #[test]
    fn a_raised_revision_changes_the_identity_of_what_uses_it_and_of_nothing_else() {
        let operators = OperatorSpec::NAMES.map(|name| OperatorSpec::from_name(name).unwrap());
        let stages = stages(&operators);
        let others = [
            Part::Pretrain,
            Part::Distill,
            Part::Learn,
            Part::Loss(Task::MaskedLm),
            Part::Loss(Task::CausalLm),
        ];
        let all: Vec<Part<'_>> = operators.iter().map(Part::Operator).chain(others).collect();
        for raised in &all {
            let mut users = 0;
            for (inputs, parts) in &stages {
                let with = |n: u32| {
                    fingerprint(&noted_as(
                        inputs.clone(),
                        parts,
                        |part| if part == raised { n } else { 1 },
                    ))
                };
                let uses = parts.contains(raised);
                assert_eq!(with(1) != with(2), uses, "{raised:?} in {inputs}");
                assert_eq!(with(2) != with(3), uses, "{raised:?} in {inputs}");
                users += usize::from(uses);
            }
            assert!(users > 0 && users < stages.len(), "{raised:?} is used by {users}");
        }
        // Settings of an operator do not matter to its revision.
        let plain = OperatorSpec::from_name("fpi").unwrap();
        assert_eq!(Part::Operator(&plain).name(), "operator fpi");
    }
}
