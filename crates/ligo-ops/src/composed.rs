//! Every operation written with burn's own tensor operations.
//!
//! These bodies serve all devices and number types that have no fast path (GPUs, `f64` for gradient checks) and are what the tests compare
//! the fast path with. burn differentiates them.

use burn::tensor::{DType, Int, Tensor, TensorData, activation};

#[cfg(feature = "cube")]
use crate::cube;
use crate::{
    AdamwStep, AttentionOptions, Dropout, GeluKind, HeadMix, RotaryAngles,
    kernels::{attention::Reach, swiglu::Gate},
    traffic,
};

/// The longest sum that one thread of a GPU goes through.
pub(crate) const LONGEST_SUM: usize = 8192;

/// Further apart no two tokens are, as 32 bits count.
const MOST_PLACES: usize = 1 << 30;

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
    let centered = x.clone() - x.mean_dim(D - 1);
    let variance = (centered.clone() * centered.clone()).mean_dim(D - 1);
    let normalized = centered / variance.add_scalar(eps).sqrt();
    normalized * weight.unsqueeze::<D>() + bias.unsqueeze::<D>()
}

pub(crate) fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Tensor<D> {
    let mean_square = (x.clone() * x.clone()).mean_dim(D - 1);
    x / mean_square.add_scalar(eps).sqrt() * weight.unsqueeze::<D>()
}

pub(crate) fn rotary(x: Tensor<3>, head: usize, angles: &RotaryAngles) -> Tensor<3> {
    let [batch, length, width] = x.dims();
    let half = angles.half();
    let dtype = x.dtype();
    let [cos, sin] = angles.tensors().map(|table| {
        let [rows, _, _] = table.dims();
        table.cast(dtype).reshape([rows, length, 1, half])
    });
    let x = x.reshape([batch, length, width / head, head]);
    let (a, b) = (x.clone().narrow(3, 0, half), x.clone().narrow(3, half, half));
    let first = a.clone() * cos.clone() - b.clone() * sin.clone();
    let second = b * cos + a * sin;
    let mut parts = vec![first, second];
    if head > 2 * half {
        parts.push(x.narrow(3, 2 * half, head - 2 * half));
    }
    Tensor::cat(parts, 3).reshape([batch, length, width])
}

pub(crate) fn gated<const D: usize>(gate: Tensor<D>, up: Tensor<D>, kind: Gate) -> Tensor<D> {
    let gate = match kind {
        Gate::Silu => activation::silu(gate),
        Gate::Gelu => gelu(gate, GeluKind::Tanh),
    };
    gate * up
}

/// The mask is made on the host: it has to be the same function of (seed, index) on every device.
pub(crate) fn dropout<const D: usize>(x: Tensor<D>, dropout: &Dropout) -> Tensor<D> {
    let shape = x.shape();
    let mask = dropout.factors(shape.num_elements());
    let data = TensorData::new(mask, shape).convert_dtype(x.dtype());
    traffic::uploading(&data);
    let mask = Tensor::<D>::from_data(data, (&x.device(), x.dtype()));
    x * mask
}

