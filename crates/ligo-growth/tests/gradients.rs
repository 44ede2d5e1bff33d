//! The operator's gradient in double precision, against autodiff and against central differences.
//!
//! A test binary of its own: a device's number type is fixed once per process.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[allow(dead_code, reason = "the other program uses the rest")]
mod common;

use std::sync::Once;

use burn::tensor::{Device, FloatDType, IntDType, Tensor, TensorData};
use common::reference::{Tensors, compare_with_autodiff, loss, pulled_gradients, settings, starts};
use common::weights;
use ligo_arch::{BertConfig, ModelConfig};
use ligo_growth::{LigoOperator, OperatorGraph};
use serde_json::json;

fn device() -> Device {
    static NUMBERS: Once = Once::new();
    NUMBERS.call_once(|| Device::flex().configure((FloatDType::F64, IntDType::I64)).unwrap());
    Device::flex()
}

fn host(tensor: &Tensor<1>) -> Vec<f64> {
    tensor.clone().into_data().try_to_vec::<f64>().unwrap()
}

#[test]
fn growth_and_gradients_equal_the_map_written_out_under_autodiff_to_ten_digits() {
    let compared = compare_with_autodiff(1e-10, &device());
    assert!(compared > 1000, "{compared}");
}

#[test]
fn the_gradient_of_the_operator_equals_central_differences() {
    let device = device();
    let table = |layers, hidden, ffn| {
        let mut config = BertConfig::new(7, hidden, layers, 1);
        config.intermediate_size = ffn;
        config.max_position_embeddings = 3;
        ModelConfig::Bert(config).table()
    };
    // Gemma multiplies its table of tokens by something of its width.
    let gemma = |layers, hidden| {
        let json = json!({"model_type": "gemma", "vocab_size": 7, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 1,
            "num_key_value_heads": 1, "head_dim": 4, "intermediate_size": 5});
        ModelConfig::from_json(&json).unwrap().table()
    };
    let mut cases: Vec<_> = settings()
        .into_iter()
        .map(|c| (table(2, 3, 5), table(3, 5, 8), c))
        .collect();
    let along = settings().into_iter().filter(|c| c.tune_small_model);
    cases.extend(along.map(|c| (gemma(2, 3), gemma(3, 5), c)));
    let mut checked = 0;
    for (small, large, config) in cases {
        let operator = LigoOperator::new(&small, &large, &config, 11).unwrap();
        let graph = OperatorGraph::new(operator.clone(), &mut weights(&small, 2), &device).unwrap();
        let current = starts(&graph, &device);
        let gradients = pulled_gradients(&graph, &current);
        let loss_at = |tensors: &Tensors| {
            let grown = graph.grow(&|name| tensors.get(name).cloned()).unwrap();
            host(&loss(&grown))[0]
        };
        for (name, start) in &current {
            let (gradient, start) = (host(&gradients[name]), host(start));
            for entry in [0, start.len() / 2, start.len() - 1] {
                let shifted = |delta: f64| {
                    let mut values = start.clone();
                    values[entry] += delta;
                    let mut tensors = current.clone();
                    let data = TensorData::new(values, [start.len()]);
                    tensors.insert(name.clone(), Tensor::from_data(data, &device));
                    loss_at(&tensors)
                };
                let expected = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                let error = (gradient[entry] - expected).abs() / expected.abs().max(1e-3);
                assert!(
                    error < 1e-6,
                    "{config:?} {name}[{entry}]: {} against {expected}",
                    gradient[entry]
                );
                checked += 1;
            }
        }
    }
    assert!(checked >= 1000, "{checked}");
}
