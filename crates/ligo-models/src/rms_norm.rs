use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::skeleton::vacant;

/// Root-mean-square normalization over the last dimension (Zhang & Sennrich, arXiv:1910.07467).
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// Gain, `[D]`.
    pub weight: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
}

impl RmsNorm {
    pub(crate) fn skeleton(width: usize, eps: f64, device: &Device) -> Self {
        Self {
            weight: vacant([width], device),
            eps,
        }
    }

    /// What is added to the mean of squares.
    pub(crate) fn eps(&self) -> f64 {
        self.eps
    }

    /// `x / √(mean(x²) + ε) · weight`.
    ///
    /// # Shapes
    /// `x [.., D]`; the result has the same shape.
    pub fn forward<const N: usize>(&self, x: Tensor<N>) -> Tensor<N> {
        ligo_ops::rms_norm(x, self.weight.val(), self.eps)
    }
}
