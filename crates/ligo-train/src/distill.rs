use burn::tensor::Tensor;
use ligo_models::{DropoutStream, Inputs, Model, Pass};

use crate::{Error, Learner, Leaves, Objective, PretrainObjective, StepContext, TrainConfig, Trained, Work};

/// Training with a teacher, as [`Distillation`](crate::Distillation) says; everything else is as in [`PretrainObjective`].
#[derive(Clone, Debug)]
pub struct DistillObjective {
    student: PretrainObjective,
    teacher: Model,
}

impl DistillObjective {
    /// The revision of its arithmetic. Raise it together with a change that gives other numbers.
    pub const REVISION: u32 = 1;

    /// `teacher` has its values; they get no gradient.
    pub fn new(student: PretrainObjective, teacher: Model) -> Self {
        Self { student, teacher }
    }
}

impl Objective for DistillObjective {
    fn name(&self) -> &str {
        "distill"
    }

    fn model(&self, leaves: &Leaves) -> Result<Box<dyn Learner>, Error> {
        self.student.model(leaves)
    }

    fn work(&self, at: &StepContext<'_>) -> Work {
        Work {
            teacher: at.teacher().is_some(),
            ..self.student.work(at)
        }
    }

    fn is_trained(&self, name: &str, trained: &Trained) -> bool {
        self.student.is_trained(name, trained)
    }

    fn is_matrix(&self, name: &str) -> bool {
        self.student.is_matrix(name)
    }

    fn loss(&self, leaves: &Leaves, batch: &Inputs, at: &StepContext<'_>) -> Result<Tensor<1>, Error> {
        let Some((weight, temperature)) = at.teacher() else {
            return self.student.loss(leaves, batch, at);
        };
        let pass = self.work(at).pass(at.dropout());
        let scores = self.student.network(leaves)?.scores(batch, &pass)?;
        let taught = self.teacher.scores(batch, &Pass::whole(DropoutStream::off()))?;
        let distance = scores.distillation(&taught, temperature)?.mul_scalar(weight);
        if weight == 1.0 {
            return Ok(distance);
        }
        Ok(scores.loss().mul_scalar(1.0 - weight) + distance)
    }

    fn faults(&self, config: &TrainConfig) -> Vec<String> {
        self.student.depth_faults(config)
    }
}
