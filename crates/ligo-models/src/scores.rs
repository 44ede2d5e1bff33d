use burn::tensor::{Int, Tensor};

use crate::Error;

/// What a model says at the places that have a label, and the labels: what a loss is made of.
#[derive(Clone, Debug)]
pub struct Scores {
    /// What the head says.
    pub head: HeadScores,
    /// What the other head says, where two learn: on a DeiT's distillation token, and of the ends of answers. They weigh the same.
    pub other: Option<HeadScores>,
    /// What the loss has beside what heads say, `[1]`: the term that balances a mixture's experts.
    pub added: Option<Tensor<1>>,
}

/// What one head says at the places that have a label, and the labels.
#[derive(Clone, Debug)]
pub struct HeadScores {
    /// Logits `[N, K]`: of the vocabulary at `N` tokens, of the classes of `N` texts or images, or of the `K` places where the answers of `N`
    /// texts may begin or end.
    pub logits: Tensor<2>,
    /// What they should say.
    pub targets: Targets,
}

/// What `N` rows of logits should say.
#[derive(Clone, Debug)]
pub enum Targets {
    /// The right column of each row, `[N]`; a row with a negative one does not count.
    Labels(Tensor<1, Int>),
    /// The probability of every column, `[N, K]`.
    Probabilities(Tensor<2>),
}

impl Scores {
    /// The mean cross entropy of the rows that count, and what is added to it.
    ///
    /// # Shapes
    /// The result has one element, 0 when no row counts.
    ///
    /// # Panics
    /// When a label is `K` or more, or targets do not fit their logits.
    pub fn loss(&self) -> Tensor<1> {
        let loss = mean(self.head.loss(), self.other.as_ref().map(HeadScores::loss));
        match &self.added {
            None => loss,
            Some(added) => loss + added.clone(),
        }
    }

    /// How far the model is from a teacher that read the same batch: [`ligo_ops::distillation`] over the rows that count. The teacher gets
    /// no gradient, and its labels are not looked at.
    ///
    /// # Shapes
    /// The result has one element, 0 when no row counts.
    ///
    /// # Errors
    /// [`Error::UnlikeTeacher`] when the teacher has other heads, another vocabulary or other places with labels.
    ///
    /// # Panics
    /// When the temperature is not more than 0.
    pub fn distillation(&self, teacher: &Self, temperature: f64) -> Result<Tensor<1>, Error> {
        let (student_shapes, teacher_shapes) = (self.shapes(), teacher.shapes());
        if student_shapes != teacher_shapes {
            return Err(Error::UnlikeTeacher {
                student: student_shapes,
                teacher: teacher_shapes,
            });
        }
        let others = self.other.as_ref().zip(teacher.other.as_ref());
        let other = others.map(|(student, teacher)| student.distillation(teacher, temperature));
        Ok(mean(self.head.distillation(&teacher.head, temperature), other))
    }

    fn shapes(&self) -> Vec<[usize; 2]> {
        let heads = [Some(&self.head), self.other.as_ref()];
        heads.into_iter().flatten().map(|head| head.logits.dims()).collect()
    }
}

impl HeadScores {
    /// Of one label for each row.
    pub(crate) fn labeled(logits: Tensor<2>, labels: Tensor<1, Int>) -> Self {
        let targets = Targets::Labels(labels);
        Self { logits, targets }
    }

    /// Of a classifier on one token of each image: `logits [B, 1, K]`, `targets [B, K]`.
    pub(crate) fn of_token(logits: Tensor<3>, targets: &Tensor<2>) -> Self {
        Self {
            logits: logits.squeeze_dim(1),
            targets: Targets::Probabilities(targets.clone()),
        }
    }

    fn loss(&self) -> Tensor<1> {
        let logits = self.logits.clone();
        match &self.targets {
            Targets::Labels(labels) => ligo_ops::cross_entropy(logits, labels.clone()),
            Targets::Probabilities(targets) => ligo_ops::soft_cross_entropy(logits, targets.clone()),
        }
    }

    fn distillation(&self, teacher: &Self, temperature: f64) -> Tensor<1> {
        let labels = match &self.targets {
            Targets::Labels(labels) => Some(labels.clone()),
            Targets::Probabilities(_) => None,
        };
        ligo_ops::distillation(self.logits.clone(), teacher.logits.clone(), labels, temperature)
    }
}

impl From<HeadScores> for Scores {
    fn from(head: HeadScores) -> Self {
        Self {
            head,
            other: None,
            added: None,
        }
    }
}

fn mean(loss: Tensor<1>, other: Option<Tensor<1>>) -> Tensor<1> {
    match other {
        None => loss,
        Some(other) => (loss + other) * 0.5,
    }
}
