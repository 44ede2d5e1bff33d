//! The fast bodies against the composed ones, value by value and gradient by gradient.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attention;
mod decoders;
mod distillation;
#[cfg(feature = "wgpu")]
pub(crate) mod gpu;
#[cfg(feature = "wgpu")]
mod gpu_attention;
#[cfg(feature = "wgpu")]
mod gpu_windows;
mod layers;
mod optimizer;
mod talking_heads;
mod windows;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::{mask::hash, *};

/// Deterministic numbers in about -1.7 .. 1.7.
fn noise<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let count = shape.iter().product::<usize>() as u64;
    let values: Vec<f32> = (0..count)
        .map(|i| (hash(seed, i) as f32 / 4_294_967_296.0 - 0.5) * 3.4)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// Largest difference relative to the largest value.
fn assert_close(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}: number of values");
    let scale = expected.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f - e).abs() / scale;
        assert!(
            error <= tolerance,
            "{name}[{i}]: {f} instead of {e} (relative {error:e})"
        );
    }
}

/// How fast the pairs of a plain rotation turn: `theta^(-2i/d)`.
fn frequencies(head_dim: usize, theta: f64) -> Vec<f32> {
    let exponent = |i: usize| f64::from((2 * i) as f32 / head_dim as f32);
    (0..head_dim / 2)
        .map(|i| 1.0 / theta.powf(exponent(i)) as f32)
        .collect()
}

/// A loss that weights every output element differently, so that no gradient cancels.
fn loss<const D: usize>(y: Tensor<D>) -> Tensor<1> {
    let weights = noise(y.dims(), 99, &y.device()).cast(y.dtype());
    (y * weights).sum()
}

/// The options of the common case.
fn options(
    num_heads: usize,
    key_padding_mask: Option<Tensor<2>>,
    causal: bool,
    dropout: Option<Dropout>,
) -> AttentionOptions {
    AttentionOptions {
        num_heads,
        key_padding_mask,
        causal,
        dropout,
        ..AttentionOptions::default()
    }
}

/// Result and gradients of `op` on leaves of shape `[rows, width]` each, fast and composed.
fn compare<const N: usize, const D: usize>(
    name: &str,
    leaves: [Tensor<2>; N],
    fast: impl Fn([Tensor<2>; N]) -> Tensor<D>,
    composed: impl Fn([Tensor<2>; N]) -> Tensor<D>,
) {
    compare_within(1e-5, name, leaves, fast, composed);
}

/// The same to a tolerance, relative to the largest value.
fn compare_within<const N: usize, const D: usize>(
    tolerance: f64,
    name: &str,
    leaves: [Tensor<2>; N],
    fast: impl Fn([Tensor<2>; N]) -> Tensor<D>,
    composed: impl Fn([Tensor<2>; N]) -> Tensor<D>,
) {
    let run = |op: &dyn Fn([Tensor<2>; N]) -> Tensor<D>| {
        let leaves = leaves.clone().map(|leaf| leaf.detach().require_grad());
        let y = op(leaves.clone());
        let grads = loss(y.clone()).backward();
        let grads = leaves.map(|leaf| host(leaf.grad(&grads).unwrap()));
        (host(y), grads)
    };
    let (y, dy) = run(&fast);
    let (expected, dexpected) = run(&composed);
    assert_close(name, &y, &expected, tolerance);
    for (i, (d, e)) in dy.iter().zip(&dexpected).enumerate() {
        assert_close(&format!("gradient {i} of {name}"), d, e, tolerance);
    }
    // The same call twice gives the same bits.
    assert_eq!(run(&fast), (y, dy), "{name} is not reproducible");
}

