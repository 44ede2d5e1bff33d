//! Counts what a training step asks of a GPU: kernel launches, reads, uploads. No kernel runs, so software Vulkan will do.
//!
//! `cargo run --release -p ligo-benches --features wgpu --bin launches -- [--json] [--kernels] [--dropout P]`
#![allow(clippy::print_stdout)]

use burn::tensor::{Device, DeviceKind};
use ligo_benches::launches::{self, FAMILIES, FIXED, Step, config, operator_step, plain_step, widened};
use ligo_train::Error;
use serde_json::{Map, Value, json};

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let dropout = arguments.iter().position(|argument| argument == "--dropout");
    let dropout = dropout.and_then(|i| arguments.get(i + 1)?.parse().ok()).unwrap_or(0.1);
    let device = Device::wgpu(DeviceKind::Cpu);
    let mut all = Map::new();
    for (name, limit) in FAMILIES {
        let Some(family) = launches::family(name, dropout, &device)? else {
            continue;
        };
        if !has("--json") {
            println!(
                "{name:8} {:6.1} + {:5.1} L launches (at most {FIXED} + {limit} L), {} reads, {} bytes of the batch and {} others",
                family.base, family.per_layer, family.step.reads, family.step.batch_bytes, family.step.other_bytes,
            );
        }
        if has("--kernels") {
            list(&family.step);
        }
        all.insert(name.into(), family.to_json());
    }
    // As deep as BERT-Small and BERT-Base.
    if let (Some(small), Some(large)) = (config("bert", 6, dropout), config("bert", 12, dropout)) {
        let wider = widened(&large);
        let (plain, operator) = (plain_step(&wider, &device)?, operator_step(&small, &wider, &device)?);
        let ratio = operator.launches() as f64 / plain.launches() as f64;
        if !has("--json") {
            println!(
                "operator {} launches, {ratio:.2} times the plain step's {}, {} reads, {} bytes beside the batch",
                operator.launches(),
                plain.launches(),
                operator.reads,
                operator.other_bytes,
            );
        }
        if has("--kernels") {
            list(&operator);
        }
        let mut value = json!({"launches": operator.launches(), "reads": operator.reads});
        value["launches_over_plain"] = json!(ratio);
        all.insert("operator".into(), value);
    }
    if has("--json") {
        println!("{}", Value::Object(all));
    }
    Ok(())
}

/// The kernels of a step, the most frequent first.
fn list(step: &Step) {
    let mut kernels: Vec<_> = step.kernels.iter().collect();
    kernels.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    kernels
        .iter()
        .for_each(|(kernel, count)| println!("    {count:5}  {kernel}"));
}
