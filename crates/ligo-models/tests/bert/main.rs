//! BERT: its parameters, what it computes, and that `transformers` computes the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod behaviour;
#[path = "../common/mod.rs"]
mod common;
mod parameters;
mod parity;

use burn::tensor::{Device, Tensor, TensorData};

/// [`common::values`] as a flat tensor.
fn tensor(name: &str, shape: &[usize], device: &Device) -> Tensor<1> {
    let values = common::values(name, shape);
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}