/// Gradients of a loss of `f64` leaves against differences, at every third number.
fn assert_central_differences<const N: usize>(leaves: [Tensor<2>; N], loss: impl Fn([Tensor<2>; N]) -> Tensor<1>) {
    let d = device();
    let tracked = leaves.clone().map(|x| x.detach().require_grad());
    let grads = loss(tracked.clone()).backward();
    let grads = tracked.map(|x| host(x.grad(&grads).unwrap()));
    let h = 1e-5;
    for (leaf, grad) in grads.iter().enumerate() {
        for at in (0..grad.len()).step_by(3) {
            let moved = |by: f64| {
                let mut leaves = leaves.clone();
                let shape = leaves[leaf].dims();
                let mut values = host(leaves[leaf].clone());
                values[at] += by;
                let data = TensorData::new(values, shape);
                leaves[leaf] = Tensor::from_data(data, (&d, DType::F64));
                host(loss(leaves))[0]
            };
            let numeric = (moved(h) - moved(-h)) / (2.0 * h);
            let error = (numeric - grad[at]).abs() / grad[at].abs().max(1e-2);
            assert!(error < 1e-6, "leaf {leaf}[{at}]: {} instead of {numeric}", grad[at]);
        }
    }
}

#[test]
fn linear_equals_its_composition() {
    let d = device();
    for (rows, inner, outer) in [(1, 1, 1), (1, 600, 2), (5, 3, 7), (66, 33, 130), (300, 256, 129)] {
        let leaves = [
            noise([rows, inner], 1, &d),
            noise([outer, inner], 2, &d),
            noise([1, outer], 3, &d),
        ];
        compare(
            "linear",
            leaves.clone(),
            |[x, w, b]| linear(x, w, Some(b.squeeze_dim(0))),
            |[x, w, b]| composed::linear(x, w, Some(b.squeeze_dim(0))),
        );
        let [x, w, _] = leaves;
        compare(
            "linear without bias",
            [x, w],
            |[x, w]| linear::<3>(x.unsqueeze_dim(1), w, None),
            |[x, w]| composed::linear::<3>(x.unsqueeze_dim(1), w, None),
        );
    }
}

#[test]
fn gelu_equals_its_composition() {
    let x = noise([37, 61], 1, &device()).mul_scalar(3.0);
    for kind in [GeluKind::Erf, GeluKind::Tanh] {
        compare("gelu", [x.clone()], |[x]| gelu(x, kind), |[x]| composed::gelu(x, kind));
    }
}

#[test]
fn gelu_of_extreme_values_is_finite_and_keeps_nan() {
    let device = Device::flex();
    for kind in [GeluKind::Erf, GeluKind::Tanh] {
        let x = Tensor::<1>::from_data([-40.0f32, -0.0, 0.0, 40.0], &device);
        assert_close("gelu", &host(gelu(x, kind)), &[0.0, 0.0, 0.0, 40.0], 1e-30);
        let x = Tensor::<1>::from_data([1e12f32, -1e12, f32::NAN], &device);
        let y = host(gelu(x, kind));
        assert!(
            y[0] == f64::from(1e12f32) && y[1].abs() < 1e-20 && y[2].is_nan(),
            "{y:?}"
        );
    }
}

#[test]
fn layer_norm_equals_its_composition() {
    let d = device();
    for (rows, width) in [(1, 1), (3, 17), (130, 256), (33, 300)] {
        let leaves = [
            noise([rows, width], 1, &d).add_scalar(2.0),
            noise([1, width], 2, &d),
            noise([1, width], 3, &d),
            noise([rows, width], 4, &d),
        ];
        let [x, w, b, _] = leaves.clone();
        compare(
            "layer norm",
            [x, w, b],
            |[x, w, b]| layer_norm(x, w.squeeze_dim(0), b.squeeze_dim(0), 1e-5),
            |[x, w, b]| composed::layer_norm(x, w.squeeze_dim(0), b.squeeze_dim(0), 1e-5),
        );
        compare(
            "add and layer norm",
            leaves,
            |[x, w, b, r]| add_layer_norm(x, r, w.squeeze_dim(0), b.squeeze_dim(0), 1e-5),
            |[x, w, b, r]| composed::layer_norm(x + r, w.squeeze_dim(0), b.squeeze_dim(0), 1e-5),
        );
    }
}

