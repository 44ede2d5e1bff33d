//! Tensors of many megabytes are grown by the same formula as small ones, whatever blocks they are made in.

use std::collections::HashMap;

use burn::tensor::Device;
use ligo_arch::{Axis, BertConfig, ModelConfig, ParamTable};
use ligo_growth::{LigoConfig, LigoOperator, MemorySource, WidthInit, init};

fn table(vocab: usize, hidden: usize, ffn: usize) -> ParamTable {
    let config = BertConfig {
        intermediate_size: ffn,
        max_position_embeddings: 8,
        ..BertConfig::new(vocab, hidden, 1, 1)
    };
    ModelConfig::Bert(config).table()
}

/// Row `row` of `Out · W · Inᵀ` in f64, entry by entry; an axis without a matrix is the identity.
fn expected_row(row: usize, weight: &[f32], columns: usize, out: Option<&[f32]>, input: &[f32]) -> Vec<f64> {
    let rows = weight.len() / columns;
    let mut mixed = vec![0.0; columns];
    for i in 0..rows {
        let factor = out.map_or(f64::from(u8::from(i == row)), |out| f64::from(out[row * rows + i]));
        for (mixed, w) in mixed.iter_mut().zip(&weight[i * columns..]) {
            *mixed += factor * f64::from(*w);
        }
    }
    let dot = |row: &[f32]| row.iter().zip(&mixed).map(|(a, m)| f64::from(*a) * m).sum();
    input.chunks(columns).map(dot).collect()
}

#[test]
fn large_tables_and_matrices_follow_the_formula_to_the_last_row() {
    // 20 MB each: a table with rows of its own, and a matrix whose rows and columns both grow.
    let (small, large) = (table(13_001, 256, 1031), table(13_001, 384, 13_007));
    let config = LigoConfig {
        width_init: WidthInit::Gaussian,
        ..LigoConfig::default()
    };
    let operator = LigoOperator::new(&small, &large, &config, 1).unwrap();
    let widths: HashMap<&str, &[f32]> = operator
        .tensors()
        .iter()
        .map(|t| (t.name.as_str(), t.values.as_slice()))
        .collect();
    let device = Device::flex();
    let map = operator.initial_map(&device).unwrap();
    for (name, out) in [
        ("bert.embeddings.word_embeddings.weight", None),
        (
            "bert.encoder.layer.0.intermediate.dense.weight",
            Some(widths["width.ffn"]),
        ),
    ] {
        let weight = init::normal(&mut init::rng(2, name), 1.0, small.get(name).unwrap().num_elements());
        let columns = small.size(Axis::HIDDEN);
        let shape = small.get(name).unwrap().shape;
        let mut source = MemorySource::new([(name.to_owned(), shape, weight.clone())]);
        let param = large.get(name).unwrap();
        let grown = map.grow_param(&small, &param, &mut source, &device).unwrap();
        let grown = grown.try_into_vec_as::<f32>().unwrap();
        assert!(4 * grown.len() > 19_000_000, "{name}: {} values", grown.len());

        let width = large.size(Axis::HIDDEN);
        let rows = grown.len() / width;
        // Every row has something in it, and rows from everywhere are exact.
        for (row, values) in grown.chunks(width).enumerate() {
            assert!(values.iter().any(|v| *v != 0.0), "{name}: row {row} is empty");
        }
        for row in (0..rows).step_by(997).chain([rows - 1]) {
            let expected = expected_row(row, &weight, columns, out, widths["width.hidden"]);
            let scale = expected.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            for (column, expected) in expected.iter().enumerate() {
                let found = f64::from(grown[row * width + column]);
                let difference = (found - expected).abs();
                assert!(
                    difference < 1e-5 * scale,
                    "{name} [{row}, {column}]: {found}, expected {expected}"
                );
            }
        }
    }
}
