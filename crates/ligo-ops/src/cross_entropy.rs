//! Softmax cross-entropy.

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
    kernels::loss,
};

/// `mean over rows with target ≥ 0 of -log softmax(logits)[target]`; rows with a negative target are ignored.
///
/// Without any counted row the loss and its gradient are zero.
///
/// # Shapes
/// `logits [N, V]`, `targets [N]`; the result has one element.
///
/// # Panics
/// When the shapes do not fit each other or a target is `V` or more.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    #[cfg(feature = "cube")]
    if cube::is_native(&logits) {
        return cube::cross_entropy::cross_entropy(logits, targets);
    }
    if !graph::is_fast(&logits) {
        return composed::cross_entropy(logits, targets);
    }
    let [count, classes] = logits.dims();
    let targets = graph::integers(targets);
    assert_eq!(
        count,
        targets.len(),
        "cross-entropy needs one target for each row of logits"
    );
    if let Some(target) = targets.iter().find(|&&target| target >= classes as i64) {
        panic!("cross-entropy of {classes} classes got the target {target}");
    }
    let mut part = Part::new(logits);
    part.values = graph::contiguous(part.values);
    let (sum, log_sums) = loss::forward(graph::slice(&part.values), &targets, classes);
    let counted = targets.iter().filter(|&&target| target >= 0).count().max(1) as f64;
    let loss = graph::tensor(vec![(sum / counted) as f32], [1]);
    let scale = 1.0 / counted as f32;
    graph::record(Node, [part], loss, |[logits]| State {
        logits,
        targets,
        log_sums,
        scale,
    })
}

#[derive(Debug)]
struct Node;

#[derive(Debug, Clone)]
struct State {
    logits: FlexTensor,
    targets: Vec<i64>,
    log_sums: Vec<f32>,
    /// One over the number of counted rows.
    scale: f32,
}

impl Backward<Flex, 1> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, state, mut back) = Back::open(ops, grads, check);
        let dy = graph::contiguous(dy);
        let scale = state.scale * graph::slice(&dy).first().copied().unwrap_or(0.0);
        let [count, classes] = state.logits.layout().shape().dims();
        let logits = graph::slice(&state.logits);
        let dx = loss::backward(logits, &state.targets, &state.log_sums, classes, scale);
        back.give(0, graph::tensor(dx, [count, classes]));
    }
}
