//! Sums over whole tensors.

use burn::tensor::Tensor;

use crate::{graph, kernels::optimizer};

/// `Σ x²` as a host number, for clipping by the global norm; not finite when any element is NaN or infinite.
///
/// Accumulated in `f64` on the CPU, in the device's own number type elsewhere.
pub fn sum_of_squares(x: &Tensor<1>) -> f64 {
    let x = x.clone().without_autodiff();
    if graph::is_fast(&x) {
        let x = graph::contiguous(graph::values(x));
        return optimizer::sum_of_squares(graph::slice(&x));
    }
    (x.clone() * x).sum().into_scalar::<f64>()
}
