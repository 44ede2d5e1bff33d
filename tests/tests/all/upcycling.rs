//! Dense models that become mixtures of experts, and mixtures that get more.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use burn::tensor::Device;
use ligo_arch::{ModelConfig, Param, ParamTable, Resize, Size};
use ligo_checkpoint::{AtomicDir, Declared, Dtype, ModelDir, ModelWriter};
use ligo_growth::stream::{GrowOptions, grow_directory, grow_each};
use ligo_growth::{Error, MemorySource, OperatorSpec, UpcycleConfig, files};
use serde_json::{Value, json};

use crate::common::{Weights, distance, logits, operators, tensors, values, weights};

fn model(more: Value) -> ModelConfig {
    let mut json = json!({"vocab_size": 23, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 20, "head_dim": 4});
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ModelConfig::from_json(&json).unwrap()
}

fn dense() -> [ModelConfig; 3] {
    [
        model(json!({"model_type": "llama", "tie_word_embeddings": true})),
        model(json!({"model_type": "mistral", "sliding_window": 5})),
        model(json!({"model_type": "qwen3", "attention_bias": true})),
    ]
}

fn with_experts(config: &ModelConfig, experts: &str, top_k: usize) -> ModelConfig {
    let resize = Resize {
        experts: Some(experts.parse().unwrap()),
        top_k: Some(top_k),
        ..Resize::default()
    };
    config.resized(&resize).unwrap()
}

/// Every parameter of the small model as the large one's table names it.
fn source(table: &ParamTable, own: &ParamTable, weights: &Weights) -> MemorySource {
    let by_file: HashMap<String, &Vec<f32>> = own.params().map(|p| (own.file_part(&p).0, &weights[&p.name])).collect();
    MemorySource::new(table.params().map(|p| {
        let (file, _, part) = table.file_part(&p);
        let values = part.slice.extract(by_file[&file]);
        (p.name, vec![values.len()], values)
    }))
}

fn grow(spec: &OperatorSpec, small: &ModelConfig, large: &ModelConfig, weights: &Weights) -> Result<Weights, Error> {
    let device = Device::flex();
    let (view, table) = (small.table_for(large), large.table());
    let map = spec.build(&view, &table, &device, 0.4, 1)?;
    let mut grown = Weights::new();
    let mut source = source(&view, &small.table(), weights);
    grow_each(&map, &view, &table, &mut source, &device, &mut |param, values| {
        grown.insert(param.name.clone(), values);
        Ok(())
    })?;
    Ok(grown)
}

fn upcycle(noise: f64, drop: f64) -> OperatorSpec {
    OperatorSpec::Upcycle(UpcycleConfig { noise, drop })
}

fn gap(small: &ModelConfig, large: &ModelConfig) -> f64 {
    let device = Device::flex();
    let weights = weights(&small.table());
    let grown = grow(&upcycle(0.0, 0.0), small, large, &weights).unwrap();
    let before = values(logits(small, tensors(&weights, &device), &device));
    let after = values(logits(large, tensors(&grown, &device), &device));
    distance(&before, &after)
}

#[test]
fn equal_copies_compute_what_the_dense_model_does_whatever_the_fresh_router_says() {
    for small in dense() {
        for (experts, top_k) in [("8", 2), ("3", 1), ("4", 4)] {
            let large = with_experts(&small, experts, top_k);
            let gap = gap(&small, &large);
            println!(
                "{} to {experts} experts, {top_k} of them: {gap:.1e}",
                small.model_type()
            );
            assert!(gap <= 1e-5, "{}: {gap:e}", small.model_type());
        }
    }
}

/// Experts that are `shares` times smaller than the feed-forward network.
fn with_finer_experts(config: &ModelConfig, experts: &str, top_k: usize, shares: usize) -> ModelConfig {
    let resize = Resize {
        experts: Some(experts.parse().unwrap()),
        top_k: Some(top_k),
        granularity: Some(shares),
        ..Resize::default()
    };
    config.resized(&resize).unwrap()
}

