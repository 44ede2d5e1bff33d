//! The same tiny recipe on a GPU (in CI: Mesa's software Vulkan) and on the CPU.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::path::Path;
use std::process::Command;

const RECIPE: &str = r#"
name = "tiny"
seed = 3

[corpus]
source = "files"
paths = ["text.txt"]

[tokenizer]
vocab_size = 128

[data]
seq_len = 16

[small.model]
hidden_size = 16
num_hidden_layers = 1
num_attention_heads = 1
hidden_dropout_prob = 0.0
attention_probs_dropout_prob = 0.0

[small.train]
steps = 5
batch_size = 8
eval_batches = 2

[large.model]
hidden_size = 24
num_hidden_layers = 2
num_attention_heads = 2
hidden_dropout_prob = 0.0
attention_probs_dropout_prob = 0.0

[large.train]
steps = 5
batch_size = 8
eval_every = 1
eval_batches = 2

[operator.train]
steps = 3
batch_size = 8
eval_every = 1
eval_batches = 2

[[methods]]
name = "scratch"

[[methods]]
name = "ligo"
"#;

/// Sentences that are all different, so that no document is dropped as a duplicate of another.
fn text() -> String {
    let nouns = [
        "river", "model", "layer", "garden", "engine", "letter", "window", "planet",
    ];
    let verbs = [
        "grows", "turns", "follows", "carries", "opens", "reads", "keeps", "moves",
    ];
    let mut text = String::new();
    for i in 0..600_usize {
        let (a, b, c) = (nouns[i % 8], verbs[(i / 8) % 8], nouns[(i / 3) % 8]);
        text += &format!(
            "the {a} {b} the old {c} number {i} while another {} waits\n\n",
            nouns[(i / 5) % 8]
        );
    }
    text
}

fn run(folder: &Path, device: &str) -> Option<(String, serde_json::Value)> {
    let out = folder.join(device);
    let output = Command::new(env!("CARGO_BIN_EXE_ligo"))
        .args(["run", "--recipe", "tiny.toml", "--device", device, "--out"])
        .arg(&out)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    if device == "gpu" && !output.status.success() && said.contains("GPU") && std::env::var_os("CI").is_none() {
        eprintln!("no GPU and no software Vulkan here, nothing to compare:\n{said}");
        return None;
    }
    assert!(output.status.success(), "{said}");
    let summary = std::fs::read(out.join("summary.json")).unwrap();
    Some((said, serde_json::from_slice(&summary).unwrap()))
}

/// Every validation loss of a run: the operator's first, then the large model's.
fn losses(folder: &Path, device: &str) -> Vec<f64> {
    let mut losses = Vec::new();
    for stage in ["small", "methods/ligo/learn", "methods/ligo", "methods/scratch"] {
        let result = std::fs::read(folder.join(device).join(stage).join("result.json")).unwrap();
        let result: serde_json::Value = serde_json::from_slice(&result).unwrap();
        for point in result["curve"].as_array().unwrap() {
            losses.push(point["loss"].as_f64().unwrap());
        }
    }
    losses
}

#[test]
fn three_operator_steps_and_five_training_steps_agree_with_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tiny.toml"), RECIPE).unwrap();
    std::fs::write(folder.path().join("text.txt"), text()).unwrap();
    run(folder.path(), "cpu").unwrap();
    let Some((said, _)) = run(folder.path(), "gpu") else {
        return;
    };
    assert!(said.lines().any(|l| l.starts_with("device:")), "{said}");
    let (cpu, gpu) = (losses(folder.path(), "cpu"), losses(folder.path(), "gpu"));
    assert_eq!(cpu.len(), 2 + 4 + 6 + 6, "{cpu:?}");
    assert_eq!(cpu.len(), gpu.len());
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        assert!((cpu - gpu).abs() < 1e-3, "CPU {cpu} and GPU {gpu} differ");
    }
    assert_ne!(cpu, gpu, "two devices that agree to the last bit are one device");
}
