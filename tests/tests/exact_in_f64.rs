//! In double precision: exact growth is exact to the last digits, and optimizer moments grow as autodiff says.
//!
//! A device's number type is set once per process: these tests need a program of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code, reason = "the other program uses the rest")]
mod common;

use std::sync::Once;

use burn::tensor::{Device, FloatDType, IntDType, Tensor, TensorData};
use common::{Tensors, Weights, distance, families, logits, operators, source, tensors, values, weights};
use ligo_arch::{Axis, ModelConfig, NormPlace, ParamSpec, Role};
use ligo_growth::{
    Choice, CloningConfig, CloningForm, CopyConfig, CopyScale, Growth, LemonConfig, LinearMap, OperatorSpec, Split,
    init,
};

fn device() -> Device {
    static NUMBERS: Once = Once::new();
    NUMBERS.call_once(|| Device::flex().configure((FloatDType::F64, IntDType::I64)).unwrap());
    Device::flex()
}

fn grow(map: &LinearMap, small: &ModelConfig, large: &ModelConfig, weights: &Weights) -> Tensors {
    let (small, large) = (small.table(), large.table());
    map.grow_tensors(&small, &large, &mut source(weights), &device())
        .unwrap()
}

fn build(spec: &OperatorSpec, small: &ModelConfig, large: &ModelConfig) -> LinearMap {
    spec.build(&small.table(), &large.table(), &device(), 0.4, 1).unwrap()
}

