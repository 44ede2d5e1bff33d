//! 100 steps of a tiny BERT and a tiny GPT-2 on a stored text have the losses that they had: to the bit on the kind of processor, with
//! the kernels, that computed the stored ones, to rounding elsewhere: 1e-5 in the first ten steps. `UPDATE_GOLDEN=1` stores those of today, after a change that is meant.

use std::fs;
use std::path::PathBuf;

use ligo_metrics::{Record, read};
use serde_json::{Value, json};

use crate::common::{Place, fixture};

const STEPS: usize = 100;

fn stored(name: &str) -> PathBuf {
    fixture("golden").join(name)
}

/// The losses of all steps, and the kernels that computed them.
fn losses(kind: &str, config: &Value) -> (Vec<f64>, String) {
    let place = Place::new();
    place.write("text.txt", fs::read(stored("text.txt")).unwrap());
    place.write("model.json", config.to_string());
    place.shown(&[
        "tokenize",
        "--data",
        "text.txt",
        "--kind",
        kind,
        "--vocab-size",
        "300",
        "--out",
        "data",
    ]);
    let steps = format!("steps={STEPS}");
    let train = [
        "train",
        "--model",
        "model.json",
        "--tokens",
        "data",
        "--seq-len",
        "16",
        "--seed",
        "5",
        "--out",
        "run",
    ];
    let settings = [
        "--set",
        &steps,
        "--set",
        "batch_size=8",
        "--set",
        "eval_every=0",
        "--set",
        "schedule.peak_lr=2e-3",
    ];
    place.shown(&[&train[..], &settings].concat());
    let records = read(place.path("run/metrics.jsonl")).unwrap();
    let losses = records.iter().filter_map(|record| match record {
        Record::Train(record) => Some(record.loss),
        _ => None,
    });
    let stage: Value = serde_json::from_slice(&fs::read(place.path("run/stage.json")).unwrap()).unwrap();
    let kernels = stage["inputs"]["kernels"].as_str().unwrap().to_owned();
    (losses.collect(), kernels)
}

/// Which processor this is. Matrix products are cut by the sizes of its caches, which may decide last bits, and virtual ones share a name.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of_first = text.lines().take_while(|line| !line.is_empty());
    let fields = of_first.filter_map(|line| line.split_once(':'));
    let telling = ["model name", "cpu family", "model", "stepping", "cache size"];
    let values = fields.filter(|(name, _)| telling.contains(&name.trim()));
    values
        .map(|(_, value)| value.trim().to_owned())
        .collect::<Vec<_>>()
        .join(", ")
}

/// How far losses may be from those of another processor: rounding alone at first, which training makes larger step by step.
fn tolerance(step: usize) -> f64 {
    if step < 10 { 1e-5 } else { 1e-2 }
}

fn golden(name: &str, kind: &str, config: &Value) {
    let (losses, kernels) = losses(kind, config);
    assert_eq!(losses.len(), STEPS);
    let path = stored(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let stored = json!({"kernels": kernels, "processor": processor(), "losses": losses});
        fs::write(&path, format!("{stored:#}\n")).unwrap();
        return;
    }
    let stored: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let expected: Vec<f64> = serde_json::from_value(stored["losses"].clone()).unwrap();
    // What is learned must be something, or equal numbers would say little.
    assert!(expected[STEPS - 1] < 0.8 * expected[0], "{expected:?}");
    let exact = stored["kernels"] == kernels.as_str() && stored["processor"] == processor();
    for (step, (found, expected)) in losses.iter().zip(&expected).enumerate() {
        let same = match exact {
            true => found.to_bits() == expected.to_bits(),
            false => (found - expected).abs() <= tolerance(step) * expected.abs(),
        };
        assert!(
            same,
            "step {step} by {kernels} (stored: {}): {found}, expected {expected}",
            stored["kernels"]
        );
    }
    println!(
        "{name}: {} by {kernels}",
        if exact { "to the bit" } else { "to rounding" }
    );
}

#[test]
fn a_tiny_bert_learns_as_it_did() {
    let config = json!({"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 16});
    golden("bert.json", "word-piece", &config);
}

#[test]
fn a_tiny_gpt2_learns_as_it_did() {
    let config = json!({"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 16});
    golden("gpt2.json", "gpt2", &config);
}
