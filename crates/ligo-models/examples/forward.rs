//! A tiny random BERT and its loss: everything that a program needs which embeds `ligo-models`.
//!
//!     cargo run --release -p ligo-models --example forward
#![allow(clippy::print_stdout)]

use burn::tensor::{Device, Distribution, Int, Tensor};
use ligo_arch::{BertConfig, ModelConfig};
use ligo_models::{DropoutStream, Error, Inputs, MlmInputs, Model};

fn main() -> Result<(), Error> {
    let device = Device::flex();
    device.seed(1);
    let config = ModelConfig::Bert(BertConfig::new(1_000, 64, 2, 4));

    // Names and shapes first; values come from anywhere: a file, an optimizer, a growth operator.
    let skeleton = Model::skeleton(&config, &device)?;
    let std = config.initializer_range();
    let model = skeleton.install(&mut |name: &str, shape: &[usize]| {
        let count = [shape.iter().product::<usize>()];
        Ok::<_, Error>(if name.ends_with("LayerNorm.weight") {
            Tensor::ones(count, &device)
        } else if name.ends_with("bias") {
            Tensor::zeros(count, &device)
        } else {
            Tensor::random(count, Distribution::Normal(0.0, std), &device)
        })
    })?;

    // Two sequences of eight tokens; the third of the first and the second of the other are masked (id 4).
    let inputs = Inputs::Masked(MlmInputs {
        input_ids: Tensor::<2, Int>::from_data([[2, 41, 4, 77, 15, 608, 23, 3], [2, 4, 9, 310, 52, 88, 7, 3]], &device),
        token_type_ids: None,
        attention_mask: None,
        masked_positions: Tensor::<1, Int>::from_data([2, 9], &device),
        labels: Tensor::<1, Int>::from_data([512, 64], &device),
    });
    let loss = model.loss(&inputs, &DropoutStream::off())?.into_scalar::<f32>();
    println!("{} tensors", model.param_shapes().len());
    println!(
        "loss {loss:.3}; one that knows nothing has ln 1000 = {:.3}",
        1_000_f32.ln()
    );
    Ok(())
}
