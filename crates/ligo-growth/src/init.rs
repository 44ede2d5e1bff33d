//! Fresh weights, as a pure function of a seed and the tensor's name.

use std::ops::Range;

use ligo_arch::{Init, Param, ParamTable, Role};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// A random number generator that depends on `seed` and `name` alone, so the order in which tensors are drawn does
/// not matter and every device starts from the same numbers.
pub fn rng(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// `count` draws from N(0, std²) by the Box-Muller transform.
pub fn normal(rng: &mut ChaCha8Rng, std: f64, count: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // 1 − u keeps the logarithm's argument above zero.
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * std;
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        values.push((radius * angle.cos()) as f32);
        values.push((radius * angle.sin()) as f32);
    }
    values.truncate(count);
    values
}

/// Words of the generator that [`normal`] takes for two draws.
const WORDS_PER_PAIR: u128 = 4;

/// The fresh value of one parameter: matrices and tables from N(0, `initializer_range`²), gains 1, biases 0, as
/// `transformers` initializes BERT, unless the table says otherwise.
pub fn initial_value(param: &Param<'_>, initializer_range: f64, seed: u64) -> Vec<f32> {
    initial_values_in(param, initializer_range, seed, 0..param.num_elements())
}

/// Some of the values of [`initial_value`].
pub fn initial_values_in(param: &Param<'_>, initializer_range: f64, seed: u64, range: Range<usize>) -> Vec<f32> {
    let normal = |std| {
        let mut rng = rng(seed, &param.name);
        let pair = range.start / 2;
        rng.set_word_pos(WORDS_PER_PAIR * pair as u128);
        let mut values = normal(&mut rng, std, range.end - 2 * pair);
        values.drain(..range.start - 2 * pair);
        values
    };
    let constant = |value| vec![value; range.len()];
    match param.spec.init {
        Some(Init::Constant(value)) => return constant(value as f32),
        Some(Init::Normal(std)) => return normal(std),
        None => {}
    }
    match param.spec.role {
        Role::Weight | Role::Embedding | Role::Token => normal(initializer_range),
        Role::NormWeight | Role::Scale => constant(1.0),
        Role::Bias | Role::NormBias => constant(0.0),
    }
}

/// Fresh values of every required parameter of a model: `(name, shape, values)`.
pub fn initial_values(
    table: &ParamTable,
    initializer_range: f64,
    seed: u64,
) -> impl Iterator<Item = (String, Vec<usize>, Vec<f32>)> + '_ {
    table.params().filter(|p| p.spec.required).map(move |p| {
        let values = initial_value(&p, initializer_range, seed);
        (p.name, p.shape, values)
    })
}

#[cfg(test)]
mod tests {
    use ligo_arch::{BertConfig, ModelConfig};

    use super::*;

    #[test]
    fn a_part_of_the_fresh_values_is_that_of_the_whole() {
        let table = ModelConfig::Bert(BertConfig::new(30, 8, 1, 2)).table();
        for param in table.params() {
            let whole = initial_value(&param, 0.02, 5);
            let count = whole.len();
            for range in [
                0..count,
                1..count,
                2..count - 1,
                count / 2..count,
                count / 3..count / 2,
                7..7,
            ] {
                let range = range.start.min(count)..range.end.min(count).max(range.start.min(count));
                assert_eq!(
                    initial_values_in(&param, 0.02, 5, range.clone()),
                    whole[range],
                    "{}",
                    param.name
                );
            }
        }
    }
}
