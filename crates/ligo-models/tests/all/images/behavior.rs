use burn::tensor::{Device, Int, Tensor};
use ligo_arch::{ModelConfig, VitConfig};
use ligo_models::{DropoutStream, Error, Features, ImageInputs, Inputs, Model, TextFeatures};

use crate::common::images::{dropping, kinds, labeled, pictures, pixels, tiny_deit, tiny_vit};
use crate::common::{number, values};
use crate::filled::{distance, filled, filled_with, logits};

const CLASSES: usize = 3;

/// A model whose values are changed.
fn changed(config: &ModelConfig, device: &Device, change: impl Fn(&str, &mut Vec<f64>)) -> Model {
    filled_with(config, device, |name, shape| {
        let mut values = values(name, shape);
        change(name, &mut values);
        values
    })
}

fn loss(model: &Model, inputs: &ImageInputs, stream: &DropoutStream) -> f64 {
    number(model.loss(&Inputs::Images(inputs.clone()), stream).unwrap())
}

/// `mean over images of -Σ targets · log softmax(logits)`.
fn cross_entropy(logits: &[f64], targets: &[f64]) -> f64 {
    let rows = logits.chunks_exact(CLASSES).zip(targets.chunks_exact(CLASSES));
    let terms = rows.map(|(logits, targets)| {
        let sum = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
        targets.iter().zip(logits).map(|(t, x)| t * (sum - x)).sum::<f64>()
    });
    terms.sum::<f64>() / (logits.len() / CLASSES) as f64
}

#[test]
fn the_loss_is_the_cross_entropy_with_soft_targets() {
    let device = Device::flex();
    let inputs = labeled(&device);
    let targets: Vec<f64> = inputs.targets.to_data().iter::<f64>().collect();
    for config in kinds() {
        // The mean of two losses is not the loss of mean logits; see the next test.
        if matches!(&config, ModelConfig::Vit(c) if c.has_distillation_head()) {
            continue;
        }
        let model = filled(&config, &device);
        let expected = cross_entropy(&logits(&model, &pictures(&device)), &targets);
        let found = loss(&model, &inputs, &DropoutStream::off());
        assert!((found - expected).abs() < 1e-5, "{found} and {expected}");
    }
}

#[test]
fn two_heads_give_the_mean_of_their_logits_and_of_their_losses() {
    let device = Device::flex();
    let inputs = ImageInputs {
        targets: Tensor::from_data(
            [[0.0, 1.0, 0.0], [0.3, 0.0, 0.7], [1.0, 0.0, 0.0], [0.5, 0.25, 0.25]],
            &device,
        ),
        ..labeled(&device)
    };
    let targets: Vec<f64> = inputs.targets.to_data().iter::<f64>().collect();
    // A silent head gives every class the same probability.
    for silent in ["cls_classifier.", "distillation_classifier."] {
        let model = changed(&ModelConfig::Vit(tiny_deit(true)), &device, |name, values| {
            if name.starts_with(silent) {
                values.fill(0.0);
            }
        });
        let heard: Vec<_> = logits(&model, &pictures(&device)).iter().map(|x| 2.0 * x).collect();
        assert!(distance(&heard, &[0.0; 12]) > 1e-2);
        let expected = (cross_entropy(&heard, &targets) + (CLASSES as f64).ln()) / 2.0;
        let found = loss(&model, &inputs, &DropoutStream::off());
        assert!((found - expected).abs() < 1e-5, "{silent} {found} and {expected}");
    }
}

#[test]
fn the_seed_of_the_stream_decides_what_is_dropped() {
    let device = Device::flex();
    let inputs = labeled(&device);
    for (hidden, attention, path) in [(0.3, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 0.4)] {
        for config in dropping(hidden, attention, path) {
            let model = filled(&config, &device);
            let of = |stream: DropoutStream| loss(&model, &inputs, &stream);
            let off = of(DropoutStream::off());
            let seeds: Vec<_> = (0..8).map(|seed| of(DropoutStream::new(seed))).collect();
            let again: Vec<_> = (0..8).map(|seed| of(DropoutStream::new(seed))).collect();
            assert_eq!(seeds, again);
            assert!(seeds.iter().any(|x| *x != seeds[0]) && seeds.iter().any(|x| *x != off));
        }
    }
    for config in kinds() {
        let model = filled(&config, &device);
        assert_eq!(
            loss(&model, &inputs, &DropoutStream::new(1)),
            loss(&model, &inputs, &DropoutStream::off())
        );
    }
}

