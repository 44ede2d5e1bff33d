use burn::tensor::{Device, Int, Tensor};
use ligo_arch::BertConfig;
use ligo_models::{DropoutStream, Error, Features, Inputs, Model, TextFeatures};

use crate::common::{any, batch, number, tiny, tiny_roberta};
use crate::filled::{filled, tensor};

use super::table_shapes;

const PADDING: i64 = 0;

fn states(model: &Model, ids: Tensor<2, Int>) -> Vec<Vec<f64>> {
    let states = model.hidden_states(&TextFeatures::new(ids).into()).unwrap();
    let first = states[0].clone();
    let [_, length, _] = first.dims();
    (0..length)
        .map(|l| first.clone().slice_dim(1, l..l + 1).into_data().iter::<f64>().collect())
        .collect()
}

#[test]
fn padding_between_tokens_takes_no_position() {
    let device = Device::flex();
    let model = filled(&any(tiny_roberta()), &device);
    let dense = states(&model, Tensor::from_data([[7, 3, 9]], &device));
    let spread = states(&model, Tensor::from_data([[7, PADDING, 3, 9]], &device));
    assert_eq!(dense[0], spread[0]);
    assert_eq!(dense[1], spread[2]);
    assert_eq!(dense[2], spread[3]);
    // The same token later in the sequence is at another position.
    let repeated = states(&model, Tensor::from_data([[7, 7]], &device));
    assert_ne!(repeated[0], repeated[1]);
    // All padding is at the same position.
    let padded = states(&model, Tensor::from_data([[PADDING, 7, PADDING]], &device));
    assert_eq!(padded[0], padded[2]);
}

#[test]
fn a_bert_with_the_same_weights_counts_places() {
    let device = Device::flex();
    let model = filled(&any(tiny()), &device);
    let dense = states(&model, Tensor::from_data([[7, 3]], &device));
    let spread = states(&model, Tensor::from_data([[7, PADDING, 3]], &device));
    assert_eq!(dense[0], spread[0]);
    assert_ne!(dense[1], spread[2]);
}

#[test]
fn rows_of_positions_that_no_token_has_do_not_matter() {
    let device = Device::flex();
    let name = "roberta.embeddings.position_embeddings.weight";
    let config = any(tiny_roberta());
    let logits = |changed: bool| {
        let model = Model::skeleton(&config, &device).unwrap();
        let model = model.install(&mut |n: &str, shape: &[usize]| {
            let values = tensor(n, shape, &device);
            Ok::<_, Error>(if changed && n == name {
                // Row 0 belongs to padding, and three tokens need rows 1 to 3.
                let ones = |rows: usize| Tensor::ones([8 * rows], &device);
                Tensor::cat(vec![ones(1), values.slice(8..32), ones(2)], 0)
            } else {
                values
            })
        });
        let features: Features = TextFeatures::new(Tensor::from_data([[1, 2, 3]], &device)).into();
        model.unwrap().logits(&features).unwrap().into_data()
    };
    assert_eq!(logits(false), logits(true));
}

#[test]
#[should_panic(expected = "the sequence has 6 tokens; the model has positions for 5")]
fn a_sequence_that_is_longer_than_the_positions_is_refused() {
    let device = Device::flex();
    let ids = Tensor::<2, Int>::from_data([[1, 2, 3, 4, 5, 6]], &device);
    let model = filled(&any(tiny_roberta()), &device);
    let _ = model.logits(&TextFeatures::new(ids).into());
}

#[test]
fn names_and_shapes_are_those_of_the_table_tied_and_untied() {
    for tie_word_embeddings in [true, false] {
        let config = any(BertConfig {
            tie_word_embeddings,
            ..tiny_roberta()
        });
        let shapes = |optional: &[&str]| {
            let model = Model::skeleton_with(&config, optional, &Device::flex()).unwrap();
            model.param_shapes().into_iter().collect()
        };
        assert_eq!(table_shapes(&config, false), shapes(&[]));
        assert_eq!(table_shapes(&config, true), shapes(&["roberta.pooler.dense.bias"]));
        let decoder = table_shapes(&config, false).contains_key("lm_head.decoder.weight");
        assert_eq!(decoder, !tie_word_embeddings);
    }
}

#[test]
fn the_loss_is_that_of_the_logits_at_the_masked_positions_and_dropout_follows_its_seed() {
    let device = Device::flex();
    let model = filled(&any(tiny_roberta()), &device);
    let batch = batch(&device);
    let inputs: Inputs = batch.clone().into();
    let loss = |stream: DropoutStream| number(model.loss(&inputs, &stream).unwrap());
    let features = TextFeatures {
        input_ids: batch.input_ids,
        token_type_ids: batch.token_type_ids,
        attention_mask: batch.attention_mask,
    };
    let logits = model.logits(&features.into()).unwrap().reshape([10, 13]);
    let masked = logits.select(0, batch.masked_positions);
    let expected = number(ligo_ops::cross_entropy(masked, batch.labels));
    assert!((loss(DropoutStream::off()) - expected).abs() < 1e-6);
    assert_eq!(loss(DropoutStream::new(3)), loss(DropoutStream::new(3)));
    assert_ne!(loss(DropoutStream::new(3)), loss(DropoutStream::new(4)));
}