#[test]
fn exact_growth_is_exact_to_twelve_digits() {
    let device = device();
    let mut checked = 0;
    for spec in operators() {
        for family in families() {
            let small = family.small();
            let weights = weights(&small.table());
            for growth in Growth::ALL {
                if !spec.facts().keeps(growth).holds(&small.table()) {
                    continue;
                }
                let large = spec.adjust(&small, &family.large(growth));
                let before = values(logits(&small, tensors(&weights, &device), &device));
                let grown = grow(&build(&spec, &small, &large), &small, &large, &weights);
                let gap = distance(&before, &values(logits(&large, grown, &device)));
                println!("{}, {growth:?}, {}: {gap:.1e}", spec.name(), family.name);
                // Norms of heads have the ε of those of the residual stream; where that is adjusted, theirs moves too.
                let heads = |spec: &ParamSpec| spec.role == Role::NormWeight && spec.axes[0].is_fixed();
                let moved = large.norm_epsilon() != small.norm_epsilon() && small.table().specs().iter().any(heads);
                // Layers that normalize what they pass on do so more often than before, each time with an ε.
                let after = small.table().norm().is_some_and(|norm| norm.place == NormPlace::After);
                let tolerance = match (moved, after && growth == Growth::Layers) {
                    (true, _) => 1e-5,
                    (false, true) => 20.0 * small.norm_epsilon(),
                    (false, false) => 1e-12,
                };
                assert!(
                    gap <= tolerance,
                    "{}, {growth:?}, {}: {gap:e}",
                    spec.name(),
                    family.name
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn deeper_post_norm_models_differ_by_nothing_but_epsilon() {
    let device = device();
    for spec in
        ["zero-blocks", "hyper-cloning", "lemon", "expansions"].map(|name| OperatorSpec::from_name(name).unwrap())
    {
        for family in families().into_iter().filter(|f| ["bert", "roberta"].contains(&f.name)) {
            let gap = |epsilon: f64| {
                let small = family.small().with_norm_epsilon(epsilon);
                let large = family.large(Growth::Layers).with_norm_epsilon(epsilon);
                let weights = weights(&small.table());
                let before = values(logits(&small, tensors(&weights, &device), &device));
                let grown = grow(&build(&spec, &small, &large), &small, &large, &weights);
                distance(&before, &values(logits(&large, grown, &device)))
            };
            let gaps = [1e-4, 1e-6, 1e-8].map(gap);
            println!("{}, {}: {gaps:?}", spec.name(), family.name);
            for (gap, epsilon) in gaps.into_iter().zip([1e-4, 1e-6, 1e-8]) {
                assert!(gap < 20.0 * epsilon, "{}: {gap:e} with {epsilon:e}", spec.name());
            }
        }
    }
}

#[test]
fn every_new_number_of_a_padded_model_moves() {
    let device = device();
    let padded = OperatorSpec::ZeroPad;
    for family in families() {
        for growth in [Growth::Inner, Growth::Doubled, Growth::Widened] {
            let (small, large) = (family.small(), family.large(growth));
            let weights = weights(&small.table());
            // A number that no gradient reaches from a fresh start either (a word that does not occur) is none to move.
            let still = |spec: &OperatorSpec| {
                let start = grow(&build(spec, &small, &large), &small, &large, &weights);
                let mut now = start.clone();
                for _ in 0..8 {
                    let gradients = gradients(&large, &now);
                    for (name, tensor) in &mut now {
                        let step =
                            Tensor::<1>::from_data(TensorData::new(gradients[name].clone(), tensor.dims()), &device);
                        *tensor = tensor.clone() - step.mul_scalar(0.1);
                    }
                }
                let mut still = Vec::new();
                for (name, tensor) in now {
                    let moved = (tensor - start[&name].clone()).abs();
                    let numbers = values(moved).into_iter().enumerate();
                    // What is no more than rounding of a sum that cancels (the shift of all keys).
                    still.extend(numbers.filter(|(_, m)| *m < 1e-13).map(|(i, _)| (name.clone(), i)));
                }
                still.sort();
                still
            };
            let (fresh, found) = (still(&OperatorSpec::Stackbert), still(&padded));
            // Where the activation is flat at zero (ReLU), a neuron may rest on all of these inputs; most do not.
            let numbers = |config: &ModelConfig| {
                let table = config.table();
                let neurons = table.params().filter(|p| p.axes().contains(&Axis::FFN));
                neurons.map(|p| p.num_elements()).sum::<usize>()
            };
            let resting = match small.table().is_flat_at_zero() {
                true => (numbers(&large) - numbers(&small)) / 4,
                false => 0,
            };
            let stuck: Vec<_> = found
                .iter()
                .filter(|entry| fresh.binary_search(entry).is_err())
                .collect();
            assert!(
                stuck.len() <= resting,
                "{growth:?}, {}: {} numbers, {:?}",
                family.name,
                stuck.len(),
                &stuck[..stuck.len().min(5)]
            );
        }
    }
}

/// The gradient of a smooth function of the logits with respect to every tensor.
fn gradients(config: &ModelConfig, tensors: &Tensors) -> Weights64 {
    let device = device().autodiff();
    let leaves: Tensors = tensors
        .iter()
        .map(|(name, tensor)| {
            let leaf = Tensor::from_data(TensorData::new(values(tensor.clone()), tensor.dims()), &device);
            (name.clone(), leaf.require_grad())
        })
        .collect();
    let logits = logits(config, leaves.clone(), &device);
    let shape = logits.dims();
    let noise = init::normal(&mut init::rng(8, "loss"), 1.0, shape.iter().product());
    let noise: Vec<f64> = noise.into_iter().map(f64::from).collect();
    let loss = (logits * 0.1).tanh() * Tensor::<3>::from_data(TensorData::new(noise, shape), &device);
    let gradients = loss.sum().backward();
    let of = |leaf: &Tensor<1>| leaf.grad(&gradients).map_or_else(|| vec![0.0; leaf.dims()[0]], values);
    leaves.iter().map(|(name, leaf)| (name.clone(), of(leaf))).collect()
}

type Weights64 = std::collections::HashMap<String, Vec<f64>>;

/// The largest difference between the large model's gradient and the small one's grown by the map of first moments, relative to
/// the largest gradient of each tensor.
fn gradient_gap(
    spec: &OperatorSpec,
    small: &ModelConfig,
    large: &ModelConfig,
    counts: &dyn Fn(&str, usize) -> bool,
) -> f64 {
    let weights = weights(&small.table());
    let map = build(spec, small, large);
    let found = gradients(large, &grow(&map, small, large, &weights));
    // The map takes f32; what is rounded here is the same in both.
    let before = gradients(small, &tensors(&weights, &device()));
    let scale = before.values().flatten().fold(0.0_f64, |m, g| m.max(g.abs()));
    let before: Weights = before
        .into_iter()
        .map(|(name, values)| (name, values.into_iter().map(|v| v as f32).collect()))
        .collect();
    let expected = grow(&map.for_first_moments().unwrap(), small, large, &before);
    let mut gap = 0.0_f64;
    for (name, expected) in expected {
        let differences = values(expected).into_iter().zip(&found[&name]).enumerate();
        for (index, (expected, found)) in differences.filter(|(index, _)| counts(&name, *index)) {
            let difference = (expected - found).abs() / scale;
            assert!(difference.is_finite(), "{name}[{index}]");
            gap = gap.max(difference);
        }
    }
    gap
}

#[test]
fn the_moments_of_copied_weights_are_the_gradients_of_the_grown_model() {
    let symmetric = OperatorSpec::HyperCloning(CloningConfig::default());
    let balanced = OperatorSpec::Fpi(CopyConfig {
        choice: Choice::Balanced,
        scale: CopyScale::Count,
    });
    for family in families() {
        for spec in [&symmetric, &balanced] {
            let gap = gradient_gap(spec, &family.small(), &family.large(Growth::Doubled), &|_, _| true);
            println!("{}, {}: {gap:.1e}", spec.name(), family.name);
            assert!(gap < 1e-6, "{}, {}: {gap:e}", spec.name(), family.name);
        }
    }
}

#[test]
fn doubling_halves_first_moments_and_quarters_second_ones() {
    let family = &families()[3];
    let (small, large) = (family.small(), family.large(Growth::Doubled));
    let map = build(&OperatorSpec::HyperCloning(CloningConfig::default()), &small, &large);
    let ones: Weights = small
        .table()
        .params()
        .map(|p| (p.name.clone(), vec![1.0; p.num_elements()]))
        .collect();
    for (moments, share) in [
        (map.for_first_moments().unwrap(), 0.5),
        (map.for_second_moments().unwrap(), 0.25),
    ] {
        for (name, tensor) in grow(&moments, &small, &large, &ones) {
            // The last norm is read through a table whose columns cannot be divided: its copies carry half, not its readers.
            let expected = if name.contains("ln_f") { 1.0 } else { share };
            assert!(values(tensor).iter().all(|v| (v - expected).abs() < 1e-12), "{name}");
        }
    }
}

#[test]
fn moments_of_the_diagonal_form_are_exact_on_the_diagonal_and_zero_elsewhere() {
    let family = families().into_iter().find(|f| f.name == "vit").unwrap();
    let (small, large) = (family.small(), family.large(Growth::Doubled));
    let diagonal = OperatorSpec::HyperCloning(CloningConfig {
        form: CloningForm::Diagonal,
        noise: 0.0,
    });
    let table = large.table();
    let small_table = small.table();
    let on_diagonal = |name: &str, index: usize| {
        let param = table.get(name).unwrap();
        let old = small_table.get(name).unwrap();
        if param.shape.len() < 2 || param.shape[0] == old.shape[0] || param.shape[1] == old.shape[1] {
            return true;
        }
        let (row, column) = (index / param.shape[1], index % param.shape[1]);
        row / old.shape[0] == column / old.shape[1]
    };
    let gap = gradient_gap(&diagonal, &small, &large, &on_diagonal);
    assert!(gap < 1e-6, "{gap:e}");
    let whole = gradient_gap(&diagonal, &small, &large, &|_, _| true);
    assert!(
        whole > 1e-3,
        "the true gradient beside the diagonal is not zero: {whole:e}"
    );
}

#[test]
fn noise_does_not_reach_the_moments() {
    let family = &families()[3];
    let (small, large) = (family.small(), family.large(Growth::Doubled));
    let form = |form| OperatorSpec::HyperCloning(CloningConfig { form, noise: 0.3 });
    let weights = weights(&small.table());
    let moments = |spec| {
        let map = build(&spec, &small, &large).for_second_moments().unwrap();
        grow(&map, &small, &large, &weights)
    };
    let (noisy, symmetric) = (moments(form(CloningForm::Noisy)), moments(form(CloningForm::Symmetric)));
    for (name, expected) in symmetric {
        assert_eq!(values(noisy[&name].clone()), values(expected), "{name}");
    }
}

#[test]
fn moments_of_learned_maps_have_the_right_size() {
    // Outᵀ · m_large · In = m_small, whatever the matrices are.
    let family = &families()[3];
    let (small, large) = (family.small(), family.large(Growth::Widened));
    let map = build(&OperatorSpec::from_name("ligo").unwrap(), &small, &large);
    let moments = map.for_first_moments().unwrap();
    let weights = weights(&small.table());
    let grown = grow(&moments, &small, &large, &weights);
    let name = "transformer.h.1.mlp.c_fc.weight";
    let (rows, columns) = (48, 12);
    let grown = values(grown[name].clone());
    let factor = |axis| values(map.terms[0].out.get(axis, 0).unwrap().clone());
    let (out, input) = (factor(Axis::FFN), factor(Axis::HIDDEN));
    let (small_rows, small_columns) = (32, 8);
    // The depth is not grown here, so that its coefficients are one-hot.
    for (a, b) in (0..small_rows).flat_map(|a| (0..small_columns).map(move |b| (a, b))) {
        let mut sum = 0.0;
        for (r, c) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
            sum += out[r * small_rows + a] * grown[r * columns + c] * input[c * small_columns + b];
        }
        let expected = f64::from(weights[name][a * small_columns + b]);
        assert!((sum - expected).abs() < 1e-5, "{a} {b}: {sum} and {expected}");
    }
}

#[test]
fn copies_of_a_neuron_learn_alike_unless_something_tells_them_apart() {
    let family = families().into_iter().find(|f| f.name == "gpt2").unwrap();
    let (small, large) = (family.small(), family.large(Growth::Doubled));
    let form = |form| OperatorSpec::HyperCloning(CloningConfig { form, noise: 0.3 });
    let lemon = |spread| {
        OperatorSpec::Lemon(LemonConfig {
            split: Split::Channel,
            spread,
            ..LemonConfig::default()
        })
    };
    for (spec, alike) in [
        (form(CloningForm::Symmetric), true),
        (form(CloningForm::Noisy), false),
        (lemon(0.5), false),
    ] {
        let large = spec.adjust(&small, &large);
        let map = build(&spec, &small, &large);
        let grown = grow(&map, &small, &large, &weights(&small.table()));
        let gradients = gradients(&large, &grown);
        // A neuron's bias: its gradient is all that distinguishes it, whatever it reads.
        let bias = &gradients["transformer.h.0.mlp.c_fc.bias"];
        let (first, second) = bias.split_at(bias.len() / 2);
        let same = matching(&map, first.len());
        let gap = same
            .iter()
            .map(|(a, b)| (bias[*a] - bias[*b]).abs())
            .fold(0.0, f64::max);
        let scale = first.iter().chain(second).fold(0.0_f64, |m, g| m.max(g.abs()));
        assert_eq!(gap < 1e-12 * scale, alike, "{spec:?}: {gap:e} of {scale:e}");
    }
}

/// Pairs of feed-forward neurons that copy the same one.
fn matching(map: &LinearMap, count: usize) -> Vec<(usize, usize)> {
    let out = values(map.terms[0].out.get(Axis::FFN, 0).unwrap().clone());
    let source = |row: &[f64]| row.iter().position(|v| *v != 0.0).unwrap();
    let sources: Vec<usize> = out.chunks(count).map(source).collect();
    let copy = |a: usize| (count..sources.len()).find(|b| sources[*b] == sources[a]).unwrap();
    (0..count).map(|a| (a, copy(a))).collect()
}
