//! AdamW, its moments, and norms of gradients.

use burn::tensor::{Device, Tensor, TensorData};

use super::{assert_close, host, noise};
use crate::{AdamwStep, adamw, composed, graph, sum_of_squares};

#[test]
fn adamw_equals_its_composition_and_works_in_place() {
    let d = Device::flex();
    let [p, g, m] = [1, 2, 3].map(|seed| noise([40_001], seed, &d));
    let v = noise([40_001], 4, &d).abs();
    let step = AdamwStep {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.1,
        step: 3,
        grad_scale: 0.5,
    };
    let expected = composed::adamw(p.clone(), g.clone(), m.clone(), v.clone(), &step);
    // Still held here: the update must not change what others see.
    let before = host(p.clone());
    let found = adamw(p.clone(), g.clone(), m.clone(), v.clone(), &step);
    assert_eq!(host(p.clone()), before);
    let data = |x: &Tensor<1>| graph::slice(&graph::values(x.clone())).as_ptr();
    let address = data(&p);
    let in_place = adamw(p, g, m, v, &step);
    assert_eq!(data(&in_place.0), address, "the parameter was copied");
    for found in [found, in_place] {
        assert_close("param", &host(found.0), &host(expected.0.clone()), 1e-6);
        assert_close("m", &host(found.1), &host(expected.1.clone()), 1e-6);
        assert_close("v", &host(found.2), &host(expected.2.clone()), 1e-6);
    }
}

#[test]
fn moments_without_a_gradient_end_at_zero_and_not_at_a_subnormal_number() {
    let d = Device::flex();
    let number = |x: f32| Tensor::<1>::from_data([x, -x], &d);
    let (mut p, mut m, mut v) = (number(1.0), number(1e-4), number(1e-4).powi_scalar(2));
    for count in 1..=4000 {
        let step = AdamwStep {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-8,
            weight_decay: 0.0,
            step: count,
            grad_scale: 1.0,
        };
        (p, m, v) = adamw(p, number(0.0), m, v, &step);
    }
    assert_eq!((host(m), host(v)), (vec![0.0; 2], vec![0.0; 2]));
    assert!(host(p).iter().all(|x| x.is_finite()));
}

#[test]
fn the_sum_of_squares_is_exact_and_shows_nan_and_infinity() {
    let d = Device::flex();
    let x = Tensor::<1>::from_data(TensorData::new(vec![0.1f32; 1_000_003], [1_000_003]), &d);
    let expected = f64::from(0.1f32).powi(2) * 1_000_003.0;
    assert!((sum_of_squares(&x) / expected - 1.0).abs() < 1e-12);
    let slice = x.clone().slice(1..4);
    assert!((sum_of_squares(&slice) / f64::from(0.1f32).powi(2) / 3.0 - 1.0).abs() < 1e-12);
    assert!(sum_of_squares(&Tensor::from_data([1.0f32, f32::NAN], &d)).is_nan());
    assert!(!sum_of_squares(&Tensor::from_data([1.0f32, f32::INFINITY], &d)).is_finite());
}
