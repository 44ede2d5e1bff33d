//! The distance from a teacher's logits.

use super::*;

/// Logits of a student and its teacher, and labels of which every fourth is negative.
fn pair(rows: usize, classes: usize) -> ([Tensor<2>; 2], Tensor<1, Int>) {
    let d = device();
    let logits = [1, 2].map(|seed| noise([rows, classes], seed, &d).mul_scalar(4.0));
    let labels: Vec<i32> = (0..rows as i32).map(|i| if i % 4 == 3 { -100 } else { i }).collect();
    (logits, Tensor::from_data(TensorData::new(labels, [rows]), &d))
}

/// The definition, in `f64`.
fn by_definition(student: &[f64], teacher: &[f64], classes: usize, temperature: f64) -> f64 {
    let log_softmax = |row: &[f64]| {
        let sum = row.iter().map(|x| (x / temperature).exp()).sum::<f64>().ln();
        row.iter().map(|x| x / temperature - sum).collect::<Vec<_>>()
    };
    let rows = student.chunks_exact(classes).zip(teacher.chunks_exact(classes));
    let terms = rows.map(|(student, teacher)| {
        let logs = log_softmax(student).into_iter().zip(log_softmax(teacher));
        logs.map(|(s, t)| t.exp() * (t - s)).sum::<f64>()
    });
    temperature * temperature * terms.sum::<f64>() / (student.len() / classes) as f64
}

#[test]
fn distillation_equals_its_composition() {
    for (rows, classes) in [(1, 2), (9, 33), (70, 1000)] {
        let ([student, teacher], labels) = pair(rows, classes);
        for (labels, temperature) in [(None, 1.0), (Some(labels.clone()), 2.0), (Some(labels), 0.7)] {
            compare(
                "distillation",
                [student.clone()],
                |[x]| distillation(x, teacher.clone(), labels.clone(), temperature),
                |[x]| composed::distillation(x, teacher.clone(), labels.clone(), temperature),
            );
        }
    }
}

#[test]
fn distillation_of_two_classes_equals_a_value_by_hand() {
    let d = device();
    // At temperature 2 the student says 1/2 and 1/2, the teacher 3/4 and 1/4.
    let student = Tensor::<2>::from_data([[5.0, 5.0]], &d).require_grad();
    let teacher = Tensor::<2>::from_data([[2.0 * 3.0_f32.ln(), 0.0]], &d);
    let loss = distillation(student.clone(), teacher, None, 2.0);
    let divergence = 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln();
    assert_close("distillation", &host(loss.clone()), &[4.0 * divergence], 1e-6);
    // Twice the difference of the probabilities.
    let gradient = host(student.grad(&loss.backward()).unwrap());
    assert_close("gradient of distillation", &gradient, &[-0.5, 0.5], 1e-6);
}

#[test]
fn the_gradient_of_distillation_equals_differences() {
    let ([student, teacher], _) = pair(3, 7);
    let student = student.require_grad();
    for temperature in [1.0, 2.5] {
        let loss = distillation(student.clone(), teacher.clone(), None, temperature);
        let gradient = host(student.grad(&loss.backward()).unwrap());
        let (values, teacher) = (host(student.clone()), host(teacher.clone()));
        let at = |i: usize, shift: f64| {
            let mut moved = values.clone();
            moved[i] += shift;
            by_definition(&moved, &teacher, 7, temperature)
        };
        let differences: Vec<f64> = (0..21).map(|i| (at(i, 1e-6) - at(i, -1e-6)) / 2e-6).collect();
        assert_close("gradient of distillation", &gradient, &differences, 1e-5);
    }
}

#[test]
fn rows_with_a_negative_label_change_nothing() {
    let ([student, teacher], labels) = pair(8, 5);
    let student = student.require_grad();
    let loss = distillation(student.clone(), teacher.clone(), Some(labels), 2.0);
    let without = |x: &Tensor<2>| {
        let rows = Tensor::<1, Int>::from_data([0, 1, 2, 4, 5, 6], &x.device());
        x.clone().select(0, rows)
    };
    let six = distillation(without(&student), without(&teacher), None, 2.0);
    assert_close("distillation", &host(loss.clone()), &host(six), 1e-6);
    let gradient = host(student.grad(&loss.backward()).unwrap());
    for (i, row) in gradient.chunks_exact(5).enumerate() {
        assert_eq!(row.iter().all(|x| *x == 0.0), i % 4 == 3);
    }
}

#[test]
fn distillation_without_counted_rows_is_zero() {
    let ([student, teacher], labels) = pair(4, 5);
    let student = student.require_grad();
    let none = labels.mul_scalar(0).sub_scalar(1);
    let loss = distillation(student.clone(), teacher, Some(none), 2.0);
    assert_eq!(host(loss.clone()), [0.0]);
    assert!(host(student.grad(&loss.backward()).unwrap()).iter().all(|x| *x == 0.0));
}

#[test]
fn a_student_that_equals_its_teacher_has_no_distance_and_no_gradient() {
    let ([student, _], _) = pair(6, 40);
    let student = student.require_grad();
    let loss = distillation(student.clone(), student.clone().detach(), None, 2.0);
    assert_eq!(host(loss.clone()), [0.0]);
    assert!(host(student.grad(&loss.backward()).unwrap()).iter().all(|x| *x == 0.0));
}

#[test]
fn a_teacher_gets_no_gradient() {
    type Op = fn(Tensor<2>, Tensor<2>, Option<Tensor<1, Int>>, f64) -> Tensor<1>;
    for op in [distillation as Op, composed::distillation] {
        let ([student, teacher], _) = pair(6, 40);
        let (student, teacher) = (student.require_grad(), teacher.require_grad());
        let gradients = op(student.clone(), teacher.clone() * 1.0, None, 2.0).backward();
        assert!(student.grad(&gradients).is_some());
        assert!(teacher.grad(&gradients).is_none());
    }
}

#[test]
#[should_panic(expected = "a temperature of more than 0, found 0")]
fn a_temperature_of_zero_is_a_mistake_of_the_program() {
    let ([student, teacher], _) = pair(2, 3);
    distillation(student, teacher, None, 0.0);
}

#[test]
#[should_panic(expected = "as many logits of the teacher")]
fn a_teacher_with_another_vocabulary_is_a_mistake_of_the_program() {
    let ([student, _], _) = pair(2, 3);
    let ([_, teacher], _) = pair(2, 4);
    distillation(student, teacher, None, 1.0);
}
