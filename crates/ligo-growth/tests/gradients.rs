//! The operator's gradient against central differences, in double precision.
//!
//! A test binary of its own: a device's number type is fixed once per process.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::HashMap;

use burn::tensor::{Device, FloatDType, IntDType, Tensor, TensorData};
use ligo_arch::{BertConfig, ModelConfig};
use ligo_growth::{DepthInit, LigoConfig, LigoOperator, MemorySource, OperatorGraph, Sharing, WidthInit, init};

/// A smooth function of every grown tensor, so that each entry of the operator matters.
fn loss(graph: &OperatorGraph, current: &HashMap<String, Tensor<1>>, device: &Device) -> Tensor<1> {
    let grown = graph.grow(&|name| current.get(name).cloned()).unwrap();
    let mut names: Vec<&String> = grown.keys().collect();
    names.sort();
    let mut total = Tensor::<1>::zeros([1], device);
    for name in names {
        let count = grown[name].dims()[0];
        let weights: Vec<f64> = init::normal(&mut init::rng(5, name), 1.0, count)
            .into_iter()
            .map(f64::from)
            .collect();
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), device);
        total = total + (grown[name].clone() * 0.1).tanh().mul(weights).sum();
    }
    total
}

fn scalar(tensor: Tensor<1>) -> f64 {
    tensor.into_data().try_to_vec::<f64>().unwrap()[0]
}

#[test]
fn the_gradient_of_the_operator_equals_central_differences() {
    let mut device = Device::flex();
    device.configure((FloatDType::F64, IntDType::I64)).unwrap();
    let autodiff = device.clone().autodiff();
    let table = |layers, hidden, ffn| {
        let mut config = BertConfig::new(7, hidden, layers, 1);
        config.intermediate_size = ffn;
        config.max_position_embeddings = 3;
        ModelConfig::Bert(config).table()
    };
    let (small, large) = (table(2, 3, 5), table(3, 5, 8));
    for sharing in [Sharing::Shared, Sharing::PerSmallLayer, Sharing::PerLargeLayer] {
        let one = |fixed_identity| LigoConfig {
            sharing,
            fixed_identity,
            width_init: WidthInit::Gaussian,
            depth_init: DepthInit::Rand,
            ..LigoConfig::default()
        };
        let several = |terms, tied| LigoConfig {
            terms,
            tied,
            width_noise: 0.3,
            ..one(false)
        };
        for config in [one(false), one(true), several(2, true), several(2, false)] {
            let operator = LigoOperator::new(&small, &large, &config, 11).unwrap();
            let starts: Vec<(String, Vec<f64>)> = operator
                .tensors()
                .iter()
                .filter(|t| t.trainable)
                .map(|t| (t.name.clone(), t.values.iter().map(|v| f64::from(*v)).collect()))
                .collect();
            let mut source = MemorySource::new(small.params().map(|p| {
                let values = init::normal(&mut init::rng(2, &p.name), 1.0, p.num_elements());
                (p.name, p.shape, values)
            }));
            let graph = OperatorGraph::new(operator, &mut source, &autodiff).unwrap();
            let tensors = |values: &[(String, Vec<f64>)], device: &Device| -> HashMap<String, Tensor<1>> {
                values
                    .iter()
                    .map(|(n, v)| {
                        (
                            n.clone(),
                            Tensor::from_data(TensorData::new(v.clone(), [v.len()]), device),
                        )
                    })
                    .collect()
            };
            let leaves: HashMap<String, Tensor<1>> = tensors(&starts, &autodiff)
                .into_iter()
                .map(|(n, t)| (n, t.require_grad()))
                .collect();
            let gradients = loss(&graph, &leaves, &autodiff).backward();
            let mut checked = 0;
            for (index, (name, start)) in starts.iter().enumerate() {
                let gradient = leaves[name]
                    .grad(&gradients)
                    .unwrap()
                    .into_data()
                    .try_to_vec::<f64>()
                    .unwrap();
                for entry in [0, start.len() / 2, start.len() - 1] {
                    let shifted = |delta: f64| {
                        let mut values = starts.clone();
                        values[index].1[entry] += delta;
                        scalar(loss(&graph, &tensors(&values, &autodiff), &autodiff))
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
            assert!(checked >= 3 * 14, "{checked}");
        }
    }
}
