//! Softmax cross-entropy of rows, and their distance from a teacher's.

use rayon::prelude::*;

use super::{math, rows};
use crate::simd::{filled, multiversion};

/// The sum of the losses of the counted rows, and `log Σ exp` of every row.
pub(crate) fn forward(logits: &[f32], targets: &[i64], classes: usize) -> (f64, Vec<f32>) {
    let chunk = rows::per_task(classes);
    let parts: Vec<(f64, Vec<f32>)> = logits
        .par_chunks(chunk * classes)
        .zip(targets.par_chunks(chunk))
        .map(|(logits, targets)| {
            let mut loss = 0.0;
            let mut sums = Vec::with_capacity(targets.len());
            for (row, &target) in logits.chunks_exact(classes).zip(targets) {
                let sum = if target >= 0 { log_sum_exp(row) } else { 0.0 };
                if target >= 0 {
                    loss += f64::from(sum) - f64::from(row[target as usize]);
                }
                sums.push(sum);
            }
            (loss, sums)
        })
        .collect();
    let loss = parts.iter().map(|part| part.0).sum();
    (loss, parts.into_iter().flat_map(|part| part.1).collect())
}

multiversion!(fn log_sum_exp(row: &[f32]) -> f32 = log_sum_exp_body);

#[inline(always)]
fn log_sum_exp_body<const FMA: bool>(row: &[f32]) -> f32 {
    log_sum::<FMA>(row, 1.0)
}

/// `log Σ exp(sharpness · x)`.
#[inline(always)]
fn log_sum<const FMA: bool>(row: &[f32], sharpness: f32) -> f32 {
    let max = math::max(row) * sharpness;
    max + math::sum(row.len(), |i| math::exp::<FMA>(row[i] * sharpness - max)).ln()
}

/// `scale · (softmax(logits) - one-hot(target))`, zero for rows that are not counted.
pub(crate) fn backward(logits: &[f32], targets: &[i64], log_sums: &[f32], classes: usize, scale: f32) -> Vec<f32> {
    let chunk = rows::per_task(classes);
    filled(logits.len(), |out| {
        let tasks = out
            .par_chunks_mut(chunk * classes)
            .zip(logits.par_chunks(chunk * classes))
            .zip(targets.par_chunks(chunk))
            .zip(log_sums.par_chunks(chunk));
        tasks.for_each(|(((out, logits), targets), sums)| {
            let rows = out.chunks_exact_mut(classes).zip(logits.chunks_exact(classes));
            for (((out, row), &target), &sum) in rows.zip(targets).zip(sums) {
                if target < 0 {
                    out.fill(0.0);
                    continue;
                }
                softmax(row, sum, scale, out);
                out[target as usize] -= scale;
            }
        });
    })
}

multiversion!(fn softmax(row: &[f32], log_sum: f32, scale: f32, out: &mut [f32]) = softmax_body);

#[inline(always)]
fn softmax_body<const FMA: bool>(row: &[f32], log_sum: f32, scale: f32, out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(row) {
        *out = scale * math::share::<FMA>(x - log_sum);
    }
}

/// How two models' rows of logits are compared.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    /// Row-major, `classes` wide.
    pub(crate) student: &'a [f32],
    /// The same.
    pub(crate) teacher: &'a [f32],
    /// Whether a row counts.
    pub(crate) counted: &'a [bool],
    /// Columns of both.
    pub(crate) classes: usize,
    /// One over the temperature.
    pub(crate) sharpness: f32,
}

/// Of every row, `log Σ exp` of the student's and of the teacher's logits over the temperature; 0 where it does not count.
pub(crate) type LogSums = Vec<[f32; 2]>;

/// `Σ` over counted rows of `KL(softmax(teacher / τ) ‖ softmax(student / τ))`.
pub(crate) fn divergence(pair: Pair) -> (f64, LogSums) {
    let chunk = rows::per_task(pair.classes);
    let parts: Vec<(f64, LogSums)> = pair
        .student
        .par_chunks(chunk * pair.classes)
        .zip(pair.teacher.par_chunks(chunk * pair.classes))
        .zip(pair.counted.par_chunks(chunk))
        .map(|((student, teacher), counted)| {
            let mut total = 0.0;
            let mut sums = Vec::with_capacity(counted.len());
            let rows = student
                .chunks_exact(pair.classes)
                .zip(teacher.chunks_exact(pair.classes));
            for ((student, teacher), &counted) in rows.zip(counted) {
                let row = if counted {
                    row_divergence(student, teacher, pair.sharpness)
                } else {
                    [0.0; 3]
                };
                total += f64::from(row[0]);
                sums.push([row[1], row[2]]);
            }
            (total, sums)
        })
        .collect();
    let total = parts.iter().map(|part| part.0).sum();
    (total, parts.into_iter().flat_map(|part| part.1).collect())
}

multiversion!(fn row_divergence(student: &[f32], teacher: &[f32], sharpness: f32) -> [f32; 3] = row_divergence_body);

/// The divergence of one row, and the `log Σ exp` of the student and of the teacher.
#[inline(always)]
fn row_divergence_body<const FMA: bool>(student: &[f32], teacher: &[f32], sharpness: f32) -> [f32; 3] {
    let (own, other) = (log_sum::<FMA>(student, sharpness), log_sum::<FMA>(teacher, sharpness));
    let divergence = math::sum(student.len(), |i| {
        let log_teacher = teacher[i] * sharpness - other;
        math::exp::<FMA>(log_teacher) * (log_teacher - (student[i] * sharpness - own))
    });
    [divergence, own, other]
}

/// `scale · (softmax(student / τ) - softmax(teacher / τ))`, zero for rows that are not counted.
pub(crate) fn divergence_backward(pair: Pair, log_sums: &[[f32; 2]], scale: f32) -> Vec<f32> {
    let chunk = rows::per_task(pair.classes);
    filled(pair.student.len(), |out| {
        let tasks = out
            .par_chunks_mut(chunk * pair.classes)
            .zip(pair.student.par_chunks(chunk * pair.classes))
            .zip(pair.teacher.par_chunks(chunk * pair.classes))
            .zip(pair.counted.par_chunks(chunk))
            .zip(log_sums.par_chunks(chunk));
        tasks.for_each(|((((out, student), teacher), counted), sums)| {
            let rows = student
                .chunks_exact(pair.classes)
                .zip(teacher.chunks_exact(pair.classes));
            let rows = out.chunks_exact_mut(pair.classes).zip(rows);
            for (((out, (student, teacher)), &counted), &sums) in rows.zip(counted).zip(sums) {
                if counted {
                    difference(student, teacher, sums, pair.sharpness, scale, out);
                } else {
                    out.fill(0.0);
                }
            }
        });
    })
}

multiversion!(
    fn difference(student: &[f32], teacher: &[f32], log_sums: [f32; 2], sharpness: f32, scale: f32, out: &mut [f32])
        = difference_body
);

#[inline(always)]
fn difference_body<const FMA: bool>(
    student: &[f32],
    teacher: &[f32],
    [own, other]: [f32; 2],
    sharpness: f32,
    scale: f32,
    out: &mut [f32],
) {
    for ((out, &s), &t) in out.iter_mut().zip(student).zip(teacher) {
        let difference = math::share::<FMA>(s * sharpness - own) - math::share::<FMA>(t * sharpness - other);
        *out = scale * difference;
    }
}
