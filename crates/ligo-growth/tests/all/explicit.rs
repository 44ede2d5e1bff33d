//! Maps of several terms, with rows that depend on roles, against the explicit matrix `M = Σ_t (w_t ⊗ In_t ⊗ Out_t)`.

use burn::tensor::{Device, Tensor};
use ligo_arch::{Axis, Gpt2Config, LAYER_PLACEHOLDER, ModelConfig, ParamSpec, ParamTable, Role};
use ligo_growth::{
    CloningConfig, CloningForm, Coverage, DepthInit, Factors, FurtherInit, LemonConfig, LigoConfig, LinearMap,
    OperatorSpec, Split, Term, WidthInit, init,
};

use crate::common::grow_all;

type Matrix = Vec<Vec<f64>>;

fn dense(tensor: &Tensor<2>) -> Matrix {
    let [_, columns] = tensor.dims();
    let values: Vec<f64> = tensor.clone().into_data().iter::<f64>().collect();
    values.chunks(columns).map(<[f64]>::to_vec).collect()
}

/// The matrix of an axis, or the identity.
fn factor(factors: &Factors, axis: Axis, size: usize) -> Matrix {
    let identity = || {
        (0..size)
            .map(|i| (0..size).map(|j| f64::from(u8::from(i == j))).collect())
            .collect()
    };
    factors.get(axis, 0).map_or_else(identity, dense)
}

fn is_lookup(spec: &ParamSpec) -> bool {
    matches!(spec.role, Role::Embedding | Role::Token)
}

/// `(w, Out, In)` of a term for a tensor; nothing when the term does not write it.
fn factors(term: &Term, spec: &ParamSpec, small: &ParamTable) -> Option<(Matrix, Matrix, Matrix)> {
    let rows = term.roles.get(&spec.role).unwrap_or(&term.out);
    let columns = match &term.input {
        Some(input) if !is_lookup(spec) => input,
        _ => &term.out,
    };
    let written = if is_lookup(spec) {
        *spec.axes.last()?
    } else {
        spec.axes[0]
    };
    let writes = rows.get(written, 0).is_some();
    let covered = match term.coverage {
        Coverage::Whole => true,
        Coverage::Outputs => writes,
        Coverage::Readers => !writes,
        Coverage::Noise => {
            let reads_copies = spec.axes.len() == 2 && columns.get(spec.axes[1], 0).is_some();
            reads_copies && !is_lookup(spec) && !spec.axes[0].is_fixed()
        }
    };
    if !covered {
        return None;
    }
    let depth = spec
        .stack
        .map_or_else(|| vec![vec![1.0]], |stack| dense(&term.depth[&(stack, spec.module)]));
    let out = factor(rows, spec.axes[0], small.size(spec.axes[0]));
    let input = match spec.axes.get(1) {
        Some(axis) => factor(columns, *axis, small.size(*axis)),
        None => vec![vec![1.0]],
    };
    Some((depth, out, input))
}

/// Every layer of a large tensor from `M · vec(all layers of the small one)`.
fn explicit(
    map: &LinearMap,
    spec: &ParamSpec,
    small: &ParamTable,
    layers: &[Vec<f64>],
    large: [usize; 3],
) -> Vec<Vec<f64>> {
    let [l2, r2, c2] = large;
    let (r1, c1) = (small.size(spec.axes[0]), spec.axes.get(1).map_or(1, |a| small.size(*a)));
    let mut m = vec![vec![0.0; layers.len() * r1 * c1]; l2 * r2 * c2];
    for (w, out, input) in map.terms.iter().filter_map(|t| factors(t, spec, small)) {
        for (index, row) in m.iter_mut().enumerate() {
            let (i, r, c) = (index / (r2 * c2), index / c2 % r2, index % c2);
            for (column, entry) in row.iter_mut().enumerate() {
                let (j, a, b) = (column / (r1 * c1), column / c1 % r1, column % c1);
                *entry += w[i][j] * out[r][a] * input[c][b];
            }
        }
    }
    let x: Vec<f64> = layers.iter().flatten().copied().collect();
    let y: Vec<f64> = m
        .iter()
        .map(|row| row.iter().zip(&x).map(|(m, x)| m * x).sum())
        .collect();
    y.chunks(r2 * c2).map(<[f64]>::to_vec).collect()
}

