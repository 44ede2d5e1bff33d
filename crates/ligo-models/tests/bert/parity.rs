use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use half::bf16;
use ligo_arch::ModelConfig;
use ligo_models::Model;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// Largest allowed difference of a logit or a hidden state from what `transformers` computed.
const LIMIT: f64 = 1e-5;

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert");
    let entries = fs::read_dir(root).unwrap().map(|e| e.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|p| p.join("config.json").is_file()).collect();
    folders.sort();
    folders
}

fn floats(view: &TensorView) -> Vec<f32> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect(),
        Dtype::BF16 => data
            .chunks_exact(2)
            .map(|b| bf16::from_le_bytes(b.try_into().unwrap()).to_f32())
            .collect(),
        other => panic!("unexpected dtype {other:?}"),
    }
}

/// Every parameter of a model directory, by today's names.
fn parameters(folder: &Path, device: &Device) -> HashMap<String, Tensor<1>> {
    let mut tensors = HashMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        if !(file.starts_with("model") && file.ends_with(".safetensors")) {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            if name.ends_with(".position_ids") {
                continue;
            }
            let name = name
                .replace("Norm.gamma", "Norm.weight")
                .replace("Norm.beta", "Norm.bias");
            let values = floats(&view);
            let count = values.len();
            tensors.insert(name, Tensor::from_data(TensorData::new(values, [count]), device));
        }
    }
    // Where a file holds both, they may differ, and `transformers` computes with the decoder's.
    if let Some(bias) = tensors.remove("cls.predictions.decoder.bias") {
        tensors.insert("cls.predictions.bias".into(), bias);
    }
    tensors
}

fn integers(reference: &SafeTensors, name: &str, device: &Device) -> Option<Tensor<2, Int>> {
    let view = reference.tensor(name).ok()?;
    let chunks = view.data().chunks_exact(8);
    let values: Vec<i64> = chunks.map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
    let shape = [view.shape()[0], view.shape()[1]];
    Some(Tensor::from_data(TensorData::new(values, shape), device))
}

fn largest_difference(found: &Tensor<3>, reference: &SafeTensors, name: &str) -> f64 {
    let view = reference.tensor(name).unwrap();
    assert_eq!(found.dims(), view.shape(), "{name}");
    let found = found.to_data();
    let pairs = found.iter::<f64>().zip(floats(&view));
    pairs
        .map(|(a, b)| (a - f64::from(b)).abs())
        .fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}

fn check(folder: &Path) -> f64 {
    let device = Device::flex();
    let json = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    let config = ModelConfig::from_json(&json).unwrap();
    let tensors = parameters(folder, &device);
    let table = config.table();
    let optional = table
        .params()
        .filter(|p| !p.spec.required && tensors.contains_key(&p.name));
    let optional: Vec<_> = optional.map(|p| p.name).collect();
    let optional: Vec<_> = optional.iter().map(String::as_str).collect();
    let model = Model::skeleton_with(&config, &optional, &device)
        .unwrap()
        .install_map(tensors)
        .unwrap();

    let bytes = fs::read(folder.join("reference.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let ids = integers(&reference, "input_ids", &device).unwrap();
    let types = integers(&reference, "token_type_ids", &device);
    let mask = integers(&reference, "attention_mask", &device).map(|mask| mask.float());
    let logits = model.logits(ids.clone(), types.clone(), mask.clone());
    let states = model.hidden_states(ids, types, mask);
    let distances = states.iter().enumerate().map(|(i, state)| {
        let name = format!("hidden.{i}");
        (name.clone(), largest_difference(state, &reference, &name))
    });
    let mut distances: Vec<_> = distances.collect();
    distances.push(("logits".into(), largest_difference(&logits, &reference, "logits")));
    let folder = folder.file_name().unwrap().to_str().unwrap();
    for (name, distance) in &distances {
        assert!(
            *distance <= LIMIT,
            "{folder}: {name} differs by {distance:e}; all: {distances:?}"
        );
    }
    println!("{folder}: {distances:?}");
    distances.iter().map(|d| d.1).fold(0.0, f64::max)
}

#[test]
fn logits_and_hidden_states_are_those_of_transformers() {
    let folders = fixtures();
    assert!(folders.len() >= 8, "only {} fixtures", folders.len());
    let worst = folders.iter().map(|folder| check(folder)).fold(0.0, f64::max);
    println!("largest difference over {} fixtures: {worst:e}", folders.len());
}
