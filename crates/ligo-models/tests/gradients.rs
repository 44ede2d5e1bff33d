//! Gradients through installed tensors that are no leaves, against finite differences in f64, for every family and head.
//!
//! A device's number type is set once per process: these tests need a program of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[allow(dead_code, reason = "the other program uses the rest")]
mod common;

use std::collections::BTreeMap;
use std::sync::Once;

use burn::tensor::{Device, FloatDType, IntDType, Tensor, TensorData};
use common::decoders::{balanced, kinds, next_tokens};
use common::images::{dropping, labeled};
use common::{
    answers, any, batch, classes, number, replaced, tiny, tiny_albert, tiny_distilbert, tiny_electra, tiny_modernbert,
    tiny_roberta, values,
};
use ligo_arch::{AlbertConfig, BertConfig, HiddenAct, ModelConfig, Task};
use ligo_models::{DropoutStream, Error, Inputs, Model};

type Leaves = BTreeMap<String, Vec<f64>>;

fn flat(values: &[f64], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// A parameter as a function of its leaf: no leaf itself, and not linear, so that a lost factor shows.
fn grown(leaf: Tensor<1>) -> Tensor<1> {
    leaf.clone() * leaf.mul_scalar(0.5).add_scalar(1.0)
}

fn loss_at(skeleton: &Model, leaves: &Leaves, inputs: &Inputs, device: &Device) -> f64 {
    let model = skeleton
        .clone()
        .install(&mut |name: &str, _: &[usize]| Ok::<_, Error>(grown(flat(&leaves[name], device))))
        .unwrap();
    number(model.loss(inputs, &DropoutStream::new(4)).unwrap())
}

/// Compares two entries of every parameter's gradient of the loss on `batch`, dropout included. Returns the largest relative
/// difference.
fn check(config: &ModelConfig, batch: impl Fn(&Device) -> Inputs) -> f64 {
    static NUMBERS: Once = Once::new();
    NUMBERS.call_once(|| Device::flex().configure((FloatDType::F64, IntDType::I64)).unwrap());
    let plain = Device::flex();
    let tracked = Device::flex().autodiff();
    let inputs = batch(&plain);
    let skeleton = Model::skeleton(config, &plain).unwrap();
    let leaves: Leaves = skeleton
        .param_shapes()
        .into_iter()
        .map(|(name, shape)| (name.clone(), values(&name, &shape)))
        .collect();

    let mut tensors = BTreeMap::new();
    let model = Model::skeleton(config, &tracked)
        .unwrap()
        .install(&mut |name: &str, _: &[usize]| {
            let leaf = flat(&leaves[name], &tracked).require_grad();
            tensors.insert(name.to_string(), leaf.clone());
            Ok::<_, Error>(grown(leaf))
        })
        .unwrap();
    let loss = model.loss(&batch(&tracked), &DropoutStream::new(4)).unwrap();
    let value = number(loss.clone().without_autodiff());
    // burn composes some operations differently where it tracks them, so the last bits may differ.
    let untracked = loss_at(&skeleton, &leaves, &inputs, &plain);
    assert!((value - untracked).abs() < 1e-13 * untracked, "{value} and {untracked}");
    let gradients = loss.backward();

    let step = 1e-5;
    let mut worst = 0.0_f64;
    for (name, leaf) in &tensors {
        let gradient = leaf
            .grad(&gradients)
            .unwrap_or_else(|| panic!("`{name}` has no gradient"));
        let gradient: Vec<f64> = gradient.into_data().iter::<f64>().collect();
        assert!(
            gradient.iter().all(|g| g.is_finite()),
            "`{name}` has a gradient that is not finite"
        );
        // The largest entry, and one that no rule chose.
        let largest = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()));
        for i in [largest.unwrap(), gradient.len() / 3] {
            let at = |shift: f64| {
                let mut moved = leaves.clone();
                moved.get_mut(name).unwrap()[i] += shift;
                loss_at(&skeleton, &moved, &inputs, &plain)
            };
            let expected = (at(step) - at(-step)) / (2.0 * step);
            // A key's bias cancels in the softmax: its gradient is 0, and only the absolute error means something.
            let error = (gradient[i] - expected).abs() / expected.abs().max(1e-5);
            assert!(
                error < 1e-3,
                "`{name}`[{i}]: {} by backward, {expected} by differences",
                gradient[i]
            );
            worst = worst.max(error);
        }
    }
    println!("{} ({}): {worst:e}", config.model_type(), config.task());
    worst
}

fn masked(device: &Device) -> Inputs {
    batch(device).into()
}

#[test]
fn bert_passes_gradients_to_the_leaves_behind_installed_tensors() {
    check(&any(tiny()), masked);
    let untied = BertConfig {
        tie_word_embeddings: false,
        hidden_act: HiddenAct::GeluNew,
        ..tiny()
    };
    check(&any(untied), masked);
}

#[test]
fn roberta_passes_gradients_to_the_leaves_behind_installed_tensors() {
    check(&any(tiny_roberta()), masked);
    check(&tiny_distilbert(), masked);
    check(&tiny_modernbert(), masked);
    let untied = BertConfig {
        tie_word_embeddings: false,
        ..tiny_roberta()
    };
    check(&any(untied), masked);
}

#[test]
fn classifiers_of_texts_pass_gradients_to_the_leaves_behind_installed_tensors() {
    let task = Task::SequenceClassification { labels: 3 };
    for encoder in [tiny(), tiny_roberta()] {
        check(&any(encoder).with_task(task).unwrap(), |device| {
            Inputs::Sequences(classes(device))
        });
    }
}

#[test]
fn discriminators_and_generators_pass_gradients_to_the_leaves_behind_installed_tensors() {
    let [discriminator, generator] = tiny_electra();
    check(&discriminator, |device| Inputs::Replaced(replaced(device)));
    check(&generator, masked);
}

#[test]
fn layers_that_run_several_times_get_the_sum_of_their_gradients() {
    let ModelConfig::Albert(unshared) = tiny_albert() else {
        panic!("an ALBERT")
    };
    for (layers, groups) in [(2, 2), (3, 1), (4, 2)] {
        let config = ModelConfig::Albert(AlbertConfig {
            num_hidden_layers: layers,
            num_hidden_groups: groups,
            ..unshared.clone()
        });
        check(&config, masked);
    }
}

#[test]
fn models_that_find_answers_pass_gradients_to_the_leaves_behind_installed_tensors() {
    for encoder in [tiny(), tiny_roberta()] {
        check(&any(encoder).with_task(Task::QuestionAnswering).unwrap(), |device| {
            Inputs::Spans(answers(device))
        });
    }
}

#[test]
fn models_of_images_pass_gradients_to_the_leaves_behind_installed_tensors() {
    for config in dropping(0.1, 0.1, 0.3) {
        check(&config, |device| Inputs::Images(labeled(device)));
    }
}

#[test]
fn decoders_pass_gradients_to_the_leaves_behind_installed_tensors() {
    for config in kinds().into_iter().chain([balanced()]) {
        check(&config, |device| Inputs::Causal(next_tokens(device)));
    }
}
