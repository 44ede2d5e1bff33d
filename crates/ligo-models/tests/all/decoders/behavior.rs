use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::{Gpt2Config, LlamaConfig, ModelConfig};
use ligo_models::{CausalInputs, DropoutStream, Error, Inputs, Model, Pass, TextFeatures, TokenDrop};

use crate::common::decoders::{kinds, like_llama, next_tokens, tiny_gpt2, tiny_llama};
use crate::common::{batch, number};
use crate::filled::{distance, filled, logits};

const VOCAB: usize = 13;

fn loss(model: &Model, inputs: &CausalInputs, stream: &DropoutStream) -> f64 {
    number(model.loss(&Inputs::Causal(inputs.clone()), stream).unwrap())
}

fn text<const B: usize, const L: usize>(ids: [[i32; L]; B], device: &Device) -> TextFeatures {
    TextFeatures::new(Tensor::<2, Int>::from_data(ids, device))
}

#[test]
fn the_loss_is_that_of_the_logits_at_positions_with_a_label() {
    let device = Device::flex();
    for config in kinds() {
        let model = filled(&config, &device);
        let inputs = CausalInputs {
            documents: None,
            ..next_tokens(&device)
        };
        let all = logits(&model, &TextFeatures::new(inputs.input_ids.clone()).into());
        let labels: Vec<i64> = inputs.labels.to_data().iter().collect();
        let counted = all.chunks_exact(VOCAB).zip(&labels).filter(|(_, label)| **label >= 0);
        let terms = counted.map(|(row, label)| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[*label as usize]);
        let terms: Vec<_> = terms.collect();
        let expected = terms.iter().sum::<f64>() / terms.len() as f64;
        let found = loss(&model, &inputs, &DropoutStream::off());
        assert!((found - expected).abs() < 1e-5, "{found} and {expected}");
    }
}

#[test]
fn a_token_changes_nothing_before_it() {
    let device = Device::flex();
    for config in kinds() {
        let model = filled(&config, &device);
        let a = logits(&model, &text([[1, 12, 3, 4, 7]], &device).into());
        let b = logits(&model, &text([[1, 12, 3, 9, 7]], &device).into());
        assert_eq!(distance(&a[..3 * VOCAB], &b[..3 * VOCAB]), 0.0);
        assert!(distance(&a[3 * VOCAB..4 * VOCAB], &b[3 * VOCAB..4 * VOCAB]) > 1e-3);
        assert!(distance(&a[4 * VOCAB..], &b[4 * VOCAB..]) > 1e-5);
    }
}

#[test]
fn tokens_behind_padding_see_what_is_in_front_of_it() {
    let device = Device::flex();
    for config in kinds() {
        let model = filled(&config, &device);
        let with = |third: i32, visible: f32| {
            let features = TextFeatures {
                attention_mask: Some(Tensor::from_data([[1.0, 1.0, visible, 1.0]], &device)),
                ..text([[1, 12, third, 4]], &device)
            };
            logits(&model, &features.into())
        };
        let last = 3 * VOCAB..4 * VOCAB;
        assert_eq!(distance(&with(3, 0.0)[last.clone()], &with(9, 0.0)[last.clone()]), 0.0);
        assert!(distance(&with(3, 0.0)[last.clone()], &with(3, 1.0)[last]) > 1e-5);
        let unmasked = logits(&model, &text([[1, 12, 3, 4]], &device).into());
        assert!(distance(&with(3, 1.0), &unmasked) < 1e-6);
        let alone = logits(&model, &text([[1, 12]], &device).into());
        assert!(distance(&with(3, 0.0)[..2 * VOCAB], &alone) < 1e-6);
    }
}

#[test]
fn packed_documents_learn_as_if_each_were_alone() {
    let device = Device::flex();
    for config in kinds() {
        let model = filled(&config, &device);
        let packed = next_tokens(&device);
        let off = DropoutStream::off();
        let mut sum = 0.0;
        for (row, range, labels) in [(0, 0..3, 3.0), (0, 3..5, 1.0), (1, 0..2, 2.0), (1, 2..5, 2.0)] {
            let cut = |x: &Tensor<2, Int>| x.clone().slice([row..row + 1, range.clone()]);
            let alone = CausalInputs {
                input_ids: cut(&packed.input_ids),
                labels: cut(&packed.labels),
                documents: None,
                position_ids: None,
            };
            sum += labels * loss(&model, &alone, &off);
        }
        let found = loss(&model, &packed, &off);
        assert!((found - sum / 8.0).abs() < 1e-5, "{found} and {}", sum / 8.0);
        let whole = CausalInputs {
            documents: None,
            ..packed
        };
        assert!(
            (found - loss(&model, &whole, &off)).abs() > 1e-4,
            "documents do nothing"
        );
    }
}

