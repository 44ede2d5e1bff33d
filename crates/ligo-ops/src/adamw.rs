//! The AdamW update of one flat parameter.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::{
    AdamwStep, composed, graph,
    kernels::optimizer::{self, Factors},
};

impl From<&AdamwStep> for Factors {
    fn from(step: &AdamwStep) -> Self {
        let (correction1, correction2) = step.bias_corrections();
        Self {
            grad: step.grad_scale as f32,
            keep: (1.0 - step.lr * step.weight_decay) as f32,
            beta1: step.beta1 as f32,
            rest1: (1.0 - step.beta1) as f32,
            beta2: step.beta2 as f32,
            rest2: (1.0 - step.beta2) as f32,
            root: (1.0 / correction2.sqrt()) as f32,
            eps: step.eps as f32,
            rate: (step.lr / correction1) as f32,
        }
    }
}

/// One AdamW update (Loshchilov & Hutter, arXiv:1711.05101) in PyTorch's order; returns `(param, m, v)`.
///
/// ```text
/// g = grad_scale · grad
/// p = p · (1 - lr · weight_decay)
/// m = β₁ m + (1 - β₁) g
/// v = β₂ v + (1 - β₂) g²
/// p = p - lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + eps)
/// ```
///
/// On the CPU the three tensors are changed in place when nothing else holds them, and moments below 1e-30 become 0. Nothing is recorded for
/// differentiation.
///
/// # Shapes
/// All four tensors have the same length.
///
/// # Panics
/// When the lengths differ.
pub fn adamw(
    param: Tensor<1>,
    grad: Tensor<1>,
    m: Tensor<1>,
    v: Tensor<1>,
    step: &AdamwStep,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let [param, grad, m, v] = [param, grad, m, v].map(Tensor::without_autodiff);
    if ![&param, &grad, &m, &v].into_iter().all(graph::is_fast) {
        return composed::adamw(param, grad, m, v, step);
    }
    let length = param.dims();
    assert!(
        [&grad, &m, &v].into_iter().all(|x| x.dims() == length),
        "adamw needs four tensors of one length"
    );
    let grad = graph::contiguous(graph::values(grad));
    let [mut param, mut m, mut v] = [param, m, v].map(|x| writable(graph::values(x)));
    if let (Some(param), Some(m), Some(v)) = (
        graph::slice_mut(&mut param),
        graph::slice_mut(&mut m),
        graph::slice_mut(&mut v),
    ) {
        optimizer::adamw(param, graph::slice(&grad), m, v, Factors::from(step));
    }
    (graph::untracked(param), graph::untracked(m), graph::untracked(v))
}

/// The tensor itself when nothing else holds it, else a copy.
fn writable(mut x: FlexTensor) -> FlexTensor {
    if graph::slice_mut(&mut x).is_some() {
        return x;
    }
    let shape = x.layout().shape().clone();
    let x = graph::contiguous(x);
    graph::tensor(graph::slice(&x).to_vec(), shape)
}
