//! What the theory promises of the linear map.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor};
use ligo_arch::{Axis, BertConfig, ModelConfig, ParamSpec, ParamTable, Role};
use ligo_growth::{
    DepthInit, FurtherInit, LigoConfig, LigoOperator, OperatorGraph, OperatorSpec, Sharing, WidthInit, init,
};
use proptest::prelude::*;

use crate::common::{grow_all, weights};

fn bert(layers: usize, hidden: usize, ffn: usize) -> ParamTable {
    let mut config = BertConfig::new(11, hidden, layers, 1);
    config.intermediate_size = ffn;
    config.max_position_embeddings = 5;
    ModelConfig::Bert(config).table()
}

fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

fn config(sharing: Sharing) -> LigoConfig {
    LigoConfig {
        sharing,
        width_init: WidthInit::Gaussian,
        depth_init: DepthInit::Rand,
        ..LigoConfig::default()
    }
}

/// One square matrix per layer with rows `query` and columns `hidden`, and nothing else.
fn one_matrix(layers: usize, hidden: usize, query: usize) -> ParamTable {
    let spec = |template: &str, axes: &[Axis], stack| ParamSpec {
        template: template.into(),
        axes: axes.to_vec(),
        stack,
        layers: None,
        module: "query",
        role: Role::Weight,
        required: true,
        init: None,
        times: 1.0,
        stored: None,
    };
    let specs = vec![
        spec("layer.{layer}", &[Axis::QUERY, Axis::HIDDEN], Some("encoder")),
        spec("norm", &[Axis::HIDDEN], None),
    ];
    ParamTable::new(
        "one",
        specs,
        [(Axis::HIDDEN, hidden), (Axis::QUERY, query)],
        [("encoder", layers)],
        vec![],
    )
}

