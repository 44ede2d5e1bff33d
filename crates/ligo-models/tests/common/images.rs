//! Small models of images, and what they read.

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{CaitConfig, ModelConfig, Sides, VitConfig};
use ligo_models::{Features, ImageInputs};

use super::values;

/// Images of 4 × 6 pixels with two channels, patches of 2 × 2; hidden 6, two layers, three heads, feed-forward 10, three classes.
pub fn tiny_vit() -> VitConfig {
    cropped(VitConfig::new(6, 2, 3, 3))
}

/// The same as a DeiT, with a head for its distillation token or without.
pub fn tiny_deit(with_teacher: bool) -> VitConfig {
    cropped(VitConfig::deit(6, 2, 3, 3, with_teacher))
}

fn cropped(config: VitConfig) -> VitConfig {
    VitConfig {
        intermediate_size: 10,
        image_size: Sides::Each([4, 6]),
        patch_size: Sides::Square(2),
        num_channels: 2,
        ..config
    }
}

/// The same sizes as a CaiT with two class-attention layers, whose feed-forward width is 7.
pub fn tiny_cait() -> CaitConfig {
    CaitConfig {
        intermediate_size: 10,
        intermediate_size_token_only: Some(7),
        image_size: Sides::Each([4, 6]),
        patch_size: Sides::Square(2),
        num_channels: 2,
        ..CaitConfig::new(6, 2, 3, 3)
    }
}

/// One of each kind.
pub fn kinds() -> Vec<ModelConfig> {
    vec![
        ModelConfig::Vit(tiny_vit()),
        ModelConfig::Vit(tiny_deit(false)),
        ModelConfig::Vit(tiny_deit(true)),
        ModelConfig::Cait(tiny_cait()),
    ]
}

/// The same kinds, with dropout of elements, attention weights and whole sub-layers.
pub fn dropping(hidden: f64, attention: f64, path: f64) -> Vec<ModelConfig> {
    let kinds = kinds().into_iter().map(|config| match config {
        ModelConfig::Vit(c) => ModelConfig::Vit(VitConfig {
            hidden_dropout_prob: hidden,
            attention_probs_dropout_prob: attention,
            drop_path_rate: path,
            ..c
        }),
        ModelConfig::Cait(c) => ModelConfig::Cait(CaitConfig {
            hidden_dropout_prob: hidden,
            attention_probs_dropout_prob: attention,
            drop_path_rate: path,
            ..c
        }),
        other => other,
    });
    kinds.collect()
}

/// Four images.
pub fn pixels(device: &Device) -> Tensor<4> {
    let shape = [4, 2, 4, 6];
    let pixels = values("pixels", &shape).into_iter().map(|x| 3.0 * x).collect();
    Tensor::from_data(TensorData::new::<f64, _>(pixels, shape), device)
}

/// The same as features.
pub fn pictures(device: &Device) -> Features {
    Features::Images(pixels(device))
}

/// The same with targets: one-hot, mixed, smoothed and not adding up to 1.
pub fn labeled(device: &Device) -> ImageInputs {
    ImageInputs {
        pixels: pixels(device),
        targets: Tensor::from_data(
            [[0.0, 1.0, 0.0], [0.3, 0.0, 0.7], [0.9, 0.05, 0.05], [0.5, 0.25, 0.0]],
            device,
        ),
    }
}
