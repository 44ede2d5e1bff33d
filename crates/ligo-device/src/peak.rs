//! The device's matmul peak: what the share in the progress bar is a share of.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};
use ligo_ops::{Precision, with_precision};

use crate::Matmul;

/// Best rate of large matrix products within about `budget`, in FLOP/s.
pub fn matmul_peak(device: &Device, precision: Precision, budget: Duration) -> f64 {
    let size = 768;
    let products = Products::new(device, size);
    with_precision(precision, || {
        // The first product pays for compiling kernels and waking threads.
        products.seconds(1);
        let begin = Instant::now();
        let mut best = f64::INFINITY;
        while begin.elapsed() < budget {
            best = best.min(products.seconds(1));
        }
        flops(size) / best
    })
}

/// How long products of one precision are timed, kernels that have to be compiled aside.
const BUDGET: Duration = Duration::from_millis(800);
/// Larger matrices are tried as long as a product takes less than this.
const QUICK_SECONDS: f64 = 0.01;
/// Products between two waits for the device take at least about this long, so that waiting does not count.
const ROW_SECONDS: f64 = 0.02;
const LONGEST_ROW: usize = 64;

/// The peak of products in one precision, with matrices as large as the device needs to show it: 256 rows on a software device, 4,096 on a
/// large card.
///
/// # Errors
/// The device did not multiply.
pub fn by_precision(device: &Device, precision: Precision) -> Result<Matmul, String> {
    const SIZES: [usize; 5] = [256, 512, 1024, 2048, 4096];
    with_precision(precision, || {
        let mut best = Matmul {
            precision,
            flops_per_second: 0.0,
            size: SIZES[0],
        };
        for size in SIZES {
            let products = Products::new(device, size);
            // The first product pays for compiling kernels and waking threads.
            products.seconds(1);
            let seconds = products.seconds(1);
            let row = ((ROW_SECONDS / seconds) as usize).clamp(1, LONGEST_ROW);
            let share = BUDGET / SIZES.len() as u32;
            let measured = Instant::now();
            loop {
                let rate = flops(size) / products.seconds(row);
                if rate > best.flops_per_second {
                    best.flops_per_second = rate;
                    best.size = size;
                }
                if measured.elapsed() >= share {
                    break;
                }
            }
            if seconds > QUICK_SECONDS {
                break;
            }
        }
        match best.flops_per_second > 0.0 {
            true => Ok(best),
            false => Err(format!("could not multiply matrices in {precision}")),
        }
    })
}

/// FLOPs of the product of two square matrices.
fn flops(size: usize) -> f64 {
    2.0 * (size as f64).powi(3)
}

/// Products of two square matrices of random numbers.
struct Products {
    x: Tensor<2>,
    weight: Tensor<2>,
}

impl Products {
    fn new(device: &Device, size: usize) -> Self {
        let random = || Tensor::<2>::random([size, size], Distribution::Uniform(-1.0, 1.0), device);
        Self {
            x: random(),
            weight: random(),
        }
    }

    /// Seconds of one of so many products in a row, the way to the device and back among them; without end where the device failed.
    fn seconds(&self, count: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..count {
            drop(ligo_ops::linear(self.x.clone(), self.weight.clone(), None));
        }
        // Reading a number would not do: burn hands data out before they are there, and waits only when somebody looks at them.
        let waited = self.x.device().sync();
        let seconds = start.elapsed().as_secs_f64() / count as f64;
        if waited.is_ok() { seconds } else { f64::INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_multiplies_at_a_rate_that_is_no_accident() {
        let found = by_precision(&Device::flex(), Precision::F32).unwrap_or_else(|fault| panic!("{fault}"));
        // A single core of any processor since 2010 does a GFLOP/s, no machine with this backend does a PFLOP/s.
        assert!((1e9..1e15).contains(&found.flops_per_second), "{found:?}");
        assert_eq!(found.precision, Precision::F32);
        assert_eq!(ligo_ops::precision::current(), Precision::F32);
    }
}