#[test]
fn dropout_equals_its_composition_and_drops_the_asked_share() {
    let drop = Dropout {
        probability: 0.3,
        seed: 0x1234_5678_9ABC_DEF0,
    };
    let x = noise([129, 257], 1, &device());
    compare(
        "dropout",
        [x.clone()],
        |[x]| dropout(x, Some(drop)),
        |[x]| composed::dropout(x, &drop),
    );
    let zeros = host(dropout(x, Some(drop))).iter().filter(|x| **x == 0.0).count();
    let share = zeros as f64 / (129.0 * 257.0);
    assert!((share - 0.3).abs() < 0.01, "{share}");
}

#[test]
fn what_is_nothing_beside_one_is_zero_and_not_subnormal() {
    use crate::kernels::math::{exp, logistic, normal, share};
    for x in [0.0, -1.0, -49.9, -50.0] {
        assert_eq!(share::<false>(x), exp::<false>(x), "{x}");
    }
    for x in [-50.1, -87.0, -1e6, f32::NEG_INFINITY] {
        assert_eq!(share::<false>(x), 0.0, "{x}");
    }
    assert!(share::<false>(f32::NAN).is_nan() && logistic::<false>(f32::NAN).is_nan());
    for i in -400..=400 {
        let x = i as f32 * 0.5;
        let (cdf, pdf) = normal::<false>(x);
        for y in [logistic::<false>(x), cdf, pdf] {
            assert!(y == 0.0 || y > 1e-24, "{y} of {x}");
        }
    }
}

#[test]
fn cross_entropy_equals_its_composition() {
    let d = device();
    for (rows, classes) in [(1, 2), (9, 33), (70, 1000)] {
        let targets: Vec<i32> = (0..rows as i32)
            .map(|i| if i % 4 == 3 { -100 } else { i * 7 % classes as i32 })
            .collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [rows]), &d);
        compare(
            "cross-entropy",
            [noise([rows, classes], 1, &d).mul_scalar(4.0)],
            |[x]| cross_entropy(x, targets.clone()),
            |[x]| composed::cross_entropy(x, targets.clone()),
        );
    }
}

#[test]
fn cross_entropy_without_counted_rows_is_zero() {
    let d = device();
    let x = noise([3, 4], 1, &d).require_grad();
    let loss = cross_entropy(x.clone(), Tensor::from_data([-1, -1, -1], &d));
    assert_eq!(host(loss.clone()), [0.0]);
    let grads = loss.backward();
    assert!(host(x.grad(&grads).unwrap()).iter().all(|x| *x == 0.0));
}

#[test]
fn embedding_equals_its_composition() {
    let d = device();
    for (count, width) in [(5, 3), (1000, 17)] {
        let ids: Vec<i32> = (0..60).map(|i| i * i % count).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [4, 15]), &d);
        compare(
            "embedding",
            [noise([count as usize, width], 1, &d)],
            |[w]| embedding(w, ids.clone()),
            |[w]| composed::embedding(w, ids.clone()),
        );
    }
}

#[test]
#[should_panic(expected = "asked for row 7")]
fn an_id_beyond_the_table_is_named() {
    let d = Device::flex();
    embedding(noise([7, 2], 1, &d), Tensor::from_data([[0, 7]], &d));
}

#[test]
fn only_tracked_inputs_get_gradients_and_plain_devices_work() {
    let (plain, d) = (Device::flex(), device());
    let x = noise([6, 8], 1, &plain);
    let w = noise([5, 8], 2, &d).require_grad();
    let mixed = linear(x.clone(), w.clone().mul_scalar(2.0), Some(noise([5], 3, &plain)));
    let grads = loss(mixed.clone()).backward();
    assert!(w.grad(&grads).is_some());
    let alone = linear(x, w.inner().mul_scalar(2.0), Some(noise([5], 3, &plain)));
    assert!(!alone.is_autodiff());
    assert_eq!(host(alone), host(mixed));
}

