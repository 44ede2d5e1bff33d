//! Operators that copy channels, neurons and heads: Net2Net, bert2BERT and what is built on them.

use burn::tensor::Device;
use ligo_arch::{Axis, LlamaConfig, ModelConfig, ParamTable};
use ligo_growth::{Choice, CopyConfig, CopyScale, Error, Factors, LinearMap, OperatorSpec};

use crate::common::{self, grow_all};

fn gpt2(hidden: usize, layers: usize, heads: usize) -> ParamTable {
    common::gpt2(hidden, layers, heads).table()
}

/// Two query heads of four entries to each key head.
fn llama(hidden: usize, groups: usize) -> ParamTable {
    let config = LlamaConfig {
        num_key_value_heads: Some(groups),
        head_dim: Some(4),
        ..LlamaConfig::new(11, hidden, 1, 2 * groups, 10)
    };
    ModelConfig::Llama(config).table()
}

fn fpi(choice: Choice, scale: CopyScale) -> OperatorSpec {
    OperatorSpec::Fpi(CopyConfig { choice, scale })
}

fn build(spec: &OperatorSpec, small: &ParamTable, large: &ParamTable) -> LinearMap {
    spec.build(small, large, &Device::flex(), 0.02, 7).unwrap()
}

/// A matrix of an axis, row by row.
fn matrix(factors: &Factors, axis: Axis) -> Vec<Vec<f64>> {
    let tensor = factors.get(axis, 0).unwrap().clone();
    let [_, columns] = tensor.dims();
    let values: Vec<f64> = tensor.into_data().iter::<f64>().collect();
    values.chunks(columns).map(<[f64]>::to_vec).collect()
}

/// Which channel each row copies.
fn sources(rows: &[Vec<f64>]) -> Vec<usize> {
    let source = |row: &Vec<f64>| {
        let found: Vec<usize> = (0..row.len()).filter(|j| row[*j] != 0.0).collect();
        assert_eq!(found.len(), 1, "{row:?}");
        found[0]
    };
    rows.iter().map(source).collect()
}

#[test]
fn readers_undo_what_copies_multiply() {
    // Net2Net's condition: Outᵀ · In = I, so that In · (Out · x) is a sum of x over shares that add up to one.
    let (small, large) = (gpt2(8, 2, 2), gpt2(20, 2, 5));
    for choice in [Choice::Uniform, Choice::Balanced, Choice::Cyclic] {
        let map = build(&fpi(choice, CopyScale::Count), &small, &large);
        let term = &map.terms[0];
        for axis in [Axis::HIDDEN, Axis::VALUE, Axis::FFN, Axis::QUERY] {
            let (out, input) = (matrix(&term.out, axis), matrix(term.input.as_ref().unwrap(), axis));
            let n = small.size(axis);
            for (a, b) in (0..n).flat_map(|a| (0..n).map(move |b| (a, b))) {
                let dot: f64 = out.iter().zip(&input).map(|(o, i)| o[a] * i[b]).sum();
                assert!(
                    (dot - f64::from(u8::from(a == b))).abs() < 1e-6,
                    "{axis} {a} {b}: {dot}"
                );
            }
            let old: Vec<usize> = sources(&out)[..n].to_vec();
            assert_eq!(old, (0..n).collect::<Vec<_>>(), "old channels stay where they are");
        }
    }
}

#[test]
fn attention_grows_by_whole_heads_the_same_ones_in_queries_keys_and_values() {
    let (small, large) = (llama(24, 3), llama(56, 7));
    let map = build(&fpi(Choice::Uniform, CopyScale::Count), &small, &large);
    let groups = |axis: Axis, width: usize| -> Vec<usize> {
        let sources = sources(&matrix(&map.terms[0].out, axis));
        let groups = sources.chunks(width).map(|group| {
            let start = group[0];
            assert_eq!(start % width, 0, "{axis}");
            assert_eq!(group.to_vec(), (start..start + width).collect::<Vec<_>>(), "{axis}");
            start / width
        });
        groups.collect()
    };
    let keys = groups(Axis::KEY, 4);
    assert_eq!(keys.len(), 7);
    assert!(
        keys[3..].iter().any(|g| *g != keys[3]),
        "one seed draws different heads"
    );
    assert_eq!(groups(Axis::VALUE, 4), keys);
    assert_eq!(groups(Axis::QUERY, 8), keys, "a group's queries come with it");
}

#[test]
fn balanced_copies_are_as_equal_in_number_as_the_sizes_allow() {
    let (small, large) = (gpt2(8, 1, 2), gpt2(28, 1, 7));
    let map = build(&fpi(Choice::Balanced, CopyScale::Count), &small, &large);
    for axis in [Axis::HIDDEN, Axis::FFN, Axis::VALUE] {
        let sources = sources(&matrix(&map.terms[0].out, axis));
        let counts: Vec<usize> = (0..small.size(axis))
            .map(|j| sources.iter().filter(|s| **s == j).count())
            .collect();
        let (fewest, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - fewest <= 1, "{axis}: {counts:?}");
    }
}

#[test]
fn the_scale_of_sparkling_keeps_the_root_mean_square_and_equals_the_count_on_doubling() {
    let small = gpt2(8, 1, 2);
    let share = |hidden: usize, heads: usize, scale| {
        let map = build(&fpi(Choice::Balanced, scale), &small, &gpt2(hidden, 1, heads));
        matrix(map.terms[0].input.as_ref().unwrap(), Axis::FFN)
    };
    assert_eq!(share(16, 4, CopyScale::Rms), share(16, 4, CopyScale::Count));
    assert_eq!(share(32, 8, CopyScale::Rms), share(32, 8, CopyScale::Count));
    // Half as wide again: half of the inputs occur twice, so squares sum to (1 + 3 · ½) d.
    let rows = share(12, 3, CopyScale::Rms);
    let columns = rows[0].len();
    let mut sum_of_squares = 0.0;
    for j in 0..columns {
        let sum: f64 = rows.iter().map(|row| row[j]).sum();
        sum_of_squares += sum * sum;
    }
    assert!((sum_of_squares / columns as f64 - 1.0).abs() < 1e-6, "{sum_of_squares}");
}

