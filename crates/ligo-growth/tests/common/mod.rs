//! Tiny decoders, and growing them in memory.

pub mod reference;

use std::collections::HashMap;

use burn::tensor::Device;
use ligo_arch::{Gpt2Config, ModelConfig, ParamTable};
use ligo_growth::{LinearMap, MemorySource, init, stream};

pub fn gpt2(hidden: usize, layers: usize, heads: usize) -> ModelConfig {
    ModelConfig::Gpt2(Gpt2Config {
        n_positions: 5,
        ..Gpt2Config::new(11, hidden, layers, heads)
    })
}

/// Weights of which every entry counts: fresh gains and biases are constants, these are not.
pub fn weights(table: &ParamTable, seed: u64) -> MemorySource {
    MemorySource::new(table.params().map(|p| {
        let values = init::normal(&mut init::rng(seed, &p.name), 1.0, p.num_elements());
        (p.name, p.shape, values)
    }))
}

/// Every tensor of the large model.
pub fn grow_all(map: &LinearMap, small: &ParamTable, large: &ParamTable, seed: u64) -> HashMap<String, Vec<f32>> {
    let mut grown = HashMap::new();
    let mut source = weights(small, seed);
    stream::grow_each(map, small, large, &mut source, &Device::flex(), &mut |p, values| {
        grown.insert(p.name.clone(), values);
        Ok(())
    })
    .unwrap();
    grown
}