#[test]
fn shares_of_the_neurons_compute_what_all_do_where_tokens_go_through_whole_sets_of_them() {
    for small in dense() {
        for (experts, top_k, shares) in [("8", 4, 2), ("8", 2, 2), ("12", 8, 4), ("4", 4, 4), ("10", 5, 5)] {
            let gap = gap(&small, &with_finer_experts(&small, experts, top_k, shares));
            println!(
                "{} to {experts} experts of 1/{shares}, {top_k} of them: {gap:.1e}",
                small.model_type()
            );
            assert!(gap <= 1e-5, "{}: {gap:e}", small.model_type());
        }
        // Half of an expert is missing.
        let gap = gap(&small, &with_finer_experts(&small, "8", 3, 2));
        assert!(gap > 1e-3, "{}: {gap:e}", small.model_type());
    }
}

#[test]
fn the_shares_of_an_expert_are_the_neurons_one_behind_the_other() {
    let small = model(json!({"model_type": "llama"}));
    let large = with_finer_experts(&small, "8", 4, 4);
    let weights = weights(&small.table());
    let grown = grow(&upcycle(0.0, 0.0), &small, &large, &weights).unwrap();
    let of = |expert: usize, matrix: &str| &grown[&format!("model.layers.1.mlp.experts.{expert}.{matrix}.weight")];
    for first in [0, 4] {
        for matrix in ["gate_proj", "up_proj"] {
            let whole: Vec<f32> = (first..first + 4).flat_map(|e| of(e, matrix).clone()).collect();
            assert_eq!(whole, weights[&format!("model.layers.1.mlp.{matrix}.weight")]);
        }
        let down = &weights["model.layers.1.mlp.down_proj.weight"];
        for (row, expected) in down.chunks(20).enumerate() {
            let found = (first..first + 4).flat_map(|e| of(e, "down_proj")[row * 5..][..5].to_vec());
            assert_eq!(
                found.collect::<Vec<_>>(),
                expected.iter().map(|v| 4.0 * v).collect::<Vec<_>>()
            );
        }
        let router = &grown["model.layers.1.mlp.gate.weight"];
        let row = |e: usize| &router[e * 16..][..16];
        assert!((first + 1..first + 4).all(|e| row(e) == row(first)));
    }
    let router = &grown["model.layers.1.mlp.gate.weight"];
    assert_ne!(router[..16], router[4 * 16..][..16]);
}

#[test]
fn shares_that_cannot_be_are_refused() {
    let small = model(json!({"model_type": "qwen3"}));
    let refused = |small: &ModelConfig, experts: &str, shares: usize| {
        let resize = Resize {
            experts: Some(experts.parse().unwrap()),
            granularity: Some(shares),
            ..Resize::default()
        };
        small.resized(&resize).unwrap_err().to_string()
    };
    assert!(refused(&small, "9", 3).contains("20 neurons have no 3 equal shares"));
    assert!(refused(&small, "6", 4).contains("6 experts have no 4 equal shares"));
    assert!(refused(&small, "4", 0).contains("no 0 equal shares"));
    let mixture = with_experts(&small, "4", 2);
    assert!(refused(&mixture, "8", 2).contains("the model has experts"));
}

#[test]
fn probabilities_that_are_not_normalized_do_not_sum_to_one() {
    let small = model(json!({"model_type": "qwen3"}));
    let mut json = with_experts(&small, "4", 2).to_json();
    json["norm_topk_prob"] = false.into();
    assert!(gap(&small, &ModelConfig::from_json(&json).unwrap()) > 1e-3);
}

