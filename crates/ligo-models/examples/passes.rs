//! What passes that leave out layers or tokens take, beside a whole one: forward and backward of a small BERT.
//!
//!     cargo run --release -p ligo-models --example passes
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::{BertConfig, ModelConfig};
use ligo_models::{DropoutStream, Error, Inputs, Layers, MlmInputs, Model, Pass, TokenDrop};

const LAYERS: usize = 6;
const SHAPE: [usize; 2] = [16, 128];
const ROUNDS: usize = 15;

fn main() -> Result<(), Error> {
    ligo_ops::tune_allocator();
    let device = Device::flex().autodiff();
    let config = ModelConfig::Bert(BertConfig::new(2_000, 256, LAYERS, 4));
    let skeleton = Model::skeleton(&config, &device)?;
    let inputs = batch(&device);
    let dropping = |keep| {
        Some(TokenDrop {
            from_layer: 1,
            to_layer: LAYERS - 1,
            keep,
            seed: 7,
        })
    };
    let passes = [
        ("whole", Layers::All, None),
        ("without layer 2", Layers::Without([2].into()), None),
        ("first 3 layers", Layers::First(3), None),
        ("85 % of the tokens in layers 1 to 4", Layers::All, dropping(0.85)),
        ("50 % of the tokens in layers 1 to 4", Layers::All, dropping(0.5)),
    ];
    let mut times = vec![Vec::new(); passes.len()];
    // In turn, since a machine's speed drifts.
    for _ in 0..ROUNDS {
        for (times, (_, layers, tokens)) in times.iter_mut().zip(&passes) {
            let model = install(skeleton.clone(), &device)?;
            let pass = Pass {
                layers: layers.clone(),
                tokens: *tokens,
                ..Pass::whole(DropoutStream::new(1))
            };
            let begin = Instant::now();
            let gradients = model.loss_with(&inputs, &pass)?.backward();
            times.push(begin.elapsed().as_secs_f64());
            drop(gradients);
        }
    }
    // The shortest is what the work takes; all else is what the machine did besides.
    let shortest: Vec<f64> = times
        .iter()
        .map(|times| times.iter().copied().fold(f64::MAX, f64::min))
        .collect();
    for ((name, ..), seconds) in passes.iter().zip(&shortest) {
        println!(
            "{:6.1} ms  {:5.1} %  {name}",
            1e3 * seconds,
            100.0 * seconds / shortest[0]
        );
    }
    Ok(())
}

/// Leaves that do not matter, as long as they are finite.
fn install(skeleton: Model, device: &Device) -> Result<Model, Error> {
    skeleton.install(&mut |_: &str, shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        let values = (0..count)
            .map(|i| ((i * 7919 % 1009) as f32 / 1009.0 - 0.5) * 0.1)
            .collect();
        Ok::<_, Error>(Tensor::from_data(TensorData::new::<f32, _>(values, [count]), device).require_grad())
    })
}

/// Every seventh token is masked.
fn batch(device: &Device) -> Inputs {
    let tokens = SHAPE[0] * SHAPE[1];
    let ids = |step: usize| {
        (0..tokens as i32)
            .step_by(step)
            .map(|i| i * 31 % 2_000)
            .collect::<Vec<_>>()
    };
    let masked: Vec<i32> = (0..tokens as i32).step_by(7).collect();
    let row = |values: Vec<i32>| {
        let count = values.len();
        Tensor::<1, Int>::from_data(TensorData::new(values, [count]), device)
    };
    Inputs::Masked(MlmInputs {
        input_ids: row(ids(1)).reshape(SHAPE),
        token_type_ids: None,
        attention_mask: None,
        masked_positions: row(masked),
        labels: row(ids(7)),
    })
}
