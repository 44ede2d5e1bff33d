use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::skeleton::vacant;

/// Layer normalisation over the last dimension (Ba et al., arXiv:1607.06450).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Gain, `[D]`; `gamma` in older files.
    pub weight: Param<Tensor<1>>,
    /// Shift, `[D]`; `beta` in older files.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn skeleton(width: usize, eps: f64, device: &Device) -> Self {
        Self {
            weight: vacant([width], device),
            bias: vacant([width], device),
            eps,
        }
    }

    /// `(x - mean) / √(var + ε) · weight + bias`.
    ///
    /// # Shapes
    /// `x [.., D]`; the result has the same shape.
    pub fn forward<const N: usize>(&self, x: Tensor<N>) -> Tensor<N> {
        ligo_ops::layer_norm(x, self.weight.val(), self.bias.val(), self.eps)
    }

    /// `LayerNorm(x + residual)`, in one pass over memory where the device can.
    ///
    /// # Shapes
    /// `x` and `residual [.., D]`; the result has the same shape.
    pub fn forward_residual<const N: usize>(&self, x: Tensor<N>, residual: Tensor<N>) -> Tensor<N> {
        ligo_ops::add_layer_norm(x, residual, self.weight.val(), self.bias.val(), self.eps)
    }
}
