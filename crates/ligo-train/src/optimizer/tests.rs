#![allow(clippy::unwrap_used, clippy::expect_used, clippy::excessive_precision)]
use burn::tensor::Device;

use super::*;
use crate::ParamInfo;
use crate::store::upload;

const A: [f32; 4] = [0.5, -1.25, 2.0, 0.03125];
const B: [f32; 2] = [-0.75, 0.1];
const GRADIENTS: [([f32; 4], [f32; 2]); 3] = [
    ([0.3, -0.2, 0.05, 4.0], [1.0, -2.0]),
    ([-0.1, 0.4, 0.0, 0.001], [0.5, 0.25]),
    ([0.02, 0.02, -3.0, 0.5], [-0.125, 8.0]),
];
const RATES: [f64; 3] = [1e-2, 2e-2, 5e-3];

#[test]
fn an_epsilon_that_is_none_is_refused() {
    for (eps, allowed) in [
        (1e-12, true),
        (1e-8, true),
        (1e-13, false),
        (0.0, false),
        (f64::NAN, false),
    ] {
        let mut faults = Vec::new();
        let config = OptimizerConfig {
            eps,
            ..OptimizerConfig::default()
        };
        config.faults(&mut faults);
        assert_eq!(faults.is_empty(), allowed, "{eps}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.contains("at least 1e-12")));
    }
}

fn two_parameters() -> ParamStore {
    let info = |name: &str, shape: &[usize], decay| ParamInfo {
        name: name.into(),
        shape: shape.to_vec(),
        decay,
    };
    let params = [
        (info("a", &[2, 2], true), A.to_vec()),
        (info("b", &[2], false), B.to_vec()),
    ];
    ParamStore::from_values(params, &Device::flex()).unwrap()
}

fn flat(values: &[f32]) -> Option<Tensor<1>> {
    Some(upload(values.to_vec(), &Device::flex()))
}

fn values(store: &ParamStore) -> Vec<f32> {
    store.to_values().unwrap().into_iter().flat_map(|(_, v)| v).collect()
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (x, y) in found.iter().zip(expected) {
        assert!(
            (x - y).abs() <= tolerance * y.abs().max(1e-3),
            "{found:?} is not {expected:?}"
        );
    }
}

/// Numbers of PyTorch 2.15 (CPU), made with
///
/// ```text
/// a = Parameter([0.5, -1.25, 2.0, 0.03125]); b = Parameter([-0.75, 0.1])
/// opt = torch.optim.AdamW([dict(params=[a], weight_decay=0.1), dict(params=[b], weight_decay=0.0)], betas=(0.9, 0.98), eps=1e-6)
/// per step: set lr and the gradients above; torch.nn.utils.clip_grad_norm_([a, b], 1.5); opt.step(); print(norm, a, b)
/// ```
#[test]
fn three_clipped_steps_equal_pytorch() {
    let expected: [(f64, [f32; 6]); 3] = [
        (
            4.597009658813477,
            [0.48950011, -1.2387501, 1.9880006, 0.021218756, -0.75999999, 0.10999998],
        ),
        (
            0.6946229338645935,
            [0.48978683, -1.2487478, 1.9705598, 0.0076988786, -0.77974862, 0.11721294],
        ),
        (
            8.55958080291748,
            [0.4897072, -1.2505735, 1.9726572, 0.0048677609, -0.78346342, 0.11498643],
        ),
    ];
    let config = OptimizerConfig {
        beta2: 0.98,
        weight_decay: 0.1,
        ..OptimizerConfig::default()
    };
    let mut store = two_parameters();
    let mut optimizer = Optimizer::new(config, &store);
    for (((a, b), lr), (norm, weights)) in GRADIENTS.iter().zip(RATES).zip(expected) {
        let gradients = vec![flat(a), flat(b)];
        let squares: f64 = gradients.iter().flatten().map(ligo_ops::sum_of_squares).sum();
        assert!((squares.sqrt() - norm).abs() < 1e-6 * norm);
        optimizer
            .update(&mut store, gradients, lr, ligo_ops::clip_scale(squares.sqrt(), 1.5))
            .unwrap();
        assert_close(&values(&store), &weights, 2e-6);
    }
    let moments = optimizer.to_moments(&store).unwrap();
    assert_close(
        &moments[0].1,
        &[-0.00072044955, 0.031064443, -0.051251154, 0.11457299],
        2e-5,
    );
    assert_close(
        &moments[0].2,
        &[0.00038030432, 0.0032180496, 0.0055328822, 0.032875102],
        2e-5,
    );
    assert_close(&moments[1].1, &[0.069239698, 0.10983332], 2e-5);
    assert_close(&moments[1].2, &[0.0069546923, 0.048713963], 2e-5);
}

#[test]
fn gradient_descent_takes_the_plain_step() {
    let config = OptimizerConfig {
        kind: OptimizerKind::Sgd,
        weight_decay: 0.5,
        ..OptimizerConfig::default()
    };
    let mut store = two_parameters();
    let mut optimizer = Optimizer::new(config, &store);
    let gradients = vec![flat(&[1.0, 0.0, -2.0, 0.5]), flat(&[4.0, 8.0])];
    optimizer.update(&mut store, gradients, 0.1, 0.5).unwrap();
    // a decays by 1 - 0.1 * 0.5, b does not.
    assert_close(&values(&store), &[0.425, -1.1875, 2.0, 0.0046875, -0.95, -0.3], 1e-6);
    assert!(optimizer.to_moments(&store).unwrap().is_empty());
}

#[test]
fn a_parameter_without_gradient_or_with_factor_zero_stays() {
    let mut store = two_parameters();
    let factors = HashMap::from([("b".to_owned(), 0.0)]);
    let optimizer = Optimizer::new(OptimizerConfig::default(), &store);
    let mut optimizer = optimizer.with_lr_multipliers(&store, &factors).unwrap();
    optimizer
        .update(&mut store, vec![None, flat(&[1.0, 1.0])], 0.1, 1.0)
        .unwrap();
    assert_eq!(values(&store), [&A[..], &B[..]].concat());
}

#[test]
fn a_factor_scales_the_learning_rate() {
    let run = |lr: f64, factor: f64| {
        let mut store = two_parameters();
        let factors = HashMap::from([("a".to_owned(), factor)]);
        let optimizer = Optimizer::new(OptimizerConfig::default(), &store);
        let mut optimizer = optimizer.with_lr_multipliers(&store, &factors).unwrap();
        optimizer.update(&mut store, vec![flat(&A), None], lr, 1.0).unwrap();
        values(&store)
    };
    assert_eq!(run(0.1, 0.25), run(0.025, 1.0));
}

#[test]
fn the_rate_of_matrices_has_a_factor_of_its_own() {
    let run = |lr: f64, factor: f64| {
        let mut store = two_parameters();
        // `a` is a matrix; `b` is none, whatever anybody says.
        let mut optimizer = Optimizer::new(OptimizerConfig::default(), &store).with_matrices(&store, factor, |_| true);
        optimizer.update(&mut store, vec![flat(&A), flat(&B)], lr, 1.0).unwrap();
        values(&store)
    };
    let (plain, halved, slower) = (run(0.1, 1.0), run(0.1, 0.5), run(0.05, 1.0));
    assert_eq!((&halved[..4], &halved[4..]), (&slower[..4], &plain[4..]));
    assert_ne!(halved[..4], plain[..4]);
}

#[test]
fn a_factor_on_new_numbers_leaves_every_other_bit_alone() {
    let run = |new: &[bool], new_factor: f64| {
        let mut store = two_parameters();
        let masks = HashMap::from([("a".to_owned(), new.to_vec())]);
        let optimizer = Optimizer::new(OptimizerConfig::default(), &store);
        let mut optimizer = optimizer.with_new_entries(&store, masks).unwrap();
        for (a, b) in GRADIENTS {
            let rate = Rate { lr: 0.01, new_factor };
            optimizer
                .update(&mut store, vec![flat(&a), flat(&b)], rate, 1.0)
                .unwrap();
        }
        values(&store)
    };
    let plain = run(&[true; 4], 1.0);
    let half = run(&[false, true, false, true], 0.25);
    for i in [0, 2, 4, 5] {
        assert_eq!(half[i].to_bits(), plain[i].to_bits(), "{i}");
    }
    // Adam's moments do not depend on the rate, so a quarter of the rate is a quarter of the way (but for decay).
    let start = [A.as_slice(), B.as_slice()].concat();
    for i in [1, 3] {
        let (way, whole) = (half[i] - start[i], plain[i] - start[i]);
        assert!((way - 0.25 * whole).abs() < 2e-5, "{way} of {whole}");
    }
    // A parameter that is new as a whole is updated as with another rate.
    let all = run(&[true; 4], 0.25);
    assert!((all[1] - half[1]).abs() < 1e-6 && (all[3] - half[3]).abs() < 1e-6);
    assert_eq!(all[4..], plain[4..]);
}

#[test]
fn a_mask_of_another_size_is_refused() {
    let store = two_parameters();
    let masks = HashMap::from([("a".to_owned(), vec![true; 3])]);
    let got = Optimizer::new(OptimizerConfig::default(), &store).with_new_entries(&store, masks);
    assert!(matches!(
        got,
        Err(Error::WrongNumberOfValues {
            expected: 4,
            found: 3,
            ..
        })
    ));
}

#[test]
fn a_factor_for_an_unknown_parameter_is_refused() {
    let store = two_parameters();
    let factors = HashMap::from([("c".to_owned(), 2.0)]);
    let got = Optimizer::new(OptimizerConfig::default(), &store).with_lr_multipliers(&store, &factors);
    assert!(matches!(got, Err(Error::UnknownParameter { name, .. }) if name == "c"));
}

#[test]
fn restored_moments_continue_with_the_same_bits() {
    let mut store = two_parameters();
    let mut optimizer = Optimizer::new(OptimizerConfig::default(), &store);
    let step = |optimizer: &mut Optimizer, store: &mut ParamStore, i: usize| {
        let (a, b) = GRADIENTS[i];
        optimizer
            .update(store, vec![flat(&a), flat(&b)], RATES[i], 1.0)
            .unwrap();
    };
    step(&mut optimizer, &mut store, 0);
    step(&mut optimizer, &mut store, 1);
    let mut other_store = ParamStore::from_values(store.to_values().unwrap(), store.device()).unwrap();
    let mut other = Optimizer::new(OptimizerConfig::default(), &other_store);
    let moments = optimizer.to_moments(&store).unwrap();
    other.restore(&other_store, moments, optimizer.updates()).unwrap();
    step(&mut optimizer, &mut store, 2);
    step(&mut other, &mut other_store, 2);
    assert_eq!(values(&store), values(&other_store));
    let bits = |o: &Optimizer, s: &ParamStore| o.to_moments(s).unwrap();
    assert_eq!(bits(&optimizer, &store), bits(&other, &other_store));
}

#[test]
fn moments_that_do_not_fit_are_refused() {
    let store = two_parameters();
    let mut optimizer = Optimizer::new(OptimizerConfig::default(), &store);
    let short = vec![("a".to_owned(), vec![0.0; 3], vec![0.0; 4])];
    assert!(matches!(
        optimizer.restore(&store, short, 1),
        Err(Error::WrongNumberOfValues { .. })
    ));
}
