//! Models with known values everywhere, and what they compute.

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::ModelConfig;
use ligo_models::{Error, Features, Model};

use crate::common::values;

/// [`values`] as a flat tensor.
pub fn tensor(name: &str, shape: &[usize], device: &Device) -> Tensor<1> {
    flat(values(name, shape), device)
}

fn flat(values: Vec<f64>, device: &Device) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// A model with [`values`] everywhere.
pub fn filled(config: &ModelConfig, device: &Device) -> Model {
    filled_with(config, device, values)
}

/// A model with what `values` makes of the name and the shape of each parameter.
pub fn filled_with(config: &ModelConfig, device: &Device, values: impl Fn(&str, &[usize]) -> Vec<f64>) -> Model {
    let mut source = |name: &str, shape: &[usize]| Ok::<_, Error>(flat(values(name, shape), device));
    Model::skeleton(config, device).unwrap().install(&mut source).unwrap()
}

pub fn logits(model: &Model, features: &Features) -> Vec<f64> {
    let logits = model.logits(features).unwrap();
    logits.into_data().iter::<f64>().collect()
}

/// The largest difference.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