/// `groups`: the number of key-value heads, which divides that of the query heads.
pub(crate) fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    groups: usize,
    options: AttentionOptions,
) -> Tensor<3> {
    let [batch, length, width] = q.dims();
    let heads = options.num_heads;
    let (head, times) = (width / heads, heads / groups);
    let (device, dtype) = (q.device(), q.dtype());
    let q = q.reshape([batch, length, heads, head]).swap_dims(1, 2);
    // Each key-value head stands once for every query head that reads it.
    let spread = |t: Tensor<3>| {
        let t = t.reshape([batch, length, groups, head]).swap_dims(1, 2);
        if times == 1 {
            return t;
        }
        t.unsqueeze_dim::<5>(2)
            .expand([batch, groups, times, length, head])
            .reshape([batch, heads, length, head])
    };
    let scale = options.scale.unwrap_or_else(|| 1.0 / (head as f64).sqrt());
    let mut scores = q.mul_scalar(scale).matmul(spread(k).swap_dims(2, 3));
    if let Some(cap) = options.soft_cap {
        scores = scores.div_scalar(cap).tanh().mul_scalar(cap);
    }

    let reach = options.window.map(|window| Reach::of(window, options.causal));
    let near = reach.map(|reach| {
        let positions = options.positions.unwrap_or_else(|| {
            let places: Vec<i64> = (0..length as i64).collect();
            let places = Tensor::<1, Int>::from_data(TensorData::new(places, [length]), &device);
            places.unsqueeze::<2>().expand([batch, length])
        });
        let shape = [batch, 1, length, length];
        let queries = positions.clone().reshape([batch, 1, length, 1]).expand(shape);
        let keys = positions.reshape([batch, 1, 1, length]).expand(shape);
        let far = |n: usize| i64::try_from(n.min(MOST_PLACES)).unwrap_or_default();
        let back = queries - keys;
        let seen =
            back.clone().lower_equal_elem(far(reach.back)).int() * back.greater_equal_elem(-far(reach.ahead)).int();
        seen.float().cast(dtype)
    });
    let padding = options.key_padding_mask.map(|mask| {
        let visible = mask.cast(dtype).greater_elem(0.5).float().cast(dtype);
        visible.reshape([batch, 1, 1, length])
    });
    let own = options.documents.map(|documents| {
        let shape = [batch, 1, length, length];
        let queries = documents.clone().reshape([batch, 1, length, 1]).expand(shape);
        let keys = documents.reshape([batch, 1, 1, length]).expand(shape);
        queries.equal(keys).float().cast(dtype)
    });
    let earlier = options.causal.then(|| {
        let lower = (0..length * length)
            .map(|i| f32::from(i % length <= i / length))
            .collect::<Vec<_>>();
        let data = TensorData::new(lower, [1, 1, length, length]).convert_dtype(dtype);
        traffic::uploading(&data);
        Tensor::<4>::from_data(data, (&device, dtype))
    });
    let allowed = [padding, own, earlier, near].into_iter().flatten().reduce(|a, b| a * b);
    let mut weights = match allowed {
        None => activation::softmax(scores, 3),
        Some(allowed) => {
            // A finite floor instead of -inf: a row without any allowed key then gives zeros, not NaN.
            let floor = if dtype == DType::F16 { -6.0e4 } else { -1.0e30 };
            let allowed = allowed.expand([batch, heads, length, length]);
            let hidden = allowed.clone().lower_elem(0.5);
            activation::softmax(scores.mask_fill(hidden, floor), 3) * allowed
        }
    };
    if let Some(drop) = options.dropout.filter(|drop| drop.probability > 0.0) {
        weights = dropout(weights, &drop);
    }
    weights
        .matmul(spread(v))
        .swap_dims(1, 2)
        .reshape([batch, length, width])
}

