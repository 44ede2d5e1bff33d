//! The operator's gradient in single precision, and what happens where a loss does not depend on everything.

use burn::tensor::{Device, Tensor};
use ligo_growth::{LigoConfig, LigoOperator, OperatorGraph};

use crate::common::reference::{compare_with_autodiff, pairs, settings, starts};
use crate::common::weights;

fn host(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().into_data().try_to_vec::<f32>().unwrap()
}

#[test]
fn growth_and_gradients_equal_the_map_written_out_under_autodiff() {
    let compared = compare_with_autodiff(1e-5, &Device::flex());
    assert!(compared > 1000, "{compared}");
}

#[test]
fn a_tensor_without_a_gradient_counts_as_one_with_a_gradient_of_zero() {
    let device = Device::flex();
    let (_, small, large) = pairs().remove(0);
    for config in settings() {
        let operator = LigoOperator::new(&small, &large, &config, 11).unwrap();
        let graph = OperatorGraph::new(operator.clone(), &mut weights(&small, 2), &device).unwrap();
        let current = starts(&graph, &device);
        let pulled = |absent: Option<f64>| {
            let (grown, record) = graph.grow_recorded(&|name| current.get(name).cloned()).unwrap();
            graph.pull_back(record, &mut |name| {
                let gradient = grown[name].clone();
                let is_absent = name.contains("layer.1.") || name.contains("embeddings");
                match is_absent {
                    true => absent.map(|zero| gradient.mul_scalar(zero)),
                    false => Some(gradient),
                }
            })
        };
        let (without, zero) = (pulled(None), pulled(Some(0.0)));
        for (name, expected) in &zero {
            let expected = host(expected);
            let found = without.get(name).map(host);
            let found = found.unwrap_or_else(|| vec![0.0; expected.len()]);
            assert_eq!(found, expected, "{config:?} {name}");
        }
    }
}

#[test]
fn only_tensors_that_a_learned_matrix_reaches_are_learned() {
    let (_, small, large) = pairs().remove(0);
    let graph = |config: LigoConfig| {
        let operator = LigoOperator::new(&small, &large, &config, 1).unwrap();
        OperatorGraph::new(operator, &mut weights(&small, 2), &Device::flex()).unwrap()
    };
    let both = graph(LigoConfig::default());
    let depth = graph(LigoConfig {
        tune_width: false,
        ..LigoConfig::default()
    });
    let (in_layers, outside) = (
        "bert.encoder.layer.4.output.dense.weight",
        "bert.embeddings.word_embeddings.weight",
    );
    assert!(both.is_learned(in_layers) && both.is_learned(outside));
    assert!(depth.is_learned(in_layers) && !depth.is_learned(outside));
    // A bias of the vocabulary does not grow, but what it is made of may be learned, and so may what is added to it.
    assert!(!both.is_learned("cls.predictions.bias"));
    for (tune_small_model, tune_residual) in [(true, false), (false, true)] {
        let along = graph(LigoConfig {
            tune_small_model,
            tune_residual,
            ..LigoConfig::default()
        });
        assert!(along.is_learned("cls.predictions.bias"));
    }
}
