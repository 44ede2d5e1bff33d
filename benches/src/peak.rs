//! The machine's speed at matrix products.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};

/// GFLOP/s of the fastest of some large `f32` matrix products, by burn and by `ligo_ops::linear`.
#[must_use]
pub fn gflops(device: &Device) -> f64 {
    let mut best = 0.0f64;
    for [m, n, k] in [[1024, 1024, 1024], [2048, 1024, 1024], [2048, 1024, 256]] {
        let random = |shape| Tensor::<2>::random(shape, Distribution::Uniform(-1.0, 1.0), device);
        let (a, b, w) = (random([m, k]), random([k, n]), random([n, k]));
        let work = 2.0 * (m * n * k) as f64;
        for _ in 0..6 {
            let start = Instant::now();
            let y = a.clone().matmul(b.clone());
            best = best.max(work / start.elapsed().as_secs_f64());
            drop(y);
            let start = Instant::now();
            let y = ligo_ops::linear(a.clone(), w.clone(), None);
            best = best.max(work / start.elapsed().as_secs_f64());
            drop(y);
        }
    }
    best / 1e9
}
