//! Normalizations of queries and keys.

use burn::module::Param;
use burn::tensor::Tensor;

use crate::{RmsNorm, split};

/// Queries and keys, normalized where there are norms: every head by itself, or all of a token `together`, as wide as the norm is then.
///
/// # Shapes
/// Queries `[B, L, H·d]`, keys `[B, L, G·d]`, as the results.
pub(super) fn normalized(parts: [Tensor<3>; 2], norms: [Option<&RmsNorm>; 2], together: bool) -> [Tensor<3>; 2] {
    let [Some(of_queries), Some(of_keys)] = norms else {
        return parts;
    };
    let gains = [of_queries, of_keys].map(|norm| Param::val(&norm.weight));
    let eps = of_queries.eps();
    match split::ranks() {
        Some(ranks) if together => over_ranks(parts, gains, eps, ranks.size()),
        Some(_) => by_head(parts, entered(gains), eps),
        None => by_head(parts, gains, eps),
    }
}

/// Each run of as many elements as there are gains by itself.
fn by_head([q, k]: [Tensor<3>; 2], [q_gain, k_gain]: [Tensor<1>; 2], eps: f64) -> [Tensor<3>; 2] {
    [(q, q_gain), (k, k_gain)].map(|(x, gain)| {
        let [batch, length, width] = x.dims();
        let [head] = gain.dims();
        let heads = x.reshape([batch, length, width / head, head]);
        ligo_ops::rms_norm(heads, gain, eps).reshape([batch, length, width])
    })
}

/// Gains that all ranks hold alike and that each uses for its own heads, so that their gradients are sums: one sum for both.
fn entered([q, k]: [Tensor<1>; 2]) -> [Tensor<1>; 2] {
    let ([q_len], [k_len]) = (q.dims(), k.dims());
    let both = split::enter(Tensor::cat(vec![q, k], 0));
    [
        both.clone().slice_dim(0, 0..q_len),
        both.slice_dim(0, q_len..q_len + k_len),
    ]
}

/// All heads of a token together, where each of so many ranks has some of them: `x / √(Σ x² / (H·d) + ε) · gain`, with the sum over all ranks.
fn over_ranks([q, k]: [Tensor<3>; 2], [q_gain, k_gain]: [Tensor<1>; 2], eps: f64, ranks: usize) -> [Tensor<3>; 2] {
    let squares = [&q, &k].map(|x| (x.clone() * x.clone()).sum_dim(2));
    // Each rank uses the sums for its heads, so their gradient is a sum as well.
    let squares = split::enter(split::leave(Tensor::cat(squares.into(), 2)));
    let norm = |x: Tensor<3>, gain: Tensor<1>, which: usize| {
        let width = x.dims()[2] * ranks;
        let mean = squares.clone().slice_dim(2, which..which + 1).div_scalar(width as f64);
        x / mean.add_scalar(eps).sqrt() * gain.unsqueeze::<3>()
    };
    [norm(q, q_gain, 0), norm(k, k_gain, 1)]
}