/// `M = (w ⊗ I) · blockdiag(A_1 ⊗ B_1, …)` on column-major `vec(W)`, entry by entry.
fn explicit_kronecker(
    tensors: &HashMap<String, Vec<f64>>,
    sharing: Sharing,
    small: (usize, usize, usize),
    large: (usize, usize, usize),
    w: &[Vec<f64>],
) -> Vec<Vec<f64>> {
    let (l1, h1, q1) = small;
    let (l2, h2, q2) = large;
    let (n1, n2) = (h1 * q1, h2 * q2);
    let depth = &tensors["depth.encoder.query"];
    let a = &tensors["width.hidden"];
    let b = |layer: usize| match sharing {
        Sharing::Shared => &tensors["width.query"],
        _ => &tensors[&format!("width.query.{layer}")],
    };
    let mut m = vec![vec![0.0; l1 * n1]; l2 * n2];
    for i in 0..l2 {
        for j in 0..l1 {
            let b = b(if sharing == Sharing::PerLargeLayer { i } else { j });
            for (c2, c1) in (0..h2).flat_map(|x| (0..h1).map(move |y| (x, y))) {
                for (r2, r1) in (0..q2).flat_map(|x| (0..q1).map(move |y| (x, y))) {
                    m[i * n2 + c2 * q2 + r2][j * n1 + c1 * q1 + r1] =
                        depth[i * l1 + j] * a[c2 * h1 + c1] * b[r2 * q1 + r1];
                }
            }
        }
    }
    // vec() of each small layer, column-major, from the row-major values.
    let x: Vec<f64> = w
        .iter()
        .flat_map(|w| (0..h1).flat_map(move |c| (0..q1).map(move |r| w[r * h1 + c])))
        .collect();
    let y: Vec<f64> = m
        .iter()
        .map(|row| row.iter().zip(&x).map(|(m, x)| m * x).sum())
        .collect();
    (0..l2)
        .map(|i| {
            (0..q2)
                .flat_map(|r| (0..h2).map(move |c| (r, c)))
                .map(|(r, c)| y[i * n2 + c * q2 + r])
                .collect()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_fast_path_equals_the_explicit_kronecker_matrix(
        l1 in 1usize..4, extra_layers in 0usize..3, h1 in 1usize..5, extra_hidden in 1usize..4, q1 in 1usize..5, extra_query in 1usize..4, seed: u64,
        sharing in prop_oneof![Just(Sharing::Shared), Just(Sharing::PerSmallLayer), Just(Sharing::PerLargeLayer)],
    ) {
        let (l2, h2, q2) = (l1 + extra_layers, h1 + extra_hidden, q1 + extra_query);
        let (small, large) = (one_matrix(l1, h1, q1), one_matrix(l2, h2, q2));
        let operator = LigoOperator::new(&small, &large, &config(sharing), seed).unwrap();
        let mut tensors: HashMap<String, Vec<f64>> = operator.tensors().iter()
            .map(|t| (t.name.clone(), t.values.iter().map(|v| f64::from(*v)).collect())).collect();
        for layer in 0..l2.max(l1) {
            if let Some(shared) = tensors.get("width.query").cloned() {
                tensors.insert(format!("width.query.{layer}"), shared);
            }
        }
        let w: Vec<Vec<f64>> = (0..l1).map(|j| {
            let name = format!("layer.{j}");
            init::normal(&mut init::rng(seed, &name), 1.0, h1 * q1).into_iter().map(f64::from).collect()
        }).collect();
        let expected = explicit_kronecker(&tensors, sharing, (l1, h1, q1), (l2, h2, q2), &w);

        let streamed = grow_all(&operator.initial_map(&Device::flex()).unwrap(), &small, &large, seed);
        let graph = OperatorGraph::new(operator, &mut weights(&small, seed), &Device::flex()).unwrap();
        let learned = graph.grow(&|_| None).unwrap();
        for (i, expected) in expected.iter().enumerate() {
            let expected: Vec<f32> = expected.iter().map(|v| *v as f32).collect();
            let name = format!("layer.{i}");
            prop_assert!(largest_difference(&streamed[&name], &expected) < 2e-5);
            prop_assert!(largest_difference(&values(learned[&name].clone()), &expected) < 2e-5);
        }
    }

    #[test]
    fn streaming_and_learning_grow_the_same_bert(
        seed: u64,
        sharing in prop_oneof![Just(Sharing::Shared), Just(Sharing::PerSmallLayer), Just(Sharing::PerLargeLayer)],
        fixed_identity: bool,
    ) {
        let (small, large) = (bert(2, 4, 7), bert(3, 6, 10));
        let operator = LigoOperator::new(&small, &large, &LigoConfig { fixed_identity, ..config(sharing) }, seed).unwrap();
        let streamed = grow_all(&operator.initial_map(&Device::flex()).unwrap(), &small, &large, seed);
        let graph = OperatorGraph::new(operator, &mut weights(&small, seed), &Device::flex()).unwrap();
        let learned = graph.grow(&|_| None).unwrap();
        let required: Vec<String> = large.params().filter(|p| p.spec.required).map(|p| p.name).collect();
        prop_assert_eq!(learned.len(), required.len());
        for name in required {
            prop_assert!(largest_difference(&streamed[&name], &values(learned[&name].clone())) < 1e-4, "{}", name);
        }
    }
}

#[test]
fn every_learned_matrix_reaches_some_tensor() {
    let (small, large) = (bert(2, 4, 7), bert(4, 6, 10));
    for (terms, tied) in [(1, false), (2, true), (3, false)] {
        let config = LigoConfig {
            terms,
            tied,
            ..config(Sharing::Shared)
        };
        let operator = LigoOperator::new(&small, &large, &config, 3).unwrap();
        let learned: Vec<String> = operator
            .tensors()
            .iter()
            .filter(|t| t.trainable)
            .map(|t| t.name.clone())
            .collect();
        let graph = OperatorGraph::new(operator.clone(), &mut weights(&small, 3), &Device::flex()).unwrap();
        let before = graph.grow(&|_| None).unwrap();
        for name in &learned {
            let tensor = operator.tensors().iter().find(|t| &t.name == name).unwrap();
            let moved: Vec<f32> = tensor.values.iter().map(|v| v + 0.5).collect();
            let moved = Tensor::<1>::from_data(
                burn::tensor::TensorData::new(moved, [tensor.values.len()]),
                &Device::flex(),
            );
            let after = graph.grow(&|other| (other == name).then(|| moved.clone())).unwrap();
            let changes = before
                .iter()
                .any(|(n, v)| values(v.clone()) != values(after[n].clone()));
            assert!(changes, "{name} of {terms} terms changes nothing");
        }
    }
}

#[test]
fn several_terms_hold_net2net_and_the_layer_above() {
    // Heads of two entries, a tied decoder.
    let table = |layers, heads| ModelConfig::Bert(BertConfig::new(11, 2 * heads, layers, heads)).table();
    let (small, large) = (table(2, 2), table(4, 3));
    let device = Device::flex();
    let ligo = |terms, further| LigoConfig {
        terms,
        further,
        tied: false,
        width_init: WidthInit::Fpi,
        depth_noise: 0.0,
        ..LigoConfig::default()
    };
    for (name, config) in [
        ("fpi", ligo(1, FurtherInit::NearZero)),
        ("aki", ligo(2, FurtherInit::Above)),
    ] {
        let fixed = OperatorSpec::from_name(name).unwrap();
        let fixed = fixed.build(&small, &large, &device, 0.02, 3).unwrap();
        let learned = OperatorSpec::Ligo(config)
            .build(&small, &large, &device, 0.02, 3)
            .unwrap();
        let (fixed, learned) = (
            grow_all(&fixed, &small, &large, 1),
            grow_all(&learned, &small, &large, 1),
        );
        // AKI takes normalizations from the layer itself, and LiGO has no matrices for them alone.
        let shared = |tensor: &str| name == "fpi" || !tensor.contains("LayerNorm");
        for (tensor, values) in fixed.iter().filter(|(tensor, _)| shared(tensor)) {
            assert_eq!(values, &learned[tensor], "{name}: {tensor}");
        }
    }
}

#[test]
fn further_terms_start_almost_without_effect() {
    let (small, large) = (bert(2, 4, 7), bert(4, 6, 10));
    let grown = |terms, width_noise| {
        let config = LigoConfig {
            terms,
            width_noise,
            ..LigoConfig::default()
        };
        let map = OperatorSpec::Ligo(config)
            .build(&small, &large, &Device::flex(), 0.02, 3)
            .unwrap();
        grow_all(&map, &small, &large, 1)
    };
    let one = grown(1, 0.0);
    assert_eq!(one, grown(2, 0.0));
    let noisy = grown(2, 0.01);
    for (name, values) in &one {
        let moved = largest_difference(values, &noisy[name]);
        assert!(moved < 0.2, "{name}: {moved}");
    }
    let query = "bert.encoder.layer.3.attention.self.query.weight";
    assert_ne!(one[query], noisy[query]);
}

#[test]
fn settings_of_several_terms_that_contradict_each_other_are_refused() {
    let wrong = [
        LigoConfig {
            terms: 0,
            ..LigoConfig::default()
        },
        LigoConfig {
            width_init: WidthInit::Fpi,
            ..LigoConfig::default()
        },
        LigoConfig {
            further: FurtherInit::Above,
            tied: false,
            ..LigoConfig::default()
        },
        LigoConfig {
            fixed_identity: true,
            tied: false,
            ..LigoConfig::default()
        },
    ];
    for config in wrong {
        let error = config.validate().unwrap_err();
        assert!(matches!(error, ligo_growth::Error::Settings(_)), "{error}");
    }
}

fn ligo_form(small: &ParamTable, large: &ParamTable, depth_init: DepthInit) -> HashMap<String, Vec<f32>> {
    let config = LigoConfig {
        depth_init,
        depth_noise: 0.0,
        ..LigoConfig::default()
    };
    let map = OperatorSpec::Ligo(config)
        .build(small, large, &Device::flex(), 0.02, 3)
        .unwrap();
    grow_all(&map, small, large, 9)
}

#[test]
fn stackbert_is_ligo_with_one_hot_depth_and_identity_widths_exactly() {
    let (small, large) = (bert(2, 4, 7), bert(5, 4, 7));
    let stacked = OperatorSpec::Stackbert
        .build(&small, &large, &Device::flex(), 0.02, 3)
        .unwrap();
    let stacked = grow_all(&stacked, &small, &large, 9);
    assert_eq!(stacked, ligo_form(&small, &large, DepthInit::Stack));
    let key = |i: usize| format!("bert.encoder.layer.{i}.attention.self.key.weight");
    assert_eq!(stacked[&key(0)], stacked[&key(2)]);
    assert_eq!(stacked[&key(1)], stacked[&key(3)]);
    assert_ne!(stacked[&key(0)], stacked[&key(1)]);
}

#[test]
fn interposition_is_ligo_with_one_hot_depth_and_identity_widths_exactly() {
    let (small, large) = (bert(2, 4, 7), bert(4, 4, 7));
    let interposed = OperatorSpec::Interpose
        .build(&small, &large, &Device::flex(), 0.02, 3)
        .unwrap();
    let interposed = grow_all(&interposed, &small, &large, 9);
    assert_eq!(interposed, ligo_form(&small, &large, DepthInit::Interpose));
    let list = OperatorSpec::Layers {
        layers: vec![0, 0, 1, 1],
    };
    let listed = list.build(&small, &large, &Device::flex(), 0.02, 3).unwrap();
    assert_eq!(interposed, grow_all(&listed, &small, &large, 9));
}

#[test]
fn direct_copy_keeps_the_old_block_and_draws_the_rest() {
    let (small, large) = (bert(2, 4, 6), bert(3, 6, 9));
    let map = OperatorSpec::DirectCopy
        .build(&small, &large, &Device::flex(), 0.02, 3)
        .unwrap();
    let grown = grow_all(&map, &small, &large, 1);
    let fresh: HashMap<String, Vec<f32>> = init::initial_values(&large, 0.02, 3).map(|(n, _, v)| (n, v)).collect();
    let name = "bert.encoder.layer.1.attention.self.query.weight";
    let old = init::normal(&mut init::rng(1, name), 1.0, 16);
    for (r, c) in (0..6).flat_map(|r| (0..6).map(move |c| (r, c))) {
        let expected = if r < 4 && c < 4 {
            old[r * 4 + c]
        } else {
            fresh[name][r * 6 + c]
        };
        assert_eq!(grown[name][r * 6 + c], expected, "row {r} column {c}");
    }
    let new_layer = "bert.encoder.layer.2.output.dense.weight";
    assert_eq!(
        grown[new_layer], fresh[new_layer],
        "a layer without a source starts fresh"
    );
    let gain = &grown["bert.embeddings.LayerNorm.weight"];
    assert_eq!(gain[4..], [1.0, 1.0], "new gains start at one");
}

#[test]
fn scratch_takes_nothing_from_the_small_model() {
    let (small, large) = (bert(2, 4, 6), bert(3, 6, 9));
    let map = OperatorSpec::Scratch
        .build(&small, &large, &Device::flex(), 0.02, 3)
        .unwrap();
    let grown = grow_all(&map, &small, &large, 1);
    for (name, _, fresh) in init::initial_values(&large, 0.02, 3) {
        assert_eq!(grown[&name], fresh, "{name}");
    }
}

#[test]
fn isometric_matrices_have_orthonormal_columns_at_any_ratio() {
    let (small, large) = (bert(2, 6, 12), bert(2, 9, 20));
    let config = LigoConfig {
        width_init: WidthInit::Isometric,
        ..LigoConfig::default()
    };
    let operator = LigoOperator::new(&small, &large, &config, 1).unwrap();
    for name in ["width.hidden", "width.value", "width.ffn"] {
        let tensor = operator.tensors().iter().find(|t| t.name == name).unwrap();
        let [rows, columns] = tensor.shape;
        for (a, b) in (0..columns).flat_map(|a| (0..columns).map(move |b| (a, b))) {
            let dot: f32 = (0..rows)
                .map(|r| tensor.values[r * columns + a] * tensor.values[r * columns + b])
                .sum();
            assert!(
                (dot - f32::from(u8::from(a == b))).abs() < 1e-6,
                "{name} {a} {b}: {dot}"
            );
        }
    }
}

#[test]
fn operators_have_the_parameter_counts_of_the_paper() {
    let small = ModelConfig::Bert(BertConfig::new(30_522, 512, 6, 8)).table();
    let large = ModelConfig::Bert(BertConfig::new(30_522, 768, 12, 12)).table();
    let count = |sharing, fixed_identity| {
        let config = LigoConfig {
            sharing,
            fixed_identity,
            ..LigoConfig::default()
        };
        LigoOperator::new(&small, &large, &config, 1).unwrap().num_parameters()
    };
    let square = 768 * 512;
    let ffn = 3072 * 2048;
    let depth = 8 * 12 * 6;
    assert_eq!(count(Sharing::Shared, false), 5 * square + ffn + depth); // hidden, q, k, v, head
    assert_eq!(
        count(Sharing::PerLargeLayer, false),
        2 * square + 12 * (3 * square + ffn) + depth
    );
    assert_eq!(count(Sharing::Shared, true), 5 * 256 * 512 + 1024 * 2048 + depth);
    let several = |terms, tied| {
        let config = LigoConfig {
            terms,
            tied,
            ..LigoConfig::default()
        };
        LigoOperator::new(&small, &large, &config, 1).unwrap().num_parameters()
    };
    let one = count(Sharing::Shared, false);
    assert_eq!(several(3, true), 3 * one);
    // Columns are hidden, value and ffn; what a tied head reads has rows of its own.
    assert_eq!(several(1, false), one + 2 * square + ffn + square);
}

#[test]
fn over_fresh_values_the_learned_operator_starts_as_a_copy_and_learns_new_entries_too() {
    let (small, large) = (bert(2, 4, 7), bert(4, 6, 10));
    for (depth_init, copy) in [
        (DepthInit::Own, OperatorSpec::DirectCopy),
        (DepthInit::Stack, OperatorSpec::Stackbert),
        (DepthInit::Interpose, OperatorSpec::Interpose),
    ] {
        let config = LigoConfig {
            fresh: 0.02,
            width_init: WidthInit::NearZero,
            width_noise: 0.0,
            depth_init,
            depth_noise: 0.0,
            ..LigoConfig::default()
        };
        let device = Device::flex();
        let operator = LigoOperator::new(&small, &large, &config, 3).unwrap();
        let map = operator.initial_map(&device).unwrap();
        let copied = copy.build(&small, &large, &device, 0.02, 3).unwrap();
        let (start, copied) = (grow_all(&map, &small, &large, 9), grow_all(&copied, &small, &large, 9));
        let graph = OperatorGraph::new(operator.clone(), &mut weights(&small, 9), &device).unwrap();
        for (name, learned) in graph.grow(&|_| None).unwrap() {
            assert_eq!(start[&name], copied[&name], "{name}");
            assert!(largest_difference(&values(learned), &copied[&name]) < 1e-6, "{name}");
        }

        // A step of the residual stream's matrix moves new rows as it would without the fresh values.
        let hidden = operator.tensors().iter().find(|t| t.name == "width.hidden").unwrap();
        let moved = Tensor::<1>::from_floats(vec![0.5; hidden.values.len()].as_slice(), &device);
        let moved = graph
            .grow(&|name| (name == "width.hidden").then(|| moved.clone()))
            .unwrap();
        let name = "bert.embeddings.LayerNorm.weight";
        let new = &values(moved[name].clone())[4..];
        assert!(
            new.iter().zip(&start[name][4..]).all(|(a, b)| (a - b).abs() > 1e-3),
            "{new:?}"
        );

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator");
        let bert = |hidden, layers, ffn| {
            let mut config = BertConfig::new(11, hidden, layers, 1);
            config.intermediate_size = ffn;
            config.max_position_embeddings = 5;
            ModelConfig::Bert(config)
        };
        let spec = OperatorSpec::Ligo(config);
        let info = ligo_growth::OperatorInfo::new(spec, &bert(4, 2, 7), &bert(6, 4, 10), serde_json::Value::Null);
        ligo_growth::save_operator(&path, &map, info).unwrap();
        let (read, _) = ligo_growth::load_operator(&path, &device).unwrap();
        assert_eq!(grow_all(&read, &small, &large, 9), start);
    }
}
