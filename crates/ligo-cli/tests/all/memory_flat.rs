//! Memory does not grow with the number of steps: the peak of 2,000 steps is within 5 % of that of 200, on software Vulkan of 500 and 50.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use ligo_train::TrainResult;

use crate::common::{LIGO, Place};

/// What the larger number of steps may take more.
const MOST: f64 = 1.05;

fn place(config: &str) -> Place {
    let place = Place::new();
    place.write("model.json", config);
    place.shown(&["tokenize", "--data", "text.txt", "--vocab-size", "200", "--out", "data"]);
    place
}

const TINY: &str = r#"{"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 128, "max_position_embeddings": 16, "vocab_size": 200}"#;
/// 30 M parameters.
const LARGE: &str = r#"{"model_type": "bert", "hidden_size": 512, "num_hidden_layers": 9, "num_attention_heads": 8,
    "intermediate_size": 2048, "max_position_embeddings": 128, "vocab_size": 200}"#;

/// The peak of a run of so many steps: of the device where it tells, else of the process, in which software computes.
fn peak(place: &Place, device: &str, seq_len: &str, steps: u64) -> u64 {
    let (out, steps) = (format!("run{steps}"), format!("steps={steps}"));
    let mut child = Command::new(LIGO)
        .args(["train", "--model", "model.json", "--tokens", "data", "--device", device])
        .args(["--seq-len", seq_len, "--out", &out, "--set", &steps])
        .args([
            "--set",
            "batch_size=8",
            "--set",
            "eval_every=500",
            "--set",
            "eval_batches=2",
        ])
        .args(["--set", "log_every=50", "--set", "checkpoint_every=500"])
        .current_dir(place.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut of_process = 0;
    let ended = loop {
        // Gone when the process is.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        of_process = of_process.max(kilobytes.unwrap_or(0) * 1024);
        match child.try_wait().unwrap() {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(ended.success());
    let result = fs::read(place.path(&out).join("result.json")).unwrap();
    let result: TrainResult = serde_json::from_slice(&result).unwrap();
    result.peak_memory_bytes.unwrap_or(of_process)
}

fn flat(config: &str, device: &str, seq_len: &str, steps: [u64; 2]) {
    let place = place(config);
    let [few, many] = steps.map(|steps| peak(&place, device, seq_len, steps) as f64);
    let told = format!(
        "{device}: {:.1} MB after {} steps, {:.1} MB after {}",
        few / 1e6,
        steps[0],
        many / 1e6,
        steps[1]
    );
    println!("{told}");
    assert!(few > 0.0 && many <= MOST * few, "{told}");
}

/// Whether `ligo devices` tells of a device of such a kind.
fn has_device(what: &str, is_it: impl Fn(&str) -> bool) -> bool {
    let mut command = Command::new(LIGO);
    let output = command.args(["devices", "--json", "--no-measure"]).output().unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let devices = listed["devices"].as_array().cloned().unwrap_or_default();
    let found = devices
        .iter()
        .any(|device| device["works"] == true && device["kind"].as_str().is_some_and(&is_it));
    if !found {
        println!("SKIPPED: there is no {what}");
    }
    found
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long memory_flat"]
fn memory_stays_flat_on_the_cpu() {
    flat(TINY, "cpu", "16", [200, 2_000]);
}

#[cfg(feature = "wgpu")]
#[test]
#[ignore = "takes minutes: cargo xtask test --long memory_flat"]
fn memory_stays_flat_on_software_vulkan() {
    if has_device("software Vulkan", |kind| kind == "software") {
        // A step takes a good part of a second there.
        flat(TINY, "gpu", "16", [50, 500]);
    }
}

#[test]
#[ignore = "takes minutes on a GPU: cargo xtask test --long memory_flat"]
fn memory_stays_flat_on_a_gpu() {
    if has_device("GPU", |kind| !["software", "cpu"].contains(&kind)) {
        flat(LARGE, "gpu", "128", [200, 2_000]);
    }
}
