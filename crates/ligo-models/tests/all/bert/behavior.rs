use burn::tensor::{Device, Int, Tensor};
use ligo_arch::BertConfig;
use ligo_models::{DropoutStream, Error, MlmInputs, Model, TextFeatures};

use crate::common::{any, batch, number, tiny};
use crate::filled::{self, distance};

fn filled(config: BertConfig, device: &Device) -> Model {
    filled::filled(&any(config), device)
}

fn logits(model: &Model, batch: &MlmInputs) -> Vec<f64> {
    let b = batch.clone();
    let features = TextFeatures {
        input_ids: b.input_ids,
        token_type_ids: b.token_type_ids,
        attention_mask: b.attention_mask,
    };
    let logits = model.logits(&features.into()).unwrap();
    logits.into_data().iter::<f64>().collect()
}

#[test]
fn the_loss_is_that_of_the_full_logits_at_the_masked_positions() {
    let device = Device::flex();
    for tie_word_embeddings in [true, false] {
        let model = filled(
            BertConfig {
                tie_word_embeddings,
                ..tiny()
            },
            &device,
        );
        let batch = batch(&device);
        let vocab = 13;
        let all = logits(&model, &batch);
        let positions = batch.masked_positions.clone().into_data();
        let labels = batch.labels.clone().into_data();
        let terms = positions
            .iter::<i64>()
            .zip(labels.iter::<i64>())
            .map(|(position, label)| {
                let row = &all[position as usize * vocab..][..vocab];
                row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[label as usize]
            });
        let terms: Vec<f64> = terms.collect();
        let expected = terms.iter().sum::<f64>() / terms.len() as f64;
        let found = number(model.loss(&batch.clone().into(), &DropoutStream::off()).unwrap());
        assert!((found - expected).abs() < 1e-5, "{found} and {expected}");
    }
}

#[test]
fn padding_does_not_change_what_other_positions_say() {
    let device = Device::flex();
    let model = filled(tiny(), &device);
    let padded = batch(&device);
    let other = MlmInputs {
        input_ids: Tensor::from_data([[1, 12, 3, 4, 7], [5, 2, 9, 8, 11]], &device),
        ..padded.clone()
    };
    let unmasked = MlmInputs {
        attention_mask: None,
        ..other.clone()
    };
    let real = 8 * 13; // five tokens of the first sequence, three of the second
    let (a, b, c) = (
        logits(&model, &padded),
        logits(&model, &other),
        logits(&model, &unmasked),
    );
    assert_eq!(distance(&a[..real], &b[..real]), 0.0);
    assert!(distance(&a[real..], &b[real..]) > 1e-3);
    assert!(distance(&a[..real], &c[..real]) > 1e-3, "the mask does nothing");
}

#[test]
fn a_mask_of_ones_is_no_mask() {
    let device = Device::flex();
    let model = filled(tiny(), &device);
    let mut batch = batch(&device);
    batch.attention_mask = Some(Tensor::ones([2, 5], &device));
    let a = logits(&model, &batch);
    batch.attention_mask = None;
    let b = logits(&model, &batch);
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn the_seed_of_the_stream_decides_what_is_dropped() {
    let device = Device::flex();
    let model = filled(tiny(), &device);
    let batch = batch(&device);
    let loss = |stream: DropoutStream| number(model.loss(&batch.clone().into(), &stream).unwrap());
    let off = loss(DropoutStream::off());
    let first = loss(DropoutStream::new(1));
    assert_eq!(first, loss(DropoutStream::new(1)));
    assert_ne!(first, loss(DropoutStream::new(2)));
    assert_ne!(first, off);

    let never = filled(
        BertConfig {
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            ..tiny()
        },
        &device,
    );
    assert_eq!(
        number(never.loss(&batch.clone().into(), &DropoutStream::new(1)).unwrap()),
        off
    );
}

#[test]
fn each_probability_of_the_configuration_is_used_at_its_sites() {
    let device = Device::flex();
    let batch = batch(&device);
    for (hidden, attention) in [(0.3, 0.0), (0.0, 0.3)] {
        let config = BertConfig {
            hidden_dropout_prob: hidden,
            attention_probs_dropout_prob: attention,
            ..tiny()
        };
        let model = filled(config, &device);
        let dropped = number(model.loss(&batch.clone().into(), &DropoutStream::new(5)).unwrap());
        assert_ne!(
            dropped,
            number(model.loss(&batch.clone().into(), &DropoutStream::off()).unwrap())
        );
    }
}

#[test]
fn a_model_on_a_plain_device_says_what_a_tracked_one_says() {
    let plain = Device::flex();
    let tracked = Device::flex().autodiff();
    let of = |device: &Device| {
        number(
            filled(tiny(), device)
                .loss(&batch(device).into(), &DropoutStream::new(9))
                .unwrap(),
        )
    };
    assert_eq!(of(&plain), of(&tracked));
}

#[test]
fn a_model_can_be_filled_again() {
    let device = Device::flex();
    let batch = batch(&device);
    let model = filled(tiny(), &device);
    let zeros = model
        .clone()
        .install(&mut |_: &str, shape: &[usize]| {
            Ok::<_, Error>(Tensor::zeros([shape.iter().product::<usize>()], &device))
        })
        .unwrap();
    let loss = |m: &Model| number(m.loss(&batch.clone().into(), &DropoutStream::off()).unwrap());
    assert!((loss(&zeros) - 13_f64.ln()).abs() < 1e-6);
    assert!((loss(&model) - 13_f64.ln()).abs() > 1e-3);
}

#[test]
fn hidden_states_are_one_more_than_layers() {
    let device = Device::flex();
    let ids = Tensor::<2, Int>::from_data([[1, 2, 3]], &device);
    let states = filled(tiny(), &device)
        .hidden_states(&TextFeatures::new(ids).into())
        .unwrap();
    let shapes: Vec<_> = states.iter().map(|s| s.dims()).collect();
    assert_eq!(shapes, [[1, 3, 8]; 3]);
}

#[test]
fn a_loss_without_labels_is_zero() {
    let device = Device::flex();
    let inputs = MlmInputs {
        labels: Tensor::from_data([-100, -100, -100], &device),
        ..batch(&device)
    };
    assert_eq!(
        number(
            filled(tiny(), &device)
                .loss(&inputs.clone().into(), &DropoutStream::off())
                .unwrap()
        ),
        0.0
    );
}
