//! What several tests need.

pub mod torch;

use std::borrow::Cow;
use std::path::Path;
use std::process::{Command, Stdio};

use ligo_checkpoint::{AtomicDir, Disk, Error, WriteOptions, latest_valid, recover_all, state, write_model};
use serde_json::json;

pub type Tensors = Vec<(String, Vec<usize>, Cow<'static, [f32]>)>;

/// Tensors whose values depend on `seed`, so that two saves can be told apart.
pub fn tensors(seed: u64, elements: usize) -> Tensors {
    let values = |offset: u64| {
        (0..elements as u64)
            .map(|i| ((i + offset) * (seed + 1)) as f32 * 0.5)
            .collect::<Vec<f32>>()
    };
    (0..3)
        .map(|i| (format!("layer.{i}.weight"), vec![elements], values(i).into()))
        .collect()
}

pub fn save_model(disk: &Disk, target: &Path, seed: u64, elements: usize) -> Result<(), Error> {
    let options = WriteOptions {
        disk: disk.clone(),
        max_shard_bytes: elements as u64 * 8,
        ..Default::default()
    };
    write_model(target, &json!({"seed": seed}), tensors(seed, elements), &options).map(|_| ())
}

/// A checkpoint as a trainer writes it: a state and a note.
pub fn save_step(disk: &Disk, run: &Path, step: u64, elements: usize) -> Result<(), Error> {
    let dir = AtomicDir::begin_on(disk, run.join(format!("step-{step}")))?;
    state::write(
        &dir,
        "state.safetensors",
        &json!({"step": step}),
        tensors(step, elements),
    )?;
    dir.write("note.txt", format!("step {step}").as_bytes())?;
    dir.commit().map(|_| ())
}

/// After any crash: what is left is one of `allowed`, complete, and nothing else lies around.
pub fn assert_recovers_to(run: &Path, allowed: &[u64], elements: usize, context: &str) -> u64 {
    recover_all(run).unwrap_or_else(|error| panic!("{context}: {error}"));
    let latest = latest_valid(run, "step-").unwrap();
    assert!(latest.rejected.is_empty(), "{context}: {:?}", latest.rejected);
    let step = latest.step.unwrap_or_else(|| panic!("{context}: no valid checkpoint"));
    assert!(allowed.contains(&step.number), "{context}: step {}", step.number);
    let state = state::read(step.path.join("state.safetensors")).unwrap();
    assert_eq!(state.json, json!({"step": step.number}), "{context}");
    for (name, shape, values) in tensors(step.number, elements) {
        let found = &state.tensors[&name];
        assert_eq!(
            (&found.shape, &found.values[..]),
            (&shape, &values[..]),
            "{context}: {name}"
        );
    }
    assert_eq!(hidden(run), Vec::<String>::new(), "{context}");
    step.number
}

/// Names of leftovers in a folder.
pub fn hidden(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

/// This test program again, running only the ignored test `name` (with its modules), which finds its orders in the environment.
pub fn child(name: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", name, "--nocapture", "--test-threads=1"]);
    command
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A safetensors file with this header and this many zero bytes of data.
pub fn raw_file(header: &str, data_bytes: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data_bytes, 0);
    bytes
}
