//! Learning from a teacher's logits.

use burn::backend::{
    Flex,
    autodiff::{
        checkpoint::base::Checkpointer,
        grads::Gradients,
        ops::{Backward, Ops},
    },
};
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;

#[cfg(feature = "cube")]
use crate::cube;
use crate::{
    composed,
    graph::{self, Back, Part},
    kernels::loss::{self, LogSums, Pair},
};

/// `mean over rows of τ² · KL(softmax(teacher / τ) ‖ softmax(student / τ))`, with the temperature `τ` (Hinton et al., arXiv:1503.02531;
/// the second term of Knowledge Inheritance, Qin et al., arXiv:2105.13880).
///
/// Rows with a negative label do not count; without labels all do. Without any counted row the loss and its gradient are zero. The
/// gradient is `τ · (softmax(student / τ) - softmax(teacher / τ)) / rows`, with `rows` those that count; the teacher gets none.
///
/// # Shapes
/// `student` and `teacher [N, V]`, `labels [N]`; the result has one element.
///
/// # Panics
/// When the shapes do not fit each other, or the temperature is not more than 0.
pub fn distillation(
    student: Tensor<2>,
    teacher: Tensor<2>,
    labels: Option<Tensor<1, Int>>,
    temperature: f64,
) -> Tensor<1> {
    let [count, classes] = student.dims();
    assert_eq!(
        [count, classes],
        teacher.dims(),
        "distillation needs as many logits of the teacher as of the student"
    );
    if let Some(labels) = &labels {
        assert_eq!(
            [count],
            labels.dims(),
            "distillation needs one label for each row of logits"
        );
    }
    assert!(
        temperature > 0.0,
        "distillation needs a temperature of more than 0, found {temperature}"
    );
    #[cfg(feature = "cube")]
    if cube::is_native(&student) && cube::is_native(&teacher) && count * classes > 0 {
        return cube::distillation::distillation(student, teacher, labels, temperature);
    }
    if !(graph::is_fast(&student) && graph::is_fast(&teacher)) || count * classes == 0 {
        return composed::distillation(student, teacher, labels, temperature);
    }
    let counted = match labels {
        None => vec![true; count],
        Some(labels) => graph::integers(labels).into_iter().map(|label| label >= 0).collect(),
    };
    let mut part = Part::new(student);
    part.values = graph::contiguous(part.values);
    let teacher = graph::contiguous(graph::values(teacher));
    let rows = counted.iter().filter(|&&counted| counted).count().max(1) as f64;
    let sharpness = (1.0 / temperature) as f32;
    let (sum, log_sums) = loss::divergence(Pair {
        student: graph::slice(&part.values),
        teacher: graph::slice(&teacher),
        counted: &counted,
        classes,
        sharpness,
    });
    let loss = graph::tensor(vec![(temperature * temperature * sum / rows) as f32], [1]);
    graph::record(Node, [part], loss, |[student]| State {
        student,
        teacher,
        counted,
        log_sums,
        sharpness,
        scale: (temperature / rows) as f32,
    })
}

#[derive(Debug)]
struct Node;

#[derive(Debug, Clone)]
struct State {
    student: FlexTensor,
    teacher: FlexTensor,
    counted: Vec<bool>,
    log_sums: LogSums,
    /// One over the temperature.
    sharpness: f32,
    /// The temperature over the number of counted rows.
    scale: f32,
}

impl Backward<Flex, 1> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, state, mut back) = Back::open(ops, grads, check);
        let dy = graph::contiguous(dy);
        let scale = state.scale * graph::slice(&dy).first().copied().unwrap_or(0.0);
        let [count, classes] = state.student.layout().shape().dims();
        let pair = Pair {
            student: graph::slice(&state.student),
            teacher: graph::slice(&state.teacher),
            counted: &state.counted,
            classes,
            sharpness: state.sharpness,
        };
        let dx = loss::divergence_backward(pair, &state.log_sums, scale);
        back.give(0, graph::tensor(dx, [count, classes]));
    }
}
