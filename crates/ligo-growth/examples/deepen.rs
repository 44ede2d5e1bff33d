//! A growth operator of one's own: between every two layers of a model, a new one that is their mean.
//!
//!     cargo run --release -p ligo-growth --example deepen -- MODEL_DIR OUT_DIR
//!
//! Reads and writes Hugging Face directories, one tensor at a time. A model of L layers comes out with 2L − 1.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::ModelConfig;
use ligo_checkpoint::ModelDir;
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{Factors, Fill, LinearMap, Term};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: deepen MODEL_DIR OUT_DIR".into());
    };
    let device = Device::flex();
    let mut source = ModelDir::open(&from)?;
    let small = ModelConfig::from_json(source.config()?)?;
    let mut large = small.clone();
    match &mut large {
        ModelConfig::Bert(config) => config.num_hidden_layers = 2 * config.num_hidden_layers - 1,
        // Every other family has such a field too; this example grows BERTs.
        other => return Err(format!("{} is not grown here", other.model_type()).into()),
    }

    // Depth coefficients for every module of every stack. No width matrices: an axis without one stays as it is.
    let table = large.table();
    let mut depth = BTreeMap::new();
    for (stack, layers) in table.depths() {
        let known = small.table().depth(stack);
        for module in table.modules(stack) {
            depth.insert((stack, module), means(layers, known, &device));
        }
    }
    let term = Term {
        depth,
        out: Factors::default(),
        ..Term::default()
    };
    let map = LinearMap {
        terms: vec![term],
        fill: Fill::Zero,
        ..LinearMap::default()
    };

    let options = GrowOptions::default();
    grow_directory(
        &map,
        &mut source,
        &small,
        &large,
        to.as_ref(),
        &options,
        &device,
        &mut |done, total| {
            if done == total {
                println!("{total} tensors written to {to}");
            }
            true
        },
    )?;
    println!(
        "{} parameters became {}",
        small.table().num_parameters(),
        table.num_parameters()
    );
    Ok(())
}

/// Even rows choose layer i / 2, odd rows are the mean of their neighbors.
fn means(layers: usize, known: usize, device: &Device) -> Tensor<2> {
    let mut rows = vec![0.0f32; layers * known];
    for i in 0..layers {
        rows[i * known + i / 2] += 0.5;
        rows[i * known + i.div_ceil(2)] += 0.5;
    }
    Tensor::from_data(TensorData::new(rows, [layers, known]), device)
}
