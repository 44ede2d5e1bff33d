//! Learning from a teacher's logits: one cube a row.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::{Int, Tensor};
use cubecl::prelude::*;

use super::cross_entropy::mean_of;
use super::sums::{cube_max, cube_sum};
use super::{
    Back, Cube, CubeTensor, UNITS, arg, count, cubes, dims, empty, integers, into_contiguous, part, threads, values,
};
use crate::graph;

/// `log_sums [rows, 2]`: `log Σ exp(row / τ)` of student and teacher; `losses [rows]`: their divergence, 0 where the label is negative.
#[cube(launch)]
fn forward(
    student: &[f32],
    teacher: &[f32],
    labels: &[i32],
    log_sums: &mut [f32],
    losses: &mut [f32],
    rows: usize,
    classes: usize,
    sharpness: f32,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let start = row * classes;
    let mut top_student = f32::new(-3.0e38f32);
    let mut top_teacher = f32::new(-3.0e38f32);
    let mut i = UNIT_POS as usize;
    while i < classes {
        let s = student[start + i] * sharpness;
        let t = teacher[start + i] * sharpness;
        if s > top_student {
            top_student = s;
        }
        if t > top_teacher {
            top_teacher = t;
        }
        i += units;
    }
    let top_student = cube_max(top_student, &mut scratch);
    let top_teacher = cube_max(top_teacher, &mut scratch);
    let mut sum_student = 0.0f32;
    let mut sum_teacher = 0.0f32;
    i = UNIT_POS as usize;
    while i < classes {
        sum_student += (student[start + i] * sharpness - top_student).exp();
        sum_teacher += (teacher[start + i] * sharpness - top_teacher).exp();
        i += units;
    }
    let log_student = top_student + cube_sum(sum_student, &mut scratch).ln();
    let log_teacher = top_teacher + cube_sum(sum_teacher, &mut scratch).ln();
    let mut divergence = 0.0f32;
    i = UNIT_POS as usize;
    while i < classes {
        let s = student[start + i] * sharpness - log_student;
        let t = teacher[start + i] * sharpness - log_teacher;
        divergence += t.exp() * (t - s);
        i += units;
    }
    let divergence = cube_sum(divergence, &mut scratch);
    if UNIT_POS == 0 {
        log_sums[2 * row] = log_student;
        log_sums[2 * row + 1] = log_teacher;
        let mut loss = 0.0f32;
        if labels[row] >= 0 {
            loss = divergence;
        }
        losses[row] = loss;
    }
}

#[cube(launch)]
fn backward(
    student: &[f32],
    teacher: &[f32],
    labels: &[i32],
    log_sums: &[f32],
    share: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    elements: usize,
    classes: usize,
    sharpness: f32,
    temperature: f32,
) {
    let i = ABSOLUTE_POS;
    if i < elements {
        let row = i / classes;
        let mut grad = 0.0f32;
        if labels[row] >= 0 {
            let s = (student[i] * sharpness - log_sums[2 * row]).exp();
            let t = (teacher[i] * sharpness - log_sums[2 * row + 1]).exp();
            grad = temperature * (s - t) * share[0] * dy[0];
        }
        dx[i] = grad;
    }
}

/// [`crate::distillation`] on a GPU.
pub(crate) fn distillation(
    student: Tensor<2>,
    teacher: Tensor<2>,
    labels: Option<Tensor<1, Int>>,
    temperature: f64,
) -> Tensor<1> {
    let device = student.device().without_autodiff();
    let rows = student.dims()[0];
    let labels = integers(labels.unwrap_or_else(|| Tensor::zeros([rows], &device)));
    let part = part(student);
    let student = &part.values;
    let teacher = values(teacher);
    let [rows, classes] = dims(student);
    let log_sums = empty(student, [rows, 2]);
    let losses = empty(student, [rows]);
    let sharpness = (1.0 / temperature) as f32;
    let (number, units) = cubes(student, rows);
    let [a, b, c, d, e] = [student, &teacher, &labels, &log_sums, &losses].map(arg);
    forward::launch(
        &student.client,
        number,
        units,
        a,
        b,
        c,
        d,
        e,
        rows,
        classes,
        sharpness,
        UNITS as usize,
    );
    let [loss, share] = mean_of(&losses, &labels, (temperature * temperature) as f32);
    graph::record(Node, [part], loss, |[student]| State {
        student,
        teacher,
        labels,
        log_sums,
        share,
        sharpness,
        temperature: temperature as f32,
    })
}

#[derive(Debug)]
struct Node;

#[derive(Debug, Clone)]
struct State {
    student: CubeTensor,
    teacher: CubeTensor,
    labels: CubeTensor,
    log_sums: CubeTensor,
    share: CubeTensor,
    sharpness: f32,
    temperature: f32,
}

impl Backward<Cube, 1> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, state, mut back) = Back::on(ops, grads);
        let dy = into_contiguous(dy);
        let State {
            student,
            teacher,
            labels,
            log_sums,
            share,
            sharpness,
            temperature,
        } = &state;
        let [_, classes] = dims(student);
        let elements = count(student);
        let dx = empty(student, student.meta.shape().clone());
        let (number, units) = threads(student, elements);
        let [a, b, c, d, e, f, g] = [student, teacher, labels, log_sums, share, &dy, &dx].map(arg);
        backward::launch(
            &student.client,
            number,
            units,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            elements,
            classes,
            *sharpness,
            *temperature,
        );
        back.give(0, dx);
    }
}
