//! Cross-entropy with the probabilities of classes: one cube a row.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::sums::{cube_max, cube_sum};
use super::{Back, Cube, CubeTensor, UNITS, arg, count, cubes, dims, empty, into_contiguous, part, threads, values};
use crate::graph;

/// `saved [rows, 2]`: `log Σ exp` of each row of logits and the sum of its targets.
#[cube(launch)]
fn forward(
    logits: &[f32],
    targets: &[f32],
    saved: &mut [f32],
    losses: &mut [f32],
    rows: usize,
    classes: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let start = row * classes;
    let mut largest = f32::new(-3.0e38f32);
    let mut i = UNIT_POS as usize;
    while i < classes {
        let value = logits[start + i];
        if value > largest {
            largest = value;
        }
        i += units;
    }
    let top = cube_max(largest, &mut scratch);
    let mut exponentials = 0.0f32;
    let mut weight = 0.0f32;
    let mut along = 0.0f32;
    i = UNIT_POS as usize;
    while i < classes {
        // Relative to the largest, so that nothing large cancels.
        let value = logits[start + i] - top;
        let target = targets[start + i];
        exponentials += value.exp();
        weight += target;
        along += target * value;
        i += units;
    }
    let log_sum = cube_sum(exponentials, &mut scratch).ln();
    let weight = cube_sum(weight, &mut scratch);
    let along = cube_sum(along, &mut scratch);
    if UNIT_POS == 0 {
        saved[2 * row] = top + log_sum;
        saved[2 * row + 1] = weight;
        losses[row] = weight * log_sum - along;
    }
}

/// `loss`: the mean of the rows' losses. Run by one cube.
#[cube(launch)]
fn mean(losses: &[f32], loss: &mut [f32], rows: usize, #[comptime] units: usize) {
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let mut total = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < rows {
        total += losses[i];
        i += units;
    }
    let total = cube_sum(total, &mut scratch);
    if UNIT_POS == 0 {
        loss[0] = total / f32::cast_from(rows);
    }
}

#[cube(launch)]
fn backward(
    logits: &[f32],
    targets: &[f32],
    saved: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    elements: usize,
    rows: usize,
    classes: usize,
) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let row = i / classes;
        let share = (logits[i] - saved[2 * row]).exp();
        dx[i] = (share * saved[2 * row + 1] - targets[i]) * dy[0] / f32::cast_from(rows);
    }
}

/// [`crate::soft_cross_entropy()`] on a GPU.
pub(crate) fn soft_cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let part = part(logits);
    let logits = &part.values;
    let targets = values(targets);
    let [rows, classes] = dims(logits);
    let saved = empty(logits, [rows, 2]);
    let losses = empty(logits, [rows]);
    let (number, units) = cubes(logits, rows);
    let [a, b, c, d] = [logits, &targets, &saved, &losses].map(arg);
    forward::launch(&logits.client, number, units, a, b, c, d, rows, classes, UNITS as usize);
    let loss = empty(logits, [1]);
    let one = CubeCount::Static(1, 1, 1);
    mean::launch(
        &logits.client,
        one,
        units,
        arg(&losses),
        arg(&loss),
        rows,
        UNITS as usize,
    );
    graph::record(Node, [part], loss, |[logits]| [logits, targets, saved])
}

#[derive(Debug)]
struct Node;

impl Backward<Cube, 1> for Node {
    /// Logits, targets and what the forward pass saved of the rows.
    type State = [CubeTensor; 3];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, [logits, targets, saved], mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let [rows, classes] = dims(&logits);
        let elements = count(&logits);
        let dx = empty(&logits, [rows, classes]);
        let (number, units) = threads(&logits, elements);
        let [a, b, c, d, e] = [&logits, &targets, &saved, &dy, &dx].map(arg);
        backward::launch(&logits.client, number, units, a, b, c, d, e, elements, rows, classes);
        back.give(0, dx);
    }
}