#[test]
fn twice_the_experts_compute_the_same_where_tokens_go_through_twice_as_many() {
    let kinds = [
        json!({"model_type": "mixtral", "num_local_experts": 3, "num_experts_per_tok": 2}),
        json!({"model_type": "qwen3_moe", "num_experts": 3, "num_experts_per_tok": 1, "moe_intermediate_size": 10, "norm_topk_prob": true,
            "mlp_only_layers": [0]}),
    ];
    for (small, active) in kinds.map(model).iter().zip([2, 1]) {
        let exact = gap(small, &with_experts(small, "2x", 2 * active));
        assert!(exact <= 1e-5, "{}: {exact:e}", small.model_type());
        // A token's experts are then its best one twice.
        if active > 1 {
            let other = gap(small, &with_experts(small, "2x", active));
            assert!(other > 1e-3, "{}: {other:e}", small.model_type());
        }
    }
}

/// Rows, or columns, in which two matrices differ.
fn changed(before: &[f32], after: &[f32], columns: usize, by_column: bool) -> BTreeSet<usize> {
    let differing = before.iter().zip(after).enumerate().filter(|(_, (a, b))| a != b);
    let place = |index: usize| if by_column { index % columns } else { index / columns };
    differing.map(|(index, _)| place(index)).collect()
}