#[test]
fn the_seed_of_the_stream_decides_what_is_dropped() {
    let device = Device::flex();
    let inputs = next_tokens(&device);
    let gpt2 = |attn_pdrop, resid_pdrop, embd_pdrop| {
        ModelConfig::Gpt2(Gpt2Config {
            attn_pdrop,
            resid_pdrop,
            embd_pdrop,
            ..tiny_gpt2()
        })
    };
    let llama = |attention_dropout| {
        ModelConfig::Llama(LlamaConfig {
            attention_dropout,
            ..tiny_llama()
        })
    };
    for config in [
        gpt2(0.3, 0.0, 0.0),
        gpt2(0.0, 0.3, 0.0),
        gpt2(0.0, 0.0, 0.3),
        llama(0.3),
    ] {
        let model = filled(&config, &device);
        let off = loss(&model, &inputs, &DropoutStream::off());
        let first = loss(&model, &inputs, &DropoutStream::new(1));
        assert_eq!(first, loss(&model, &inputs, &DropoutStream::new(1)));
        assert_ne!(first, loss(&model, &inputs, &DropoutStream::new(2)));
        assert_ne!(first, off);
    }
    for config in [gpt2(0.0, 0.0, 0.0), llama(0.0)] {
        let model = filled(&config, &device);
        let off = loss(&model, &inputs, &DropoutStream::off());
        assert_eq!(off, loss(&model, &inputs, &DropoutStream::new(1)));
    }
}

#[test]
fn a_model_on_a_plain_device_says_what_a_tracked_one_says() {
    for config in kinds() {
        let of = |device: &Device| loss(&filled(&config, device), &next_tokens(device), &DropoutStream::new(9));
        assert_eq!(of(&Device::flex()), of(&Device::flex().autodiff()));
    }
}

#[test]
fn hidden_states_are_one_more_than_layers() {
    let device = Device::flex();
    for config in kinds() {
        let states = filled(&config, &device).hidden_states(&text([[1, 2, 3]], &device).into());
        let shapes: Vec<_> = states.unwrap().iter().map(|s| s.dims()).collect();
        assert_eq!(shapes, [[1, 3, 8]; 3]);
    }
}

#[test]
fn a_loss_without_labels_is_zero() {
    let device = Device::flex();
    for config in kinds() {
        let inputs = CausalInputs {
            labels: Tensor::full([2, 5], -100, &device),
            ..next_tokens(&device)
        };
        assert_eq!(loss(&filled(&config, &device), &inputs, &DropoutStream::off()), 0.0);
    }
}

#[test]
fn masked_tokens_are_refused() {
    let device = Device::flex();
    for config in kinds() {
        let fault = filled(&config, &device).loss(&batch(&device).into(), &DropoutStream::off());
        assert_eq!(
            fault.unwrap_err(),
            Error::WrongInputs {
                expected: "next tokens",
                found: "masked tokens"
            }
        );
    }
}

#[test]
#[should_panic(expected = "the sequence has 8 tokens; the model has 7 positions")]
fn a_sequence_beyond_the_position_table_is_a_mistake_of_the_program() {
    let device = Device::flex();
    let model = filled(&ModelConfig::Gpt2(tiny_gpt2()), &device);
    let _ = model.logits(&text([[1; 8]], &device).into());
}

/// A Mistral of one layer whose attention reaches over three tokens.
fn short_sighted() -> ModelConfig {
    let mut config = like_llama("mistral");
    config.num_hidden_layers = 1;
    config.extra.insert("sliding_window".into(), 3.into());
    ModelConfig::Llama(config)
}

#[test]
fn a_token_beyond_the_window_changes_nothing() {
    let device = Device::flex();
    let model = filled(&short_sighted(), &device);
    let logits = |first: i32| {
        let logits = model.logits(&text([[first, 5, 2, 8, 11, 3]], &device).into()).unwrap();
        let values: Vec<f32> = logits.into_data().iter().collect();
        values.chunks_exact(13).map(<[f32]>::to_vec).collect::<Vec<_>>()
    };
    let (one, other) = (logits(1), logits(9));
    let equal: Vec<bool> = one.iter().zip(&other).map(|(a, b)| a == b).collect();
    assert_eq!(equal, [false, false, false, true, true, true]);
}

#[test]
fn the_window_of_kept_tokens_counts_those_that_were_left_out() {
    let device = Device::flex();
    let config = short_sighted();
    let model = filled(&config, &device);
    let tokens = TokenDrop {
        from_layer: 0,
        to_layer: 1,
        keep: 0.5,
        seed: 4,
    };
    let pass = Pass {
        tokens: Some(tokens),
        ..Pass::evaluation()
    };
    // Which tokens' scores change with another token, layer by layer: none of those that are further behind it than the window.
    let scores = |at: usize, id: i64| {
        let mut ids: Vec<i64> = (0..24).map(|i| 1 + (5 * i) % 11).collect();
        ids[at] = id;
        let inputs = CausalInputs {
            input_ids: Tensor::from_data(TensorData::new(ids, [1, 24]), &device),
            labels: Tensor::from_data(TensorData::new(vec![1i64; 24], [1, 24]), &device),
            documents: None,
            position_ids: None,
        };
        let scores = model.scores(&Inputs::Causal(inputs), &pass).unwrap();
        let values: Vec<f32> = scores.head.logits.into_data().iter().collect();
        values.chunks_exact(13).map(<[f32]>::to_vec).collect::<Vec<_>>()
    };
    let mut reached = 0;
    for at in 0..24 {
        let (one, other) = (scores(at, 12), scores(at, 0));
        for (i, (one, other)) in one.iter().zip(&other).enumerate() {
            let changes = one != other;
            assert!(!changes || (at..at + 3).contains(&i), "token {i} sees token {at}");
            reached += usize::from(changes && i > at);
        }
    }
    assert!(reached > 3, "no token sees another one");
}
