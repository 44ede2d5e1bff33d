//! The device's matmul peak: what the share in the progress bar is a share of.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};

/// Best rate of large f32 matrix products within about `budget`, in FLOP/s.
pub fn matmul_peak(device: &Device, budget: Duration) -> f64 {
    let size = 768;
    let random = || Tensor::<2>::random([size, size], Distribution::Uniform(-1.0, 1.0), device);
    let (a, b) = (random(), random());
    // The first product pays for compiling kernels and waking threads.
    let once = || {
        let start = Instant::now();
        let product = a.clone().matmul(b.clone());
        drop(product.slice([0..1, 0..1]).into_data());
        start.elapsed().as_secs_f64()
    };
    once();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed() < budget {
        best = best.min(once());
    }
    2.0 * (size as f64).powi(3) / best
}
