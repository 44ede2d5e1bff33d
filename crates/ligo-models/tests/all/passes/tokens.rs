//! Passes that leave out tokens.

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::{ModelConfig, Task};
use ligo_models::{CausalInputs, Inputs, Layers, MlmInputs, Pass, TextFeatures};

use super::{dropping, inputs, loss, rows, with, with_layers};
use crate::common::{any, batch, decoders, images, texts, tiny, tiny_distilbert, tiny_roberta};
use crate::filled::filled;

/// Two sequences of five tokens, with a label at every one of them.
fn everywhere(config: &ModelConfig, ids: [[i64; 5]; 2], device: &Device) -> Inputs {
    let input_ids = Tensor::<2, Int>::from_data(ids, device);
    if config.task() == Task::MaskedLm {
        let TextFeatures { token_type_ids, .. } = texts(device);
        return Inputs::Masked(MlmInputs {
            input_ids,
            token_type_ids,
            attention_mask: None,
            masked_positions: Tensor::arange(0..10, device),
            labels: Tensor::ones([10], device),
        });
    }
    Inputs::Causal(CausalInputs {
        input_ids,
        labels: Tensor::ones([2, 5], device),
        documents: None,
        position_ids: None,
    })
}

fn languages() -> Vec<ModelConfig> {
    let mut kinds = vec![any(tiny()), any(tiny_roberta()), tiny_distilbert()];
    kinds.extend(decoders::kinds());
    kinds
}

const IDS: [[i64; 5]; 2] = [[1, 12, 3, 4, 7], [5, 2, 9, 8, 6]];

/// Which rows are the same in both.
fn same(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<bool> {
    a.iter().zip(b).map(|(a, b)| a == b).collect()
}

#[test]
fn a_dropped_token_keeps_the_state_it_had_before() {
    let device = Device::flex();
    for config in languages() {
        let config = with_layers(&config, 3);
        let (model, inputs) = (filled(&config, &device), everywhere(&config, IDS, &device));
        // What the head says of the states in front of layer 1, which is all it can say of those that no later layer changes.
        let before = rows(&model, &inputs, &with(Layers::First(1)));
        let behind = rows(&model, &inputs, &dropping(1, 3, 0.6, 4));
        let unchanged = same(&before, &behind);
        for sequence in unchanged.chunks_exact(5) {
            assert_eq!(sequence.iter().filter(|same| **same).count(), 2);
        }
        // An encoder's first token stays.
        assert!(config.task() != Task::MaskedLm || !(unchanged[0] || unchanged[5]));
        // Together again in the last layer, every token is changed by it.
        let merged = rows(&model, &inputs, &dropping(1, 2, 0.6, 4));
        assert!(same(&before, &merged).iter().all(|same| !same));
        assert_ne!(merged, rows(&model, &inputs, &Pass::evaluation()));
    }
}

#[test]
fn dropping_tokens_from_all_layers_is_hiding_them_from_the_others() {
    let device = Device::flex();
    // The positions of an OPT count the tokens that a mask leaves.
    for config in languages()
        .into_iter()
        .filter(|config| !matches!(config, ModelConfig::Opt(_)))
    {
        let (model, inputs) = (filled(&config, &device), everywhere(&config, IDS, &device));
        let found = rows(&model, &inputs, &dropping(0, 2, 0.6, 4));
        let dropped = same(&found, &rows(&model, &inputs, &with(Layers::First(0))));
        // A mask hides tokens and leaves positions, rotations included, as they are.
        let visible = dropped.iter().map(|dropped| f32::from(!dropped)).collect();
        let features = TextFeatures {
            attention_mask: Some(Tensor::from_data(TensorData::new::<f32, _>(visible, [2, 5]), &device)),
            token_type_ids: matches!(config, ModelConfig::Bert(_))
                .then(|| texts(&device).token_type_ids)
                .flatten(),
            input_ids: Tensor::from_data(IDS, &device),
        };
        let expected: Vec<f64> = model.logits(&features.into()).unwrap().into_data().iter().collect();
        let expected = expected.chunks_exact(found[0].len());
        for (i, (found, expected)) in found.iter().zip(expected).enumerate().filter(|(i, _)| !dropped[*i]) {
            let distance = found
                .iter()
                .zip(expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            assert!(distance < 1e-5, "token {i}: {distance}");
        }
    }
}

#[test]
fn decoders_see_no_later_token_and_no_other_document_when_tokens_are_dropped() {
    let device = Device::flex();
    for config in decoders::kinds() {
        let model = filled(&config, &device);
        let of = |ids| {
            let inputs = CausalInputs {
                input_ids: Tensor::from_data(ids, &device),
                ..decoders::next_tokens(&device)
            };
            rows(&model, &Inputs::Causal(inputs), &dropping(0, 2, 0.8, 11))
        };
        let before = of(IDS);
        // Documents: the first three and the last two tokens; the first two and the last three.
        for (place, document) in [(0, 0..3), (1, 0..3), (3, 3..5), (5, 5..7), (6, 5..7), (8, 7..10)] {
            let mut ids: [[i64; 5]; 2] = IDS;
            ids[place / 5][place % 5] = 11;
            let same = same(&before, &of(ids));
            assert!(!same[place]);
            for other in (0..10).filter(|other| *other < place || !document.contains(other)) {
                assert!(same[other], "{other} changes with {place}");
            }
        }
    }
}

#[test]
fn padding_stays_hidden_when_tokens_are_dropped() {
    let device = Device::flex();
    for config in [any(tiny()), any(tiny_roberta()), tiny_distilbert()] {
        let model = filled(&config, &device);
        // Two tokens of padding in the second sequence, of which a seed drops one or none.
        let of = |padding: i32, seed| {
            let inputs = MlmInputs {
                input_ids: Tensor::from_data([[1, 12, 3, 4, 7], [5, 2, 9, padding, padding]], &device),
                ..batch(&device)
            };
            rows(&model, &inputs.into(), &dropping(0, 2, 0.8, seed))
        };
        for seed in 0..8 {
            assert_eq!(of(11, seed), of(6, seed));
        }
    }
}

#[test]
fn images_keep_their_class_tokens() {
    let device = Device::flex();
    for config in images::kinds() {
        let (model, inputs) = (filled(&config, &device), inputs(&config, &device));
        let of = |keep, seed| loss(&model, &inputs, &dropping(0, 1, keep, seed));
        assert_ne!(of(0.5, 1), of(0.5, 2));
        // As few as there can be: the tokens in front of the patches read themselves only. A CaiT has none.
        if let ModelConfig::Vit(_) = config {
            assert_eq!(of(0.01, 1), of(0.01, 2));
        }
    }
}