#[test]
fn dropped_neurons_begin_anew_and_are_the_same_in_all_matrices_of_an_expert() {
    let small = model(json!({"model_type": "llama"}));
    let large = with_experts(&small, "4", 2);
    let weights = weights(&small.table());
    let grown = grow(&upcycle(0.0, 0.5), &small, &large, &weights).unwrap();
    let mut dropped = Vec::new();
    for (layer, expert) in [(0, 0), (0, 3), (1, 3)] {
        let neurons = ["gate_proj", "up_proj", "down_proj"].map(|matrix| {
            let before = &weights[&format!("model.layers.{layer}.mlp.{matrix}.weight")];
            let after = &grown[&format!("model.layers.{layer}.mlp.experts.{expert}.{matrix}.weight")];
            let columns = if matrix == "down_proj" { 20 } else { 16 };
            changed(before, after, columns, matrix == "down_proj")
        });
        assert_eq!(neurons[0].len(), 10, "half of twenty");
        assert!(neurons.iter().all(|other| *other == neurons[0]), "{neurons:?}");
        dropped.push(neurons[0].clone());
    }
    assert!(dropped[0] != dropped[1] && dropped[1] != dropped[2], "{dropped:?}");
    // What is new is distributed as what it replaces.
    let spread = |values: &[f32]| (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt();
    let before = spread(&weights["model.layers.0.mlp.up_proj.weight"]);
    let after = spread(&grown["model.layers.0.mlp.experts.2.up_proj.weight"]);
    assert!((before - after).abs() < 0.2 * before, "{before} and {after}");
    // Nothing else moves.
    let name = "model.layers.0.self_attn.q_proj.weight";
    assert_eq!(grown[name], weights[name]);
}

#[test]
fn noise_makes_copies_differ_and_leaves_the_experts_that_were_there() {
    let small = model(json!({"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 1}));
    let large = with_experts(&small, "4", 1);
    let weights = weights(&small.table());
    let grown = grow(&upcycle(0.1, 0.0), &small, &large, &weights).unwrap();
    let name = |expert: usize| format!("model.layers.1.mlp.experts.{expert}.gate_proj.weight");
    let distance = |expert: usize, of: usize| {
        let (before, after) = (&weights[&name(of)], &grown[&name(expert)]);
        let squares = |x: &mut dyn Iterator<Item = f32>| x.map(|v| v * v).sum::<f32>().sqrt();
        let difference = squares(&mut before.iter().zip(after).map(|(a, b)| a - b));
        difference / squares(&mut before.iter().copied())
    };
    assert_eq!([distance(0, 0), distance(1, 1)], [0.0, 0.0]);
    for (expert, of) in [(2, 0), (3, 1)] {
        assert!((0.05..0.2).contains(&distance(expert, of)), "{}", distance(expert, of));
    }
    let router = "model.layers.0.mlp.gate.weight";
    let (old, new) = grown[router].split_at(2 * 16);
    assert_eq!(old, weights[router]);
    assert!(old != new && old.iter().zip(new).all(|(a, b)| (a - b).abs() < 0.4));
}

#[test]
fn nothing_but_upcycling_adds_experts_and_it_adds_nothing_else() {
    let [small, ..] = dense();
    let large = with_experts(&small, "4", 2);
    for spec in operators() {
        let outcome = spec.check(&small.table_for(&large), &large.table());
        match spec {
            OperatorSpec::Upcycle(_) | OperatorSpec::Scratch => outcome.unwrap(),
            _ => {
                let error = outcome.unwrap_err().to_string();
                assert!(
                    error.contains("experts grow from 1 to 4") && error.contains("upcycle"),
                    "{error}"
                );
            }
        }
    }
    let deeper = large
        .resized(&Resize {
            layers: Some(Size::Times(2.0)),
            ..Resize::default()
        })
        .unwrap();
    let error = upcycle(0.0, 0.0)
        .check(&small.table_for(&deeper), &deeper.table())
        .unwrap_err();
    assert!(
        error.to_string().contains("layers of decoder grow from 2 to 4"),
        "{error}"
    );
    for (noise, drop) in [(-1.0, 0.0), (f64::NAN, 0.0), (0.0, 1.5)] {
        assert!(
            upcycle(noise, drop)
                .check(&small.table_for(&large), &large.table())
                .is_err()
        );
    }
}

fn write(path: &Path, config: &ModelConfig, values: &Weights) {
    let table = config.table();
    let params: Vec<Param<'_>> = table.params().collect();
    let tensors = files::to_files(&table, &params, values).unwrap();
    let dir = AtomicDir::begin(path).unwrap();
    let declared = tensors.iter().map(|(name, shape, _)| Declared {
        name: name.clone(),
        dtype: Dtype::F32,
        shape: shape.clone(),
    });
    let mut writer = ModelWriter::new(&dir, declared.collect(), u64::MAX).unwrap();
    for (name, _, values) in &tensors {
        writer.write_f32(name, values).unwrap();
    }
    writer.write_config(&config.to_json()).unwrap();
    writer.finish().unwrap();
    dir.commit().unwrap();
}

#[test]
fn from_file_to_file_it_is_what_it_is_in_memory() {
    let mixture = model(json!({"model_type": "mixtral", "num_local_experts": 3, "num_experts_per_tok": 2}));
    for (small, experts) in dense().iter().map(|small| (small, "4")).chain([(&mixture, "5")]) {
        for spec in [upcycle(0.0, 0.0), upcycle(0.2, 0.3)] {
            let folder = tempfile::tempdir().unwrap();
            let (from, to) = (folder.path().join("small"), folder.path().join("large"));
            let large = with_experts(small, experts, 2);
            let values = weights(&small.table());
            write(&from, small, &values);
            let device = Device::flex();
            let (view, table) = (small.table_for(&large), large.table());
            let map = spec.build(&view, &table, &device, 0.4, 1).unwrap();
            let mut dir = files::with_params(ModelDir::open(&from).unwrap(), &small.table());
            let options = GrowOptions::default();
            grow_directory(&map, &mut dir, small, &large, &to, &options, &device, &mut |_, _| true).unwrap();
            let written = files::with_params(ModelDir::open(&to).unwrap(), &table);
            assert_eq!(ModelConfig::from_json(written.config().unwrap()).unwrap(), large);
            assert_eq!(files::beyond(&written, &table), Vec::<String>::new());
            let grown = grow(&spec, small, &large, &values).unwrap();
            for param in table.params() {
                let found = written.read_f32(&param.name).unwrap();
                assert_eq!(found, grown[&param.name], "{}: {}", small.model_type(), param.name);
            }
        }
    }
}
