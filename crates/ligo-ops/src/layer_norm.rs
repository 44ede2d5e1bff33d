//! Layer normalization, alone and fused with the residual addition before it.

use burn::backend::{
    Flex,
    autodiff::{
        checkpoint::base::Checkpointer,
        grads::Gradients,
        ops::{Backward, Ops},
    },
};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

#[cfg(feature = "cube")]
use crate::cube;
use crate::{
    Dropout, composed,
    graph::{self, Back, Part},
    kernels::norm::{self, Statistics},
    simd::filled,
};

/// `y = (x - mean) / √(var + eps) · weight + bias` over the last dimension, with the biased variance
/// (Ba et al., arXiv:1607.06450; PyTorch's `layer_norm`).
///
/// # Shapes
/// `x [.., n]`, `weight [n]`, `bias [n]`; the result has the shape of `x`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if cube::is_native(&x) && cube::is_native(&weight) && cube::is_native(&bias) {
        check_width(&x, &weight, &bias);
        return cube::layer_norm::layer_norm(x, weight, bias, eps, None);
    }
    if !(graph::is_fast(&x) && graph::is_fast(&weight) && graph::is_fast(&bias)) {
        return composed::layer_norm(x, weight, bias, eps);
    }
    check_width(&x, &weight, &bias);
    let (x, weight, bias) = (part(x), part(weight), part(bias));
    let [xs, ws, bs] = [&x, &weight, &bias].map(|part| graph::slice(&part.values));
    let mut statistics = Vec::new();
    let y = filled(xs.len(), |y| {
        statistics = norm::forward(xs, None, ws, bs, eps as f32, y)
    });
    let y = graph::tensor(y, x.values.layout().shape().clone());
    graph::record(Node, [x, weight, bias], y, |[x, weight, _]| (x, weight, statistics))
}

/// `dropout(LayerNorm(x))`, see [`layer_norm`] and [`dropout()`](crate::dropout()).
///
/// # Shapes
/// As [`layer_norm`].
///
/// # Panics
/// As [`layer_norm`].
pub fn layer_norm_dropout<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if cube::is_native(&x) && cube::is_native(&weight) && cube::is_native(&bias) {
        check_width(&x, &weight, &bias);
        return cube::layer_norm::layer_norm(x, weight, bias, eps, dropout);
    }
    crate::dropout(layer_norm(x, weight, bias, eps), dropout)
}

/// `LayerNorm(x + residual)`: the end of a post-LN block, in one pass over memory.
///
/// # Shapes
/// `x` and `residual` `[.., n]`, `weight [n]`, `bias [n]`; the result has the shape of `x`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn add_layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if [&x, &residual].into_iter().all(cube::is_native)
        && [&weight, &bias].into_iter().all(cube::is_native)
        && x.dims() == residual.dims()
    {
        check_width(&x, &weight, &bias);
        return cube::layer_norm::add_layer_norm(x, residual, weight, bias, eps);
    }
    let fast = graph::is_fast(&x) && graph::is_fast(&residual) && graph::is_fast(&weight) && graph::is_fast(&bias);
    if !fast || x.dims() != residual.dims() {
        return composed::layer_norm(x + residual, weight, bias, eps);
    }
    check_width(&x, &weight, &bias);
    let (x, residual, weight, bias) = (part(x), part(residual), part(weight), part(bias));
    let shape = x.values.layout().shape().clone();
    let [xs, rs, ws, bs] = [&x, &residual, &weight, &bias].map(|part| graph::slice(&part.values));
    let mut statistics = Vec::new();
    let mut sum = Vec::new();
    let y = filled(xs.len(), |y| {
        sum = filled(xs.len(), |sum| {
            statistics = norm::forward(xs, Some((rs, sum)), ws, bs, eps as f32, y);
        });
    });
    let y = graph::tensor(y, shape.clone());
    graph::record(Node, [x, weight, bias, residual], y, |[_, weight, _, _]| {
        (graph::tensor(sum, shape), weight, statistics)
    })
}

fn check_width<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, bias: &Tensor<1>) {
    let [width] = weight.dims();
    assert!(
        width > 0 && x.dims().last() == Some(&width) && bias.dims() == [width],
        "layer norm needs x [.., n], weight [n] and bias [n], found {:?}, {:?} and {:?}",
        x.dims(),
        weight.dims(),
        bias.dims()
    );
}

fn part<const D: usize>(x: Tensor<D>) -> Part<Flex> {
    let mut part = Part::new(x);
    part.values = graph::contiguous(part.values);
    part
}

#[derive(Debug)]
struct Node;

/// Inputs: the normalized tensor, weight, bias and, fused, the residual, whose gradient is that of the first.
impl<const N: usize> Backward<Flex, N> for Node {
    type State = (FlexTensor, FlexTensor, Statistics);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dy, (x, weight, statistics), mut back) = Back::open(ops, grads, check);
        let dy = graph::contiguous(dy);
        let [dys, xs, ws] = [&dy, &x, &weight].map(graph::slice);
        let norm::Gradients { dx, dweight, dbias } = norm::backward(dys, xs, &statistics, ws);
        let dx = graph::tensor(dx, x.layout().shape().clone());
        if N > 3 {
            back.give(3, dx.clone());
        }
        back.give(0, dx);
        let width = ws.len();
        back.give(1, graph::tensor(dweight, [width]));
        back.give(2, graph::tensor(dbias, [width]));
    }
}