pub(crate) fn talking_heads(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    before: HeadMix,
    after: HeadMix,
    drop: Option<Dropout>,
) -> Tensor<3> {
    let [batch, length, width] = q.dims();
    let [heads] = before.bias.dims();
    let head = width / heads;
    let split = |x: Tensor<3>| x.reshape([batch, length, heads, head]).swap_dims(1, 2);
    let mix = |x: Tensor<4>, by: HeadMix| {
        let x = x.reshape([batch, heads, length * length]);
        let mixed = by.weight.unsqueeze::<3>().matmul(x) + by.bias.reshape([1, heads, 1]);
        mixed.reshape([batch, heads, length, length])
    };
    let scores = split(q)
        .mul_scalar(1.0 / (head as f64).sqrt())
        .matmul(split(k).swap_dims(2, 3));
    let mut weights = mix(activation::softmax(mix(scores, before), 3), after);
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

pub(crate) fn distillation(
    student: Tensor<2>,
    teacher: Tensor<2>,
    labels: Option<Tensor<1, Int>>,
    temperature: f64,
) -> Tensor<1> {
    let dtype = student.dtype();
    let ([rows, _], device) = (student.dims(), student.device());
    let teacher = teacher.without_autodiff().cast(dtype).div_scalar(temperature);
    let log_student = activation::log_softmax(student.div_scalar(temperature), 1);
    let log_teacher = activation::log_softmax(teacher, 1);
    let terms = log_teacher.clone().exp() * (log_teacher - log_student);
    let divergence = terms.sum_dim(1).squeeze_dim::<1>(1);
    let counted = match labels {
        None => Tensor::<1>::ones([rows], (&device, dtype)),
        Some(labels) => labels.greater_equal_elem(0).float().cast(dtype),
    };
    let count = counted.clone().sum().clamp_min(1.0);
    (divergence * counted).sum() / count * (temperature * temperature)
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

pub(crate) fn stack(tensors: Vec<Tensor<1>>) -> Tensor<2> {
    let rows = tensors.into_iter().map(|x| x.unsqueeze::<2>());
    Tensor::cat(rows.collect(), 0)
}

/// A product outside of any graph, by burn; on a GPU in the precision that holds.
pub(crate) fn multiply<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if cube::is_native(&a) && cube::is_native(&b) {
        return cube::product::tensor_product(a, b);
    }
    a.matmul(b)
}

pub(crate) fn mix(weights: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
    multiply(weights, x)
}

pub(crate) fn mix_backward(
    weights: Tensor<2>,
    x: Option<Tensor<2>>,
    dy: Tensor<2>,
    wants_dx: bool,
) -> (Option<Tensor<2>>, Option<Tensor<2>>) {
    // There are few weights, so that many threads have to share the sum for each.
    const LONGEST_PART: usize = 1024;
    let dw = x.map(|x| {
        let ([rows, len], [sources, _]) = (dy.dims(), x.dims());
        let Some((parts, part)) = cut(len, LONGEST_PART) else {
            return multiply(dy.clone(), x.transpose());
        };
        let split = |x: Tensor<2>, rows: usize| x.reshape([rows, parts, part]).swap_dims(0, 1);
        product_sum(split(dy.clone(), rows), split(x, sources).swap_dims(1, 2))
    });
    (dw, wants_dx.then(|| multiply(weights.transpose(), dy)))
}

pub(crate) fn product_sum(a: Tensor<3>, b: Tensor<3>) -> Tensor<2> {
    let ([left, m, k], [right, _, n]) = (a.dims(), b.dims());
    match cut(k, LONGEST_SUM) {
        Some((parts, part)) if parts > 1 => {
            let a = a.reshape([left, m, parts, part]).swap_dims(1, 2);
            let y = multiply(a, b.reshape([right, parts, part, n]));
            add_up(y.reshape([left.max(right) * parts, m, n]))
        }
        _ => add_up(multiply(a, b)),
    }
}

pub(crate) fn transposed_product(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let ([k, m], [_, n]) = (a.dims(), b.dims());
    match cut(k, LONGEST_SUM) {
        Some((1, _)) => multiply(a.transpose(), b),
        Some((parts, part)) => {
            let a = a.reshape([parts, part, m]).swap_dims(1, 2);
            product_sum(a, b.reshape([parts, part, n]))
        }
        None => {
            let (most, rest) = (k - k % LONGEST_SUM, k % LONGEST_SUM);
            let part = |start, len| (a.clone().narrow(0, start, len), b.clone().narrow(0, start, len));
            let [first, last] = [part(0, most), part(most, rest)].map(|(a, b)| transposed_product(a, b));
            first + last
        }
    }
}

/// `Σ_l x[l]`.
fn add_up(x: Tensor<3>) -> Tensor<2> {
    let [count, m, n] = x.dims();
    let x = match cut(count, LONGEST_SUM) {
        Some((parts, part)) if parts > 1 => x.reshape([parts, part, m * n]).sum_dim(1).reshape([parts, m, n]),
        _ => x,
    };
    if x.dims()[0] == 1 {
        return x.reshape([m, n]);
    }
    x.sum_dim(0).reshape([m, n])
}

/// Cuts a length into equal parts of at most `longest`: their number and their length. `None` where no divisor gives parts of about that
/// size.
fn cut(len: usize, longest: usize) -> Option<(usize, usize)> {
    let fewest = len.div_ceil(longest).max(1);
    let parts = (fewest..=fewest * 64).find(|parts| len.is_multiple_of(*parts));
    parts.map(|parts| (parts, len / parts))
}
