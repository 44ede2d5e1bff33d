//! The memory that a plan predicts is what the process then takes, but for the program itself.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;

use ligo_cost::memory::Memory;
use ligo_cost::plan::Plan;
use ligo_train::TrainResult;

use crate::common::Place;

/// What a step takes more than its parts: gradients on their way, threads' own buffers.
const FACTOR: f64 = 1.3;
/// The program with its tables, threads and data; 30 to 40 MB were measured with two threads, more of them take more.
const PROGRAM_BYTES: f64 = 80e6;

#[test]
fn a_few_steps_of_the_micro_model_take_the_predicted_memory() {
    let plain = peaks(&[]);
    let recomputed = peaks(&["gradient_checkpointing=true"]);
    for (folder, peak) in &recomputed {
        assert!(
            *peak < 0.7 * plain[folder],
            "{folder}: {peak} bytes with gradient checkpointing, {} without",
            plain[folder]
        );
    }
}

/// The largest memory of each part of a run with these settings, of which the plan knew.
fn peaks(settings: &[&str]) -> BTreeMap<String, f64> {
    let place = Place::new();
    let mut run = vec![
        "run",
        "--recipe",
        "bert-micro",
        "--data",
        "text.txt",
        "--out",
        "run",
        "--quiet",
    ];
    // Large batches, so that the prediction is more than the program.
    for setting in [
        "methods=[{name=\"scratch\"},{name=\"ligo\"}]",
        "corpus.valid_fraction=0.3",
        "small.train.steps=2",
        "small.train.eval_batches=1",
        "small.train.schedule.warmup_steps=0",
        "large.train.steps=3",
        "large.train.batch_size=256",
        "large.train.eval_batches=1",
        "large.train.schedule.warmup_steps=0",
        "operator.train.steps=2",
        "operator.train.batch_size=256",
        "operator.train.eval_batches=1",
    ] {
        run.extend(["--set", setting]);
    }
    for setting in settings {
        run.extend(["--set", setting]);
    }
    place.shown(&run);
    let read = |name: &str| fs::read(place.path("run").join(name)).unwrap();
    let plan: Plan = serde_json::from_slice(&read("plan.json")).unwrap();
    let mut peaks = BTreeMap::new();
    let mut check = |folder: String, predicted: &Memory| {
        let result: TrainResult = serde_json::from_slice(&read(&format!("{folder}/result.json"))).unwrap();
        let (measured, predicted) = (result.peak_memory_bytes.unwrap() as f64, predicted.total_bytes());
        assert!(
            predicted > 100e6 || !settings.is_empty(),
            "{folder}: {predicted} bytes are too few to tell anything"
        );
        assert!(
            predicted < measured && measured < FACTOR * predicted + PROGRAM_BYTES,
            "{folder}: {predicted} bytes were predicted, {measured} measured"
        );
        peaks.insert(folder, measured);
    };
    for method in &plan.methods {
        check(format!("methods/{}", method.id), &method.memory);
        if let Some(memory) = &method.operator_memory {
            check(format!("methods/{}/learn", method.id), memory);
        }
    }
    peaks
}