fn table(hidden: usize, layers: usize, tied: bool) -> ParamTable {
    let config = Gpt2Config {
        n_positions: 3,
        n_inner: Some(hidden + 2),
        tie_word_embeddings: tied,
        ..Gpt2Config::new(5, hidden, layers, hidden / 2)
    };
    ModelConfig::Gpt2(config).table()
}

#[test]
fn every_fixed_map_and_several_learned_terms_equal_the_explicit_matrix() {
    let form = |form| OperatorSpec::HyperCloning(CloningConfig { form, noise: 0.4 });
    let ligo = |terms, further, tied, width_init| {
        OperatorSpec::Ligo(LigoConfig {
            terms,
            further,
            tied,
            width_init,
            width_noise: 0.3,
            depth_init: DepthInit::Rand,
            ..LigoConfig::default()
        })
    };
    let named = |name| OperatorSpec::from_name(name).unwrap();
    let uneven = [
        named("fpi"),
        named("aki"),
        // The other split adds what is drawn to what is linear.
        OperatorSpec::Lemon(LemonConfig {
            split: Split::Channel,
            ..LemonConfig::default()
        }),
        ligo(3, FurtherInit::NearZero, true, WidthInit::Gaussian),
        ligo(2, FurtherInit::NearZero, false, WidthInit::Rand),
        ligo(2, FurtherInit::Above, false, WidthInit::Gaussian),
    ];
    let doubling = [
        form(CloningForm::Symmetric),
        form(CloningForm::Noisy),
        form(CloningForm::Diagonal),
        form(CloningForm::NoisyDiagonal),
    ];
    let cases = uneven
        .into_iter()
        .map(|spec| (spec, 6))
        .chain(doubling.into_iter().map(|spec| (spec, 8)));
    for ((spec, hidden), tied) in cases.flat_map(|case| [(case.clone(), true), (case, false)]) {
        let small = table(4, 2, tied);
        let mut large = table(hidden, 3, tied);
        if hidden == 8 {
            // Every width a whole multiple.
            large = ModelConfig::Gpt2(Gpt2Config {
                n_positions: 3,
                n_inner: Some(12),
                tie_word_embeddings: tied,
                ..Gpt2Config::new(5, 8, 3, 4)
            })
            .table();
        }
        let map = spec.build(&small, &large, &Device::flex(), 0.02, 9).unwrap();
        let values = |name: &str, count| init::normal(&mut init::rng(4, name), 1.0, count);
        let grown = grow_all(&map, &small, &large, 4);
        for row in large.specs() {
            let count = |table: &ParamTable| row.stack.map_or(1, |s| table.depth(s));
            let name = |layer: usize| row.template.replace(LAYER_PLACEHOLDER, &layer.to_string());
            let elements: usize = row.axes.iter().map(|a| small.size(*a)).product();
            let layers: Vec<Vec<f64>> = (0..count(&small))
                .map(|j| values(&name(j), elements).into_iter().map(f64::from).collect())
                .collect();
            let size = |i: usize| row.axes.get(i).map_or(1, |a| large.size(*a));
            let expected = explicit(&map, row, &small, &layers, [count(&large), size(0), size(1)]);
            for (i, expected) in expected.iter().enumerate() {
                for (index, (found, expected)) in grown[&name(i)].iter().zip(expected).enumerate() {
                    let close = (f64::from(*found) - expected).abs() < 1e-5 * expected.abs().max(1.0);
                    assert!(close, "{spec:?}: {}[{index}] is {found}, not {expected}", name(i));
                }
            }
        }
    }
}