#[test]
fn transposed_and_sliced_inputs_are_read_correctly() {
    let d = device();
    compare(
        "linear of views",
        [noise([12, 10], 1, &d), noise([8, 20], 2, &d)],
        |[x, w]| linear(x.transpose().slice([2..7, 1..9]), w.slice([1..7, 3..11]), None),
        |[x, w]| composed::linear(x.transpose().slice([2..7, 1..9]), w.slice([1..7, 3..11]), None),
    );
    compare(
        "layer norm and gelu of views",
        [noise([12, 10], 1, &d), noise([1, 12], 2, &d)],
        |[x, w]| {
            let w = w.squeeze_dim::<1>(0);
            gelu(layer_norm(x.transpose(), w.clone(), w, 1e-5).transpose(), GeluKind::Erf)
        },
        |[x, w]| {
            let w = w.squeeze_dim::<1>(0);
            composed::gelu(
                composed::layer_norm(x.transpose(), w.clone(), w, 1e-5).transpose(),
                GeluKind::Erf,
            )
        },
    );
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = || {
        let d = device();
        let leaves =
            [noise([300, 64], 1, &d), noise([256, 64], 2, &d), noise([1, 256], 3, &d)].map(Tensor::require_grad);
        let [x, w, b] = leaves.clone();
        let b = b.squeeze_dim::<1>(0);
        let h = gelu(linear(x, w, Some(b.clone())), GeluKind::Erf);
        let h = layer_norm(h, b.clone(), b, 1e-5).reshape([2, 150, 256]);
        let y = attention(h.clone(), h.clone(), h, 4, None, true, None);
        let grads = loss(y.clone()).backward();
        (host(y), leaves.map(|leaf| host(leaf.grad(&grads).unwrap())))
    };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    assert!(pool(1).install(run) == pool(3).install(run));
}

#[test]
fn composed_gradients_equal_central_differences_in_f64() {
    use burn::tensor::FloatDType;
    let d = device();
    let wide = |x: Tensor<2>| x.cast(FloatDType::F64);
    let leaves = [
        wide(noise([6, 8], 1, &d)),
        wide(noise([8, 8], 2, &d)),
        wide(noise([1, 8], 3, &d)),
    ];
    let mask = Tensor::<2>::from_data([[1.0f32, 1.0, 0.0], [1.0, 1.0, 1.0]], &d);
    let model = |[x, w, b]: [Tensor<2>; 3]| {
        let b = b.squeeze_dim::<1>(0);
        let ids = Tensor::<2, Int>::from_data([[0, 2, 1], [5, 5, 3]], &x.device());
        let e = embedding(x, ids);
        let h = gelu(linear(e.clone(), w.clone(), Some(b.clone())), GeluKind::Erf);
        let h = gelu(h, GeluKind::Tanh);
        let h = add_layer_norm(h, e, b.clone(), b.clone(), 1e-5);
        let drop = Some(Dropout {
            probability: 0.3,
            seed: 1,
        });
        let h = attention(h.clone(), h.clone(), h, 2, Some(mask.clone()), true, drop);
        let h = layer_norm(dropout(h, drop), b.clone(), b, 1e-5).reshape([6, 8]);
        cross_entropy(h, Tensor::from_data([1, -1, 2, 7, 0, 3], &mask.device()))
    };
    assert_central_differences(leaves, model);
}

#[test]
fn no_rows_give_no_rows_and_zero_gradients() {
    let d = device();
    let w = noise([5, 3], 1, &d).require_grad();
    let b = noise([5], 2, &d).require_grad();
    let x = noise([4, 3], 3, &d).slice([0..0, 0..3]);
    let y = layer_norm(linear(x, w.clone(), Some(b.clone())), b.clone(), b.clone(), 1e-5);
    let y = gelu(y, GeluKind::Erf);
    assert_eq!(y.dims(), [0, 5]);
    let grads = cross_entropy(y, noise([1], 1, &d).slice(0..0).int()).backward();
    assert!(host(w.grad(&grads).unwrap()).iter().all(|x| *x == 0.0));
    assert!(host(b.grad(&grads).unwrap()).iter().all(|x| *x == 0.0));
}
