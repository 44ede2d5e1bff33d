//! Gradients through installed tensors that are no leaves, against finite differences in f64.
//!
//! A device's number type is set once per process: this test needs a program of its own, and one `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;

use burn::tensor::{Device, FloatDType, IntDType, Tensor, TensorData};
use common::{any, batch, number, tiny, values};
use ligo_arch::{BertConfig, HiddenAct};
use ligo_models::{DropoutStream, Error, Model};

type Leaves = BTreeMap<String, Vec<f64>>;

fn flat(values: &[f64], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// A parameter as a function of its leaf: no leaf itself, and not linear, so that a lost factor shows.
fn grown(leaf: Tensor<1>) -> Tensor<1> {
    leaf.clone() * leaf.mul_scalar(0.5).add_scalar(1.0)
}

fn loss_at(skeleton: &Model, leaves: &Leaves, device: &Device) -> f64 {
    let model = skeleton
        .clone()
        .install(&mut |name: &str, _: &[usize]| Ok::<_, Error>(grown(flat(&leaves[name], device))))
        .unwrap();
    number(model.loss(&batch(device), &DropoutStream::new(4)))
}

fn check(config: BertConfig) -> f64 {
    let plain = Device::flex();
    let tracked = Device::flex().autodiff();
    let config = any(config);
    let skeleton = Model::skeleton(&config, &plain).unwrap();
    let leaves: Leaves = skeleton
        .param_shapes()
        .into_iter()
        .map(|(name, shape)| (name.clone(), values(&name, &shape)))
        .collect();

    let mut tensors = BTreeMap::new();
    let model = Model::skeleton(&config, &tracked)
        .unwrap()
        .install(&mut |name: &str, _: &[usize]| {
            let leaf = flat(&leaves[name], &tracked).require_grad();
            tensors.insert(name.to_string(), leaf.clone());
            Ok::<_, Error>(grown(leaf))
        })
        .unwrap();
    let loss = model.loss(&batch(&tracked), &DropoutStream::new(4));
    let value = number(loss.clone().without_autodiff());
    assert_eq!(value, loss_at(&skeleton, &leaves, &plain));
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
                loss_at(&skeleton, &moved, &plain)
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
    worst
}

#[test]
fn gradients_reach_the_leaves_behind_installed_tensors_and_equal_finite_differences() {
    Device::flex().configure((FloatDType::F64, IntDType::I64)).unwrap();
    let tied = check(tiny());
    let untied = check(BertConfig {
        tie_word_embeddings: false,
        hidden_act: HiddenAct::GeluNew,
        ..tiny()
    });
    println!("largest relative error: tied {tied:e}, untied {untied:e}");
}
