use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::skeleton::vacant;

/// `y = x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `W`, `[out, in]` as in PyTorch and Hugging Face files.
    pub weight: Param<Tensor<2>>,
    /// `b`, `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    pub(crate) fn skeleton(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self {
            weight: vacant([outputs, inputs], device),
            bias: vacant([outputs], device),
        }
    }

    /// `y = x Wᵀ + b`.
    ///
    /// # Shapes
    /// `x [.., in]`; the result is `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ligo_ops::linear(x, self.weight.val(), Some(self.bias.val()))
    }
}
