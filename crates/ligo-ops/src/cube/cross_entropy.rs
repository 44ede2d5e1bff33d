//! Softmax cross-entropy: one cube a row, no probabilities in memory.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::{Int, Tensor};
use cubecl::prelude::*;

use super::sums::{cube_max, cube_sum};
use super::{Back, Cube, CubeTensor, UNITS, arg, count, cubes, dims, empty, integers, into_contiguous, part, threads};
use crate::graph;

/// `log Σ exp` of each row, and `-log softmax(row)[target]`, 0 where the target is negative and `missing` where it is no class.
#[cube(launch)]
fn forward(
    logits: &[f32],
    targets: &[i32],
    log_sums: &mut [f32],
    losses: &mut [f32],
    rows: usize,
    classes: usize,
    missing: f32,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let start = row * classes;
    // One pass: each thread keeps the sum of its exponentials relative to its largest logit so far.
    let mut largest = f32::new(-3.0e38f32);
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < classes {
        let value = logits[start + i];
        if value > largest {
            sum = sum * (largest - value).exp() + 1.0f32;
            largest = value;
        } else {
            sum += (value - largest).exp();
        }
        i += units;
    }
    let top = cube_max(largest, &mut scratch);
    let total = cube_sum(sum * (largest - top).exp(), &mut scratch);
    if UNIT_POS == 0 {
        let log_sum = top + total.ln();
        log_sums[row] = log_sum;
        let target = targets[row];
        let mut loss = 0.0f32;
        if target >= 0 {
            loss = missing;
            if (target as usize) < classes {
                loss = log_sum - logits[start + target as usize];
            }
        }
        losses[row] = loss;
    }
}

/// `result [2]`: the mean over rows whose target counts, and one over their number. Run by one cube.
#[cube(launch)]
pub(super) fn mean(
    losses: &[f32],
    targets: &[i32],
    loss: &mut [f32],
    share: &mut [f32],
    rows: usize,
    factor: f32,
    #[comptime] units: usize,
) {
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let mut total = 0.0f32;
    let mut counted = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < rows {
        total += losses[i];
        if targets[i] >= 0 {
            counted += 1.0f32;
        }
        i += units;
    }
    let total = cube_sum(total, &mut scratch);
    let mut counted = cube_sum(counted, &mut scratch);
    if UNIT_POS == 0 {
        if counted < 1.0f32 {
            counted = 1.0f32;
        }
        loss[0] = factor * total / counted;
        share[0] = 1.0f32 / counted;
    }
}

#[cube(launch)]
fn backward(
    logits: &[f32],
    targets: &[i32],
    log_sums: &[f32],
    share: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    elements: usize,
    classes: usize,
) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let row = i / classes;
        let target = targets[row];
        let mut grad = 0.0f32;
        if target >= 0 {
            grad = (logits[i] - log_sums[row]).exp();
            if i - row * classes == target as usize {
                grad -= 1.0f32;
            }
            grad *= share[0] * dy[0];
        }
        dx[i] = grad;
    }
}

/// [`crate::cross_entropy`] on a GPU.
pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let part = part(logits);
    let logits = &part.values;
    let [rows, classes] = dims(logits);
    let targets = integers(targets);
    assert_eq!(
        rows,
        count(&targets),
        "cross-entropy needs one target for each row of logits"
    );
    let [log_sums, losses] = [(); 2].map(|()| empty(logits, [rows]));
    let (number, units) = cubes(logits, rows);
    let [a, b, c, d] = [logits, &targets, &log_sums, &losses].map(arg);
    forward::launch(
        &logits.client,
        number,
        units,
        a,
        b,
        c,
        d,
        rows,
        classes,
        f32::NAN,
        UNITS as usize,
    );
    let [loss, share] = mean_of(&losses, &targets, 1.0);
    graph::record(Node, [part], loss, |[logits]| State {
        logits,
        targets,
        log_sums,
        share,
    })
}

/// `factor` times the mean of the rows' losses over those that count, and one over their number.
pub(super) fn mean_of(losses: &CubeTensor, targets: &CubeTensor, factor: f32) -> [CubeTensor; 2] {
    let rows = count(losses);
    let [loss, share] = [(); 2].map(|()| empty(losses, [1]));
    let one = CubeCount::Static(1, 1, 1);
    let [a, b, c, d] = [losses, targets, &loss, &share].map(arg);
    mean::launch(
        &losses.client,
        one,
        CubeDim::new_1d(UNITS),
        a,
        b,
        c,
        d,
        rows,
        factor,
        UNITS as usize,
    );
    [loss, share]
}

#[derive(Debug)]
struct Node;

#[derive(Debug, Clone)]
struct State {
    logits: CubeTensor,
    targets: CubeTensor,
    log_sums: CubeTensor,
    share: CubeTensor,
}

impl Backward<Cube, 1> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, state, mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let logits = &state.logits;
        let [_, classes] = dims(logits);
        let elements = count(logits);
        let dx = empty(logits, logits.meta.shape().clone());
        let (number, units) = threads(logits, elements);
        let [a, b, c, d, e, f] = [logits, &state.targets, &state.log_sums, &state.share, &dy, &dx].map(arg);
        backward::launch(&logits.client, number, units, a, b, c, d, e, f, elements, classes);
        back.give(0, dx);
    }
}
