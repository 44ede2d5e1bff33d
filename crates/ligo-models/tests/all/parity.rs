//! Logits and hidden states beside those of the reference libraries, for every family that has fixtures.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use half::{bf16, f16};
use ligo_arch::{ModelConfig, ParamTable, Task};
use ligo_models::{
    CausalInputs, DropoutStream, Features, Inputs, Model, ReplacedInputs, SequenceInputs, SpanInputs, TextFeatures,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::fixtures::{fixtures, root};

/// Largest allowed difference of a logit or a hidden state from what `transformers` computed.
const LIMIT: f64 = 1e-5;

fn floats(view: &TensorView) -> Vec<f32> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect(),
        Dtype::F16 => data
            .chunks_exact(2)
            .map(|b| f16::from_le_bytes(b.try_into().unwrap()).to_f32())
            .collect(),
        Dtype::BF16 => data
            .chunks_exact(2)
            .map(|b| bf16::from_le_bytes(b.try_into().unwrap()).to_f32())
            .collect(),
        other => panic!("unexpected dtype {other:?}"),
    }
}

/// Every tensor of a model directory under its name in the file, but for the older names of LayerNorm.
fn stored(folder: &Path) -> HashMap<String, Vec<f32>> {
    let mut tensors = HashMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        if !(file.starts_with("model") && file.ends_with(".safetensors")) {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            if matches!(view.dtype(), Dtype::I64 | Dtype::BOOL | Dtype::U8) {
                continue;
            }
            let name = name
                .replace("Norm.gamma", "Norm.weight")
                .replace("Norm.beta", "Norm.bias");
            tensors.insert(name, floats(&view));
        }
    }
    tensors
}

/// Every parameter that the directory holds, by its name in the table.
fn parameters(folder: &Path, table: &ParamTable) -> HashMap<String, Vec<f32>> {
    let mut stored = stored(folder);
    for (alias, source) in table.ties() {
        // Where a file holds both, they may differ, and `transformers` computes with the decoder's.
        if let Some(values) = stored.remove(alias) {
            stored.insert(source.clone(), values);
        }
    }
    let find = |name: &str| {
        let with = || table.base_prefix().map(|prefix| format!("{prefix}{name}"));
        let without = || table.base_prefix().and_then(|prefix| name.strip_prefix(prefix));
        let full = stored.get_key_value(name);
        full.or_else(|| without().and_then(|bare| stored.get_key_value(bare)))
            .or_else(|| with().and_then(|full| stored.get_key_value(&full)))
    };
    let mut params = HashMap::new();
    let mut unknown: HashSet<&String> = stored.keys().filter(|name| !table.is_buffer(name)).collect();
    for param in table.params() {
        let (name, shape, part) = table.file_part(&param);
        if let Some((name, values)) = find(&name) {
            unknown.remove(name);
            assert_eq!(
                values.len(),
                shape.iter().product::<usize>(),
                "{name} should be {shape:?}"
            );
            params.insert(param.name, part.slice.extract(values));
        }
    }
    assert!(unknown.is_empty(), "the table does not have {unknown:?}");
    params
}

/// What the reference was given.
fn features(reference: &SafeTensors, device: &Device) -> Features {
    if let Ok(pixels) = reference.tensor("pixel_values") {
        let shape: [usize; 4] = pixels.shape().try_into().unwrap();
        let data = TensorData::new(floats(&pixels), shape);
        return Features::Images(Tensor::from_data(data, device));
    }
    Features::Text(TextFeatures {
        input_ids: integers(reference, "input_ids", device).unwrap(),
        token_type_ids: integers(reference, "token_type_ids", device),
        attention_mask: integers(reference, "attention_mask", device).map(|mask| mask.float()),
    })
}

