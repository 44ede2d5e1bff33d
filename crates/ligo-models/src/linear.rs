use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::HiddenAct;
use ligo_ops::{Dense, Dropout};

use crate::activation::{activate, gelu_kind};
use crate::skeleton::vacant;
use crate::split;

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

    /// `residual + dropout(x Wᵀ + b)`: the end of a branch.
    ///
    /// # Shapes
    /// `x [.., in]`; `residual` and the result `[.., out]`.
    pub fn forward_add<const D: usize>(
        &self,
        x: Tensor<D>,
        dropout: Option<Dropout>,
        residual: Tensor<D>,
    ) -> Tensor<D> {
        if split::ranks().is_some() {
            return residual + ligo_ops::dropout(self.join(x), dropout);
        }
        ligo_ops::linear_add(x, self.dense(), dropout, residual)
    }

    /// `x Wᵀ + b` where `x` are heads or neurons, of which several ranks may have some each: what all of them come to. Each rank holds the columns of `W`
    /// that read its own, and all of `b`.
    ///
    /// # Shapes
    /// `x [.., in]`; the result is `[.., out]`.
    pub(crate) fn join<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if split::ranks().is_none() {
            return self.forward(x);
        }
        let y = split::leave(ligo_ops::linear(x, self.weight.val(), None));
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze::<D>(),
            None => y,
        }
    }

    /// `activation(x Wᵀ + b)`.
    ///
    /// # Shapes
    /// `x [.., in]`; the result is `[.., out]`.
    pub fn forward_activated<const D: usize>(&self, x: Tensor<D>, activation: HiddenAct) -> Tensor<D> {
        match gelu_kind(activation) {
            Some(kind) => ligo_ops::linear_gelu(x, self.dense(), kind),
            None => activate(self.forward(x), activation),
        }
    }

    /// Its parameters.
    pub(crate) fn dense(&self) -> Dense {
        Dense {
            weight: self.weight.val(),
            bias: self.bias.as_ref().map(Param::val),
        }
    }
}
