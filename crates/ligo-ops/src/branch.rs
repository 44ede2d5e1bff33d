//! Linear layers together with what surrounds them in a transformer. On the CPU these are compositions of the single operations; on a GPU
//! bias, activation, dropout, residual and normalization are part of one launch behind the product.

use burn::tensor::Tensor;

#[cfg(feature = "cube")]
use crate::cube;
use crate::{Dropout, GeluKind, add_layer_norm, dropout, gelu, linear};

/// A linear layer: `x·Wᵀ + b`.
///
/// # Shapes
/// `weight [out, in]`, `bias [out]`.
#[derive(Clone, Debug)]
pub struct Dense {
    /// The matrix.
    pub weight: Tensor<2>,
    /// What is added to each row, where there is something.
    pub bias: Option<Tensor<1>>,
}

impl Dense {
    #[cfg(feature = "cube")]
    fn is_native(&self) -> bool {
        cube::is_native(&self.weight) && self.bias.as_ref().is_none_or(cube::is_native)
    }
}

/// `gelu(x·Wᵀ + b)`: the first half of a feed-forward network.
///
/// # Shapes
/// `x [.., in]`; the result is `[.., out]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear_gelu<const D: usize>(x: Tensor<D>, dense: Dense, kind: GeluKind) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if cube::is_native(&x)
        && dense.is_native()
        && let Some(bias) = dense.bias.clone()
    {
        return cube::branch::linear_gelu(x, dense.weight, bias, kind);
    }
    gelu(linear(x, dense.weight, dense.bias), kind)
}

/// `residual + dropout(x·Wᵀ + b)`: the end of a branch of a pre-norm block.
///
/// # Shapes
/// `x [.., in]`; `residual` and the result `[.., out]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear_add<const D: usize>(x: Tensor<D>, dense: Dense, drop: Option<Dropout>, residual: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if cube::is_native(&x) && cube::is_native(&residual) && dense.is_native() {
        return cube::branch::linear_add(x, dense, drop, residual);
    }
    residual + dropout(linear(x, dense.weight, dense.bias), drop)
}

/// A normalization's parameters.
///
/// # Shapes
/// `weight` and `bias` `[n]`.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Gains.
    pub weight: Tensor<1>,
    /// What is added to them.
    pub bias: Tensor<1>,
    /// Added to the variance.
    pub eps: f64,
}

/// `LayerNorm(residual + dropout(x·Wᵀ + b))`: the end of a branch of a post-norm block.
///
/// # Shapes
/// `x [.., in]`; `residual` and the result `[.., out]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear_add_norm<const D: usize>(
    x: Tensor<D>,
    dense: Dense,
    drop: Option<Dropout>,
    residual: Tensor<D>,
    norm: Norm,
) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if cube::is_native(&x)
        && cube::is_native(&residual)
        && dense.is_native()
        && [&norm.weight, &norm.bias].into_iter().all(cube::is_native)
        && let Some(bias) = dense.bias.clone()
    {
        return cube::branch::linear_add_norm(x, dense.weight, bias, drop, residual, norm);
    }
    let x = dropout(linear(x, dense.weight, dense.bias), drop);
    add_layer_norm(x, residual, norm.weight, norm.bias, norm.eps)
}

/// `residual + dropout(γ ∘ (x·Wᵀ + b))`: the end of a branch with LayerScale (Touvron et al., arXiv:2103.17239).
///
/// # Shapes
/// `x [.., in]`, `gamma [out]`; `residual` and the result `[.., out]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear_scale_add<const D: usize>(
    x: Tensor<D>,
    dense: Dense,
    gamma: Tensor<1>,
    drop: Option<Dropout>,
    residual: Tensor<D>,
) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if cube::is_native(&x)
        && cube::is_native(&residual)
        && cube::is_native(&gamma)
        && dense.is_native()
        && let Some(bias) = dense.bias.clone()
    {
        return cube::scale::linear_scale_add(x, dense.weight, bias, gamma, drop, residual);
    }
    residual + dropout(linear_scale(x, dense, gamma), drop)
}

/// `γ ∘ (x·Wᵀ + b)`, computed as `x·(diag(γ)·W)ᵀ + γ ∘ b`: one pass over a matrix instead of one over every token.
///
/// # Shapes
/// `x [.., in]`, `gamma [out]`; the result is `[.., out]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear_scale<const D: usize>(x: Tensor<D>, dense: Dense, gamma: Tensor<1>) -> Tensor<D> {
    let weight = dense.weight * gamma.clone().unsqueeze_dim::<2>(1);
    linear(x, weight, dense.bias.map(|bias| bias * gamma))
}
