//! GPT-2, Llama, Mistral and Qwen2: their parameters and what they compute.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod behaviour;
#[path = "../common/mod.rs"]
mod common;
mod parameters;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::ModelConfig;
use ligo_models::{Error, Features, Model};

/// A model with [`common::values`] everywhere.
fn filled(config: &ModelConfig, device: &Device) -> Model {
    let skeleton = Model::skeleton(config, device).unwrap();
    let mut source = |name: &str, shape: &[usize]| {
        let values = common::values(name, shape);
        let count = values.len();
        Ok::<_, Error>(Tensor::from_data(TensorData::new(values, [count]), device))
    };
    skeleton.install(&mut source).unwrap()
}

fn logits(model: &Model, features: &Features) -> Vec<f64> {
    let logits = model.logits(features).unwrap();
    logits.into_data().iter::<f64>().collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
