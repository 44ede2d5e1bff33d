//! The same tiny recipe on a GPU (in CI: Mesa's software Vulkan) and on the CPU.
#![cfg(feature = "wgpu")]

use std::path::Path;
use std::process::Command;

use crate::common::LIGO;

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
    run_with(folder, device, &[])
}

/// The recipe with changed settings.
fn run_with(folder: &Path, device: &str, settings: &[&str]) -> Option<(String, serde_json::Value)> {
    let out = folder.join(device);
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let output = Command::new(LIGO)
        .args(["run", "--recipe", "tiny.toml", "--device", device, "--out"])
        .arg(&out)
        .args(settings)
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

#[test]
fn muon_and_an_average_agree_with_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tiny.toml"), RECIPE).unwrap();
    std::fs::write(folder.path().join("text.txt"), text()).unwrap();
    let settings = [
        "small.train.optimizer.kind=\"muon\"",
        "large.train.optimizer.kind=\"muon\"",
        "large.train.average.ema=0.5",
        "large.train.schedule.peak_lr=2e-3",
    ];
    run_with(folder.path(), "cpu", &settings).unwrap();
    if run_with(folder.path(), "gpu", &settings).is_none() {
        return;
    }
    let (cpu, gpu) = (losses(folder.path(), "cpu"), losses(folder.path(), "gpu"));
    assert_eq!(cpu.len(), gpu.len());
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        assert!((cpu - gpu).abs() < 1e-3, "CPU {cpu} and GPU {gpu} differ");
    }
    assert_ne!(cpu, gpu, "two devices that agree to the last bit are one device");
    // It learned: the last loss of scratch is below its first.
    assert!(gpu[gpu.len() - 1] < gpu[gpu.len() - 6]);
}

/// Stopping on a GPU: what the documentation says of the CPU holds for it, since equal steps on one device give the same bits.
#[cfg(unix)]
mod stopping {
    use std::fs;
    use std::path::PathBuf;
    use std::process::{Child, Command, Output, Stdio};
    use std::time::{Duration, Instant};

    use super::{RECIPE, text};
    use crate::common::LIGO;

    const STEPS: usize = 24;

    struct Place(tempfile::TempDir);

    impl Place {
        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn start(&self, out: &str) -> Child {
            let mut command = Command::new(LIGO);
            command.args(["run", "--recipe", "tiny.toml", "--device", "gpu", "--out", out]);
            for setting in [
                "methods=[{name=\"scratch\"}]".to_owned(),
                "large.model.hidden_dropout_prob=0.1".to_owned(),
                "large.model.attention_probs_dropout_prob=0.1".to_owned(),
                "large.train.eval_every=20".to_owned(),
                format!("large.train.steps={STEPS}"),
                format!("small.train.steps={STEPS}"),
            ] {
                command.args(["--set", &setting]);
            }
            let command = command
                .current_dir(&self.0)
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        }

        fn lines(&self, metrics: &str) -> usize {
            fs::read(self.path(metrics)).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count())
        }

        fn models(&self, out: &str) -> Vec<Vec<u8>> {
            let models =
                ["small/model", "methods/scratch/model"].map(|model| format!("{out}/{model}/model.safetensors"));
            models.iter().map(|model| fs::read(self.path(model)).unwrap()).collect()
        }
    }

    fn said(output: &Output) -> String {
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    #[test]
    fn a_run_that_is_stopped_and_started_again_ends_with_the_same_bytes() {
        let place = Place(tempfile::tempdir().unwrap());
        fs::write(place.path("tiny.toml"), RECIPE).unwrap();
        fs::write(place.path("text.txt"), text()).unwrap();
        let output = place.start("whole").wait_with_output().unwrap();
        if !output.status.success() && said(&output).contains("GPU") && std::env::var_os("CI").is_none() {
            eprintln!(
                "no GPU and no software Vulkan here, nothing to stop:\n{}",
                said(&output)
            );
            return;
        }
        assert!(output.status.success(), "{}", said(&output));
        let whole = place.models("whole");

        // Anywhere, since every step is a place to stop at.
        let mut seed = std::process::id() as usize;
        for part in ["small", "methods/scratch"] {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let metrics = format!("stopped/{part}/metrics.jsonl");
            let steps = place.lines(&metrics) + 1 + (seed >> 33) % 15;
            let mut child = place.start("stopped");
            let start = Instant::now();
            while place.lines(&metrics) < steps && child.try_wait().unwrap().is_none() {
                assert!(start.elapsed() < Duration::from_secs(120), "{metrics} does not grow");
                std::thread::sleep(Duration::from_millis(1));
            }
            let id = child.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(130), "{part} at {steps}: {}", said(&output));
        }
        let output = place.start("stopped").wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(whole == place.models("stopped"), "stopping changed the model");
    }
}