/// A batch with the reference's labels, where it has some: classes `[B]`, or first and last tokens `[B, 2]`.
fn labeled(task: Task, features: &Features, reference: &SafeTensors, device: &Device) -> Option<Inputs> {
    let (Features::Text(text), Ok(view)) = (features, reference.tensor("labels")) else {
        return None;
    };
    let chunks = view.data().chunks_exact(8);
    let labels: Vec<i64> = chunks.map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
    let column = |first: usize, step: usize| {
        let column: Vec<i64> = labels.iter().skip(first).step_by(step).copied().collect();
        let count = column.len();
        Tensor::<1, Int>::from_data(TensorData::new(column, [count]), device)
    };
    let text = text.clone();
    Some(match task {
        Task::SequenceClassification { .. } => Inputs::Sequences(SequenceInputs {
            text,
            labels: column(0, 1),
        }),
        Task::QuestionAnswering => Inputs::Spans(SpanInputs {
            text,
            starts: column(0, 2),
            ends: column(1, 2),
        }),
        Task::ReplacedTokens => Inputs::Replaced(ReplacedInputs {
            text,
            labels: integers(reference, "labels", device).unwrap(),
        }),
        Task::CausalLm => Inputs::Causal(CausalInputs {
            input_ids: text.input_ids.clone(),
            labels: integers(reference, "labels", device).unwrap(),
            documents: None,
            position_ids: None,
        }),
        other => panic!("labels of {other}"),
    })
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
    let shape: Vec<usize> = view.shape().to_vec();
    // One row for each image or text where classes are predicted, and one number for each token of a discriminator.
    let [batch, rows, columns] = found.dims();
    assert!(
        shape == [batch, rows, columns]
            || (rows == 1 && shape == [batch, columns])
            || (columns == 1 && shape == [batch, rows]),
        "{name}: {shape:?}"
    );
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
    let table = config.table();
    let values = parameters(folder, &table);
    let optional = table
        .params()
        .filter(|p| !p.spec.required && values.contains_key(&p.name));
    let optional: Vec<_> = optional.map(|p| p.name).collect();
    let optional: Vec<_> = optional.iter().map(String::as_str).collect();
    let tensors = values.into_iter().map(|(name, values)| {
        let count = values.len();
        (name, Tensor::from_data(TensorData::new(values, [count]), &device))
    });
    let model = Model::skeleton_with(&config, &optional, &device)
        .unwrap()
        .install_map(tensors.collect())
        .unwrap();

    let bytes = fs::read(folder.join("reference.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let features = features(&reference, &device);
    let logits = model.logits(&features).unwrap();
    let states = model.hidden_states(&features).unwrap();
    let distances = states.iter().enumerate().map(|(i, state)| {
        let name = format!("hidden.{i}");
        (name.clone(), largest_difference(state, &reference, &name))
    });
    let mut distances: Vec<_> = distances.collect();
    distances.push(("logits".into(), largest_difference(&logits, &reference, "logits")));
    if let Some(inputs) = labeled(config.task(), &features, &reference, &device) {
        let loss = model.loss(&inputs, &DropoutStream::off()).unwrap().into_scalar::<f64>();
        let expected = floats(&reference.tensor("loss").unwrap())[0];
        distances.push(("loss".into(), (loss - f64::from(expected)).abs()));
    }
    distances.extend(gradients(folder, &config, &reference));
    let folder = folder.strip_prefix(root()).unwrap().display();
    for (name, distance) in &distances {
        assert!(
            *distance <= LIMIT,
            "{folder}: {name} differs by {distance:e}; all: {distances:?}"
        );
    }
    println!("{folder}: {distances:?}");
    distances.iter().map(|d| d.1).fold(0.0, f64::max)
}

/// How far gradients of the loss are from those of the reference, where it has some.
fn gradients(folder: &Path, config: &ModelConfig, reference: &SafeTensors) -> Vec<(String, f64)> {
    let wanted: Vec<&str> = reference
        .names()
        .into_iter()
        .filter_map(|name| name.strip_prefix("gradient."))
        .collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let device = Device::flex().autodiff();
    let leaves = parameters(folder, &config.table()).into_iter().map(|(name, values)| {
        let count = values.len();
        let leaf = Tensor::<1>::from_data(TensorData::new(values, [count]), &device);
        (name, leaf.require_grad())
    });
    let leaves: HashMap<String, Tensor<1>> = leaves.collect();
    let model = Model::skeleton(config, &device)
        .unwrap()
        .install_map(leaves.clone())
        .unwrap();
    let inputs = labeled(config.task(), &features(reference, &device), reference, &device).unwrap();
    let found = model.loss(&inputs, &DropoutStream::off()).unwrap().backward();
    let distance = |name: &str| {
        let gradient = leaves[name].grad(&found).unwrap().into_data();
        let expected = floats(&reference.tensor(&format!("gradient.{name}")).unwrap());
        let pairs = gradient.iter::<f64>().zip(expected);
        pairs.map(|(a, b)| (a - f64::from(b)).abs()).fold(0.0, f64::max)
    };
    wanted
        .into_iter()
        .map(|name| (format!("gradient.{name}"), distance(name)))
        .collect()
}

fn check_family(family: &str, at_least: usize) {
    let folders = fixtures(family);
    assert!(folders.len() >= at_least, "only {} fixtures", folders.len());
    let worst = folders.iter().map(|folder| check(folder)).fold(0.0, f64::max);
    println!(
        "{family}: largest difference over {} fixtures: {worst:e}",
        folders.len()
    );
}

#[test]
fn bert_computes_what_transformers_computes() {
    check_family("bert", 8);
}

#[test]
fn roberta_computes_what_transformers_computes() {
    check_family("roberta", 5);
}

#[test]
fn distilbert_computes_what_transformers_computes() {
    check_family("distilbert", 3);
}

#[test]
fn robertas_by_other_names_compute_what_transformers_computes() {
    check_family("xlm_roberta", 2);
    check_family("camembert", 2);
}

#[test]
fn encoders_without_a_head_compute_what_transformers_computes() {
    check_family("bare_bert", 2);
    check_family("bare_roberta", 1);
    check_family("bare_xlm_roberta", 1);
}

#[test]
fn classifiers_of_texts_compute_what_transformers_computes() {
    check_family("bert_classification", 3);
    check_family("roberta_classification", 3);
}

#[test]
fn models_that_find_answers_compute_what_transformers_computes() {
    check_family("bert_qa", 3);
    check_family("roberta_qa", 3);
}

#[test]
fn albert_computes_what_transformers_computes() {
    check_family("albert", 4);
}

#[test]
fn electra_computes_and_learns_what_transformers_does() {
    check_family("electra", 5);
}

#[test]
fn vit_and_deit_compute_what_transformers_computes() {
    check_family("vit", 6);
}

#[test]
fn cait_computes_what_timm_computes() {
    check_family("cait", 3);
}

#[test]
fn folders_of_timm_compute_what_timm_computes() {
    check_family("timm", 5);
}

#[test]
fn gpt2_computes_what_transformers_computes() {
    check_family("gpt2", 5);
}

#[test]
fn gpt_neox_computes_what_transformers_computes() {
    check_family("gpt_neox", 5);
}

#[test]
fn smollm3_computes_what_transformers_computes() {
    check_family("smollm3", 4);
}

#[test]
fn phi3_computes_what_transformers_computes() {
    check_family("phi3", 6);
}

#[test]
fn olmo2_computes_what_transformers_computes() {
    check_family("olmo2", 3);
}

#[test]
fn mixtral_and_qwen3s_mixture_of_experts_compute_and_learn_what_transformers_does() {
    check_family("moe", 6);
}

#[test]
fn modernbert_computes_what_transformers_computes() {
    check_family("modernbert", 4);
}

#[test]
fn opt_computes_what_transformers_computes() {
    check_family("opt", 5);
}

#[test]
fn llama_mistral_qwen2_and_qwen3_compute_what_transformers_computes() {
    check_family("llama", 18);
}

#[test]
fn gemma_gemma_2_and_gemma_3_compute_what_transformers_computes() {
    check_family("gemma", 9);
}