#[test]
fn aki_takes_old_rows_from_the_layer_itself_and_new_ones_from_the_layer_above() {
    let (small, large) = (gpt2(8, 3, 2), gpt2(12, 7, 3));
    let grown = |name| {
        grow_all(
            &build(&OperatorSpec::from_name(name).unwrap(), &small, &large),
            &small,
            &large,
            1,
        )
    };
    let (copied, ahead) = (grown("fpi"), grown("aki"));
    // Layers of FPI: 0 1 2 0 1 2 2, so that layer 1 is above layer 0, and the last is above itself.
    let above = [1, 2, 2, 1, 2, 2, 2];
    for (layer, above) in above.into_iter().enumerate() {
        for (tensor, rows, old_rows) in [
            ("attn.c_attn.query.weight", 12, 8),
            ("attn.c_attn.value.bias", 12, 8),
            ("attn.c_proj.weight", 12, 8),
            ("mlp.c_fc.weight", 48, 32),
            ("mlp.c_proj.bias", 12, 8),
        ] {
            let name = |layer: usize| format!("transformer.h.{layer}.{tensor}");
            let split = ahead[&name(layer)].len() / rows * old_rows;
            assert_eq!(
                ahead[&name(layer)][..split],
                copied[&name(layer)][..split],
                "layer {layer}: {tensor}"
            );
            assert_eq!(
                ahead[&name(layer)][split..],
                copied[&name(above)][split..],
                "layer {layer}: {tensor}"
            );
        }
    }
    for (name, values) in &copied {
        if !name.contains(".h.") {
            assert_eq!(&ahead[name], values, "{name} stands outside all layers");
        }
    }
    let differs = |tensor: &str| ahead[tensor] != copied[tensor];
    assert!(
        differs("transformer.h.0.mlp.c_fc.weight"),
        "otherwise nothing was tested"
    );
}

#[test]
fn heads_of_another_size_are_refused() {
    let (small, large) = (gpt2(8, 1, 2), gpt2(16, 1, 2));
    for name in ["fpi", "aki", "lemon", "expansions", "hyper-cloning"] {
        let spec = OperatorSpec::from_name(name).unwrap();
        let error = spec.build(&small, &large, &Device::flex(), 0.02, 1).unwrap_err();
        assert!(
            matches!(&error, Error::CannotGrow { operator, reason, .. } if *operator == name && reason.contains("keep their size")),
            "{name}: {error}"
        );
    }
}

#[test]
fn the_middle_is_copied_and_the_ends_stay() {
    let layers = |small: usize, large: usize| -> Vec<usize> {
        let (small, large) = (gpt2(4, small, 1), gpt2(4, large, 1));
        let map = build(&OperatorSpec::Middle, &small, &large);
        let depth = map.terms[0].depth[&("decoder", "query")].clone();
        let [_, columns] = depth.dims();
        let values: Vec<f64> = depth.into_data().iter::<f64>().collect();
        sources(&values.chunks(columns).map(<[f64]>::to_vec).collect::<Vec<_>>())
    };
    assert_eq!(
        layers(6, 8),
        [0, 1, 2, 3, 2, 3, 4, 5],
        "three blocks of two layers, the second twice"
    );
    assert_eq!(layers(4, 5), [0, 1, 1, 2, 3], "of four blocks the second");
    assert_eq!(
        layers(5, 7),
        [0, 1, 2, 1, 2, 3, 4],
        "blocks that do not divide the layers are centered"
    );
    assert_eq!(layers(2, 4), [0, 1, 0, 1]);
    assert_eq!(layers(2, 7).len(), 7, "the whole model as often as it takes");
    assert_eq!(layers(3, 3), [0, 1, 2]);
}

#[test]
fn tiles_stand_around_the_small_model_and_are_not_divided() {
    let (small, large) = (gpt2(12, 2, 3), gpt2(20, 4, 5));
    let map = build(&OperatorSpec::Tiling, &small, &large);
    let term = &map.terms[0];
    // Four channels, or one head of four, on each side: the last ones before the small model, the first ones behind it.
    let expected: Vec<usize> = (0..12).chain(8..12).chain(0..4).collect();
    for axis in [Axis::HIDDEN, Axis::VALUE, Axis::QUERY] {
        let rows = matrix(&term.out, axis);
        assert_eq!(sources(&rows), expected, "{axis}");
        assert!(rows.iter().flatten().all(|value| [0.0, 1.0].contains(value)), "{axis}");
    }
    assert!(term.input.is_none(), "what reads a copy reads all of it");
    let depth = term.depth[&("decoder", "query")].clone();
    let values: Vec<f64> = depth.into_data().iter::<f64>().collect();
    assert_eq!(
        sources(&values.chunks(2).map(<[f64]>::to_vec).collect::<Vec<_>>()),
        [0, 0, 1, 1]
    );
    // More than twice as wide, it goes on around.
    let wide = build(&OperatorSpec::Tiling, &small, &gpt2(32, 2, 8));
    let heads: Vec<usize> = sources(&matrix(&wide.terms[0].out, Axis::VALUE))
        .into_iter()
        .step_by(4)
        .collect();
    assert_eq!(heads, [0, 4, 8, 4, 8, 0, 4, 8]);
}
