//! Attention of queries to the positions of something else.

use burn::tensor::{Tensor, activation::softmax};

#[cfg(feature = "cube")]
use crate::{AttentionOptions, cube, kernels::attention::Plan};

/// `softmax(q·kᵀ / √(D/H))·v` for each of `num_heads` heads, with any number of queries: each sees all keys.
///
/// # Shapes
/// `q` and the result `[B, N, D]`, `k` and `v` `[B, L, D]`.
///
/// # Panics
/// When the shapes do not fit each other, or `num_heads` does not divide `D`.
pub fn cross_attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, num_heads: usize) -> Tensor<3> {
    let [batch, queries, width] = q.dims();
    let [_, length, _] = k.dims();
    assert!(
        k.dims() == [batch, length, width] && v.dims() == k.dims(),
        "attention needs q [B, N, D], k and v [B, L, D], found {:?}, {:?} and {:?}",
        q.dims(),
        k.dims(),
        v.dims()
    );
    assert!(
        num_heads > 0 && width % num_heads == 0,
        "{num_heads} heads do not divide the width {width}"
    );
    #[cfg(feature = "cube")]
    {
        let plan = Plan::all(batch, length, [num_heads; 2], width / num_heads);
        let options = AttentionOptions::default();
        if queries > 0 && cube::attention::takes(&q, &k, &v, &plan, &options) {
            return cube::attention::attention(q, k, v, plan, options);
        }
    }
    let head = width / num_heads;
    let split = |t: Tensor<3>, rows: usize| t.reshape([batch, rows, num_heads, head]).swap_dims(1, 2);
    let q = split(q * (1.0 / (head as f64).sqrt()), queries);
    let weights = softmax(q.matmul(split(k, length).swap_dims(2, 3)), 3);
    let heads = weights.matmul(split(v, length)).swap_dims(1, 2);
    heads.reshape([batch, queries, width])
}
