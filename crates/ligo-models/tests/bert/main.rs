//! BERT and RoBERTa: their parameters and what they compute, under each head.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod behaviour;
#[path = "../common/mod.rs"]
mod common;
mod heads;
mod parameters;
mod roberta;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::ModelConfig;
use ligo_models::{Error, Model};

/// [`common::values`] as a flat tensor.
fn tensor(name: &str, shape: &[usize], device: &Device) -> Tensor<1> {
    let values = common::values(name, shape);
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// A model with [`tensor`] everywhere.
fn filled(config: &ModelConfig, device: &Device) -> Model {
    Model::skeleton(config, device)
        .unwrap()
        .install(&mut |name: &str, shape: &[usize]| Ok::<_, Error>(tensor(name, shape, device)))
        .unwrap()
}

/// Name and shape of every parameter in the table.
fn table_shapes(config: &ModelConfig, with_optional: bool) -> BTreeMap<String, Vec<usize>> {
    let table = config.table();
    let params = table.params().filter(|p| p.spec.required || with_optional);
    params.map(|p| (p.name, p.shape)).collect()
}
