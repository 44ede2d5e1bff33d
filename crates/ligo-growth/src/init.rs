//! Fresh weights, as a pure function of a seed and the tensor's name.

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

/// The fresh value of one parameter: matrices and tables from N(0, `initializer_range`²), gains 1, biases 0, as
/// `transformers` initialises BERT, unless the table says otherwise.
pub fn initial_value(param: &Param<'_>, initializer_range: f64, seed: u64) -> Vec<f32> {
    let count = param.num_elements();
    let normal = |std| normal(&mut rng(seed, &param.name), std, count);
    match param.spec.init {
        Some(Init::Constant(value)) => return vec![value as f32; count],
        Some(Init::Normal(std)) => return normal(std),
        None => {}
    }
    match param.spec.role {
        Role::Weight | Role::Embedding | Role::Token => normal(initializer_range),
        Role::NormWeight | Role::Scale => vec![1.0; count],
        Role::Bias | Role::NormBias => vec![0.0; count],
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
