use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_ops::{Dropout, Norm};

use crate::skeleton::vacant;
use crate::{Linear, split};

/// Layer normalization over the last dimension (Ba et al., arXiv:1607.06450).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Gain, `[D]`; `gamma` in older files.
    pub weight: Param<Tensor<1>>,
    /// Shift, `[D]`, where there is one; `beta` in older files.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    eps: f64,
}

impl LayerNorm {
    /// With a shift.
    pub(crate) fn skeleton(width: usize, eps: f64, device: &Device) -> Self {
        Self::skeleton_with(width, eps, true, device)
    }

    pub(crate) fn skeleton_with(width: usize, eps: f64, shift: bool, device: &Device) -> Self {
        Self {
            weight: vacant([width], device),
            bias: shift.then(|| vacant([width], device)),
            eps,
        }
    }

    /// The shift; zeros where there is none.
    pub(crate) fn shift(&self) -> Tensor<1> {
        let none = || self.weight.val().without_autodiff().zeros_like();
        self.bias.as_ref().map_or_else(none, Param::val)
    }

    /// `(x - mean) / √(var + ε) · weight + bias`.
    ///
    /// # Shapes
    /// `x [.., D]`; the result has the same shape.
    pub fn forward<const N: usize>(&self, x: Tensor<N>) -> Tensor<N> {
        ligo_ops::layer_norm(x, self.weight.val(), self.shift(), self.eps)
    }

    /// [`LayerNorm::forward`] with dropout of the result.
    ///
    /// # Shapes
    /// `x [.., D]`; the result has the same shape.
    pub fn forward_dropout<const N: usize>(&self, x: Tensor<N>, dropout: Option<Dropout>) -> Tensor<N> {
        ligo_ops::layer_norm_dropout(x, self.weight.val(), self.shift(), self.eps, dropout)
    }

    /// `LayerNorm(residual + dropout(layer(x)))`: the end of a branch of a post-norm block.
    ///
    /// # Shapes
    /// `x [.., in]`; `residual` and the result `[.., D]`.
    pub fn forward_branch<const N: usize>(
        &self,
        layer: &Linear,
        x: Tensor<N>,
        dropout: Option<Dropout>,
        residual: Tensor<N>,
    ) -> Tensor<N> {
        if split::ranks().is_some() {
            let given = ligo_ops::dropout(layer.join(x), dropout);
            return ligo_ops::add_layer_norm(given, residual, self.weight.val(), self.shift(), self.eps);
        }
        let norm = Norm {
            weight: self.weight.val(),
            bias: self.shift(),
            eps: self.eps,
        };
        ligo_ops::linear_add_norm(x, layer.dense(), dropout, residual, norm)
    }
}
