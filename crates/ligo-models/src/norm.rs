use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_ops::{Dropout, Norm};

use crate::Linear;
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

    /// [`LayerNorm::forward`] with dropout of the result.
    ///
    /// # Shapes
    /// `x [.., D]`; the result has the same shape.
    pub fn forward_dropout<const N: usize>(&self, x: Tensor<N>, dropout: Option<Dropout>) -> Tensor<N> {
        ligo_ops::layer_norm_dropout(x, self.weight.val(), self.bias.val(), self.eps, dropout)
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
        let norm = Norm {
            weight: self.weight.val(),
            bias: self.bias.val(),
            eps: self.eps,
        };
        ligo_ops::linear_add_norm(x, layer.dense(), dropout, residual, norm)
    }
}