#[test]
fn stochastic_depth_of_a_vit_rises_from_zero_at_the_first_layer() {
    let config = VitConfig {
        num_hidden_layers: 5,
        drop_path_rate: 0.2,
        ..tiny_vit()
    };
    let rates: Vec<_> = (0..5).map(|layer| config.drop_path(layer)).collect();
    for (found, expected) in rates.iter().zip([0.0, 0.05, 0.1, 0.15, 0.2]) {
        assert!((found - expected).abs() < 1e-12, "{rates:?}");
    }
    let single = VitConfig {
        num_hidden_layers: 1,
        ..config
    };
    let device = Device::flex();
    let model = filled(&ModelConfig::Vit(single), &device);
    let inputs = labeled(&device);
    assert_eq!(
        loss(&model, &inputs, &DropoutStream::new(3)),
        loss(&model, &inputs, &DropoutStream::off())
    );
}

#[test]
fn an_image_does_not_depend_on_the_others_of_its_batch() {
    let device = Device::flex();
    for config in kinds() {
        let model = filled(&config, &device);
        let together = logits(&model, &pictures(&device));
        for (i, expected) in together.chunks_exact(CLASSES).enumerate() {
            let alone = pixels(&device).slice_dim(0, i..i + 1);
            assert!(distance(&logits(&model, &Features::Images(alone)), expected) < 1e-5);
        }
        assert!(distance(&together[..CLASSES], &together[CLASSES..2 * CLASSES]) > 1e-3);
    }
}

#[test]
fn only_positions_tell_where_a_patch_is() {
    let device = Device::flex();
    // The upper and the lower row of patches change places.
    let turned = |x: Tensor<4>| Tensor::cat(vec![x.clone().slice_dim(2, 2..4), x.slice_dim(2, 0..2)], 2);
    let (here, there) = (pictures(&device), Features::Images(turned(pixels(&device))));
    for config in kinds() {
        let table = config.position_grid().unwrap().tensor;
        let placed = filled(&config, &device);
        assert!(distance(&logits(&placed, &here), &logits(&placed, &there)) > 1e-4);
        let blind = changed(&config, &device, |name, values| {
            if name == table {
                values.fill(0.0);
            }
        });
        assert!(distance(&logits(&blind, &here), &logits(&blind, &there)) < 1e-5);
    }
}

#[test]
fn hidden_states_are_one_more_than_layers_of_the_first_stack() {
    let device = Device::flex();
    for config in kinds() {
        let tokens = config.sizes().tokens.unwrap();
        let model = filled(&config, &device);
        let states = model.hidden_states(&pictures(&device)).unwrap();
        let shapes: Vec<_> = states.iter().map(|s| s.dims()).collect();
        assert_eq!(shapes, [[4, tokens, 6]; 3]);
    }
}

#[test]
fn a_model_on_a_plain_device_says_what_a_tracked_one_says() {
    for config in dropping(0.1, 0.1, 0.1) {
        let of = |device: &Device| {
            let model = filled(&config, device);
            loss(&model, &labeled(device), &DropoutStream::new(9))
        };
        assert_eq!(of(&Device::flex()), of(&Device::flex().autodiff()));
    }
}

#[test]
fn text_is_refused() {
    let device = Device::flex();
    let text = TextFeatures::new(Tensor::<2, Int>::from_data([[1, 2]], &device));
    for config in kinds() {
        let model = filled(&config, &device);
        let fault = model.logits(&text.clone().into()).unwrap_err();
        assert_eq!(
            fault,
            Error::WrongFeatures {
                expected: "images",
                found: "text"
            }
        );
    }
}

#[test]
#[should_panic(expected = "the images have 2 channels of 6×4 pixels; the model reads 2 of 4×6")]
fn images_of_another_size_are_a_mistake_of_the_program() {
    let device = Device::flex();
    let model = filled(&ModelConfig::Vit(tiny_vit()), &device);
    let _ = model.logits(&Features::Images(pixels(&device).swap_dims(2, 3)));
}
