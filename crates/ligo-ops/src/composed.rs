//! Every operation written with burn's own tensor operations.
//!
//! These bodies serve all devices and number types that have no fast path (GPUs, `f64` for gradient checks) and are what the tests compare
//! the fast path with. burn differentiates them.

use burn::tensor::{DType, Int, Tensor, TensorData, activation};

use crate::{AdamwStep, Dropout, GeluKind};

pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let mut dims = x.dims();
    let [out, inner] = weight.dims();
    let rows = dims[..D - 1].iter().product::<usize>();
    let mut y = x.reshape([rows, inner]).matmul(weight.transpose());
    if let Some(bias) = bias {
        y = y + bias.unsqueeze::<2>();
    }
    dims[D - 1] = out;
    y.reshape(dims)
}

pub(crate) fn gelu<const D: usize>(x: Tensor<D>, kind: GeluKind) -> Tensor<D> {
    let inner = match kind {
        GeluKind::Erf => x.clone().mul_scalar(std::f64::consts::FRAC_1_SQRT_2).erf(),
        GeluKind::Tanh => {
            let cube = x.clone() * x.clone() * x.clone();
            (x.clone() + cube.mul_scalar(0.044_715))
                .mul_scalar((2.0 / std::f64::consts::PI).sqrt())
                .tanh()
        }
    };
    x.mul_scalar(0.5) * inner.add_scalar(1.0)
}

pub(crate) fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = (centred.clone() * centred.clone()).mean_dim(D - 1);
    let normalised = centred / variance.add_scalar(eps).sqrt();
    normalised * weight.unsqueeze::<D>() + bias.unsqueeze::<D>()
}

/// The mask is made on the host: it has to be the same function of (seed, index) on every device.
pub(crate) fn dropout<const D: usize>(x: Tensor<D>, dropout: &Dropout) -> Tensor<D> {
    let shape = x.shape();
    let mask = dropout.factors(shape.num_elements());
    let data = TensorData::new(mask, shape).convert_dtype(x.dtype());
    let mask = Tensor::<D>::from_data(data, (&x.device(), x.dtype()));
    x * mask
}

pub(crate) fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    num_heads: usize,
    key_padding_mask: Option<Tensor<2>>,
    causal: bool,
    drop: Option<Dropout>,
) -> Tensor<3> {
    let [batch, length, width] = q.dims();
    let head = width / num_heads;
    let device = q.device();
    let dtype = q.dtype();
    let split = |t: Tensor<3>| t.reshape([batch, length, num_heads, head]).swap_dims(1, 2);
    let scores = split(q)
        .mul_scalar(1.0 / (head as f64).sqrt())
        .matmul(split(k).swap_dims(2, 3));

    let mut allowed: Option<Tensor<4>> = key_padding_mask.map(|mask| {
        mask.cast(dtype)
            .greater_elem(0.5)
            .float()
            .cast(dtype)
            .reshape([batch, 1, 1, length])
    });
    if causal {
        let lower = (0..length * length)
            .map(|i| f32::from(i % length <= i / length))
            .collect::<Vec<_>>();
        let data = TensorData::new(lower, [1, 1, length, length]).convert_dtype(dtype);
        let lower = Tensor::<4>::from_data(data, (&device, dtype));
        allowed = Some(match allowed {
            Some(mask) => mask * lower,
            None => lower,
        });
    }
    let mut weights = match allowed {
        None => activation::softmax(scores, 3),
        Some(allowed) => {
            // A finite floor instead of -inf: a row without any allowed key then gives zeros, not NaN.
            let floor = if dtype == DType::F16 { -6.0e4 } else { -1.0e30 };
            let allowed = allowed.expand([batch, num_heads, length, length]);
            let hidden = allowed.clone().lower_elem(0.5);
            activation::softmax(scores.mask_fill(hidden, floor), 3) * allowed
        }
    };
    if let Some(drop) = drop {
        weights = dropout(weights, &drop);
    }
    weights.matmul(split(v)).swap_dims(1, 2).reshape([batch, length, width])
}

pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let dtype = logits.dtype();
    let counted = targets.clone().greater_equal_elem(0).float().cast(dtype);
    let log_p = activation::log_softmax(logits, 1);
    let picked = log_p
        .gather(1, targets.clamp_min(0).unsqueeze_dim::<2>(1))
        .squeeze_dim::<1>(1);
    let count = counted.clone().sum().clamp_min(1.0);
    -(picked * counted).sum() / count
}

pub(crate) fn embedding(weight: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    let [batch, length] = ids.dims();
    let width = weight.dims()[1];
    weight
        .select(0, ids.reshape([batch * length]))
        .reshape([batch, length, width])
}

pub(crate) fn adamw(
    param: Tensor<1>,
    grad: Tensor<1>,
    m: Tensor<1>,
    v: Tensor<1>,
    step: &AdamwStep,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let grad = grad.mul_scalar(step.grad_scale);
    let param = param.mul_scalar(1.0 - step.lr * step.weight_decay);
    let m = m.mul_scalar(step.beta1) + grad.clone().mul_scalar(1.0 - step.beta1);
    let v = v.mul_scalar(step.beta2) + (grad.clone() * grad).mul_scalar(1.0 - step.beta2);
    let (correction1, correction2) = step.bias_corrections();
    let denominator = v.clone().sqrt().div_scalar(correction2.sqrt()).add_scalar(step.eps);
    let param = param - (m.clone() / denominator).mul_scalar(step.lr / correction1);
    (param, m, v)
}
