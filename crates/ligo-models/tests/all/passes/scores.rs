//! Scores, the losses that follow from them, and how far a student is from its teacher.

use burn::tensor::Device;
use ligo_models::{DropoutStream, Error, Inputs, Pass, Targets};

use super::{inputs, kinds, loss, with_layers};
use crate::common::{any, batch, images, number, texts, tiny};
use crate::filled::filled;

#[test]
fn scores_are_the_logits_where_labels_are() {
    let device = Device::flex();
    let config = any(tiny());
    let (model, inputs) = (filled(&config, &device), batch(&device));
    let scores = model.scores(&inputs.clone().into(), &Pass::evaluation()).unwrap();
    let all = model.logits(&texts(&device).into()).unwrap().reshape([10, 13]);
    let expected: Vec<f64> = all.select(0, inputs.masked_positions).into_data().iter().collect();
    let found: Vec<f64> = scores.head.logits.into_data().iter().collect();
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    let Targets::Labels(labels) = scores.head.targets else {
        panic!("masked tokens have labels")
    };
    assert_eq!(labels.into_data(), inputs.labels.into_data());

    for config in images::kinds() {
        let inputs = images::labeled(&device);
        let scores = filled(&config, &device).scores(&Inputs::Images(inputs.clone()), &Pass::evaluation());
        let Targets::Probabilities(targets) = scores.unwrap().head.targets else {
            panic!("images have probabilities")
        };
        assert_eq!(targets.into_data(), inputs.targets.into_data());
    }
}

#[test]
fn the_loss_is_that_of_the_scores() {
    let device = Device::flex();
    for config in kinds() {
        let (model, inputs) = (filled(&config, &device), inputs(&config, &device));
        let pass = Pass::whole(DropoutStream::new(8));
        let scores = model.scores(&inputs, &pass).unwrap();
        assert_eq!(number(scores.loss()), loss(&model, &inputs, &pass));
    }
}

#[test]
fn a_student_is_as_far_from_its_teacher_as_their_logits_say() {
    let device = Device::flex().autodiff();
    for config in kinds() {
        let inputs = inputs(&config, &device);
        let student = filled(&config, &device).scores(&inputs, &Pass::evaluation()).unwrap();
        assert_eq!(number(student.distillation(&student, 2.0).unwrap()), 0.0);
        // Fewer layers, as a small model has.
        let teacher = filled(&with_layers(&config, 1), &device);
        let teacher = teacher.scores(&inputs, &Pass::evaluation()).unwrap();
        let distance = |temperature| number(student.distillation(&teacher, temperature).unwrap());
        assert!(distance(1.0) > 0.0 && distance(2.0) != distance(1.0));
    }
}

#[test]
fn a_teacher_with_other_logits_is_refused() {
    let device = Device::flex();
    let of = |vocab_size| {
        let config = any(ligo_arch::BertConfig { vocab_size, ..tiny() });
        let model = filled(&config, &device);
        model.scores(&batch(&device).into(), &Pass::evaluation()).unwrap()
    };
    assert_eq!(
        of(13).distillation(&of(14), 2.0).unwrap_err(),
        Error::UnlikeTeacher {
            student: vec![[3, 13]],
            teacher: vec![[3, 14]]
        }
    );
}
