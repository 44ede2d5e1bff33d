use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::skeleton::vacant;

/// `y = x Wᵀ + b`, or without `b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `W`, `[out, in]` as in PyTorch and Hugging Face files.
    pub weight: Param<Tensor<2>>,
    /// `b`, `[out]`, where the layer has one.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// With a bias.
    pub(crate) fn skeleton(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self::skeleton_with(inputs, outputs, true, device)
    }

    pub(crate) fn skeleton_with(inputs: usize, outputs: usize, bias: bool, device: &Device) -> Self {
        Self {
            weight: vacant([outputs, inputs], device),
            bias: bias.then(|| vacant([outputs], device)),
        }
    }

    /// `y = x Wᵀ + b`.
    ///
    /// # Shapes
    /// `x [.., in]`; the result is `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ligo_ops::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}
