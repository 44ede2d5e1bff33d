//! Killed at any moment, every command goes on: the same command again ends with the bytes of a run that nobody killed, and nothing else is
//! left behind. `LIGO_SEED` draws other moments.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Place, draws};

/// A command that writes `out`, and the files in it that have the same bytes every time.
struct Job {
    arguments: Vec<&'static str>,
    results: &'static [&'static str],
}

const MODEL: &[&str] = &["model.safetensors", "config.json"];

fn jobs() -> Vec<Job> {
    let run = ["run", "--recipe", "recipe.toml", "--data", "text.txt", "--out", "out"];
    let settings = [
        "--set",
        "steps=12",
        "--set",
        "batch_size=4",
        "--set",
        "checkpoint_every=4",
    ];
    let train = [
        "train",
        "--model",
        "small.json",
        "--tokens",
        "data",
        "--seq-len",
        "16",
        "--out",
        "out",
    ];
    let tokenize = ["tokenize", "--data", "text.txt", "--vocab-size", "200", "--out", "out"];
    let grow = [
        "grow",
        "--small",
        "model",
        "--large",
        "large.json",
        "--method",
        "stackbert",
        "--out",
        "out",
    ];
    vec![
        Job {
            arguments: run.to_vec(),
            results: &[
                "small/model/model.safetensors",
                "methods/scratch/model/model.safetensors",
                "methods/ligo/operator/operator.safetensors",
                "methods/ligo/model/model.safetensors",
            ],
        },
        Job {
            arguments: [&train[..], &settings].concat(),
            results: &["model/model.safetensors", "model/config.json"],
        },
        Job {
            arguments: tokenize.to_vec(),
            results: &[
                "tokenizer/tokenizer.json",
                "tokens/train/tokens.bin",
                "tokens/valid/tokens.bin",
            ],
        },
        Job {
            arguments: grow.to_vec(),
            results: MODEL,
        },
        Job {
            arguments: [&["compare"], &run[1..], &["--methods", "stackbert"]].concat(),
            results: &[
                "small/model/model.safetensors",
                "methods/scratch/model/model.safetensors",
                "methods/stackbert/model/model.safetensors",
            ],
        },
    ]
}

/// What the jobs read.
fn inputs() -> Place {
    let place = Place::new();
    place.write(
        "recipe.toml",
        common::RECIPE.replace("batch_size = 4", "batch_size = 4\ncheckpoint_every = 7"),
    );
    let config = |hidden: usize, layers: usize| {
        format!(
            r#"{{"model_type": "bert", "hidden_size": {hidden}, "num_hidden_layers": {layers}, "num_attention_heads": 2,
                "intermediate_size": {}, "max_position_embeddings": 16, "vocab_size": 200}}"#,
            4 * hidden
        )
    };
    place.write("small.json", config(32, 2));
    place.write("large.json", config(48, 4));
    place.shown(&["tokenize", "--data", "text.txt", "--vocab-size", "200", "--out", "data"]);
    let train = [
        "train",
        "--model",
        "small.json",
        "--tokens",
        "data",
        "--seq-len",
        "16",
        "--out",
        "trained",
    ];
    place.shown(&[&train[..], &["--set", "steps=2", "--set", "batch_size=4"]].concat());
    fs::rename(place.path("trained/model"), place.path("model")).unwrap();
    place
}

/// Files below a folder by their path in it. Every start writes a file of events for TensorBoard, named by the time, and logs its own start.
fn listing(place: &Place) -> BTreeSet<PathBuf> {
    let root = place.path("out");
    let files = place.files("out").into_keys();
    files
        .map(|path| path.strip_prefix(&root).unwrap().to_owned())
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tensorboard"))
        .collect()
}

fn bytes(place: &Place, job: &Job) -> Vec<Option<Vec<u8>>> {
    job.results
        .iter()
        .map(|file| fs::read(place.path("out").join(file)).ok())
        .collect()
}

/// Removes the output and what lies beside it.
fn clear(place: &Place, before: &BTreeSet<PathBuf>) {
    for path in beside(place.path("out").parent().unwrap()) {
        if !before.contains(&path) {
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
    }
}

fn beside(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

fn kills(count: usize) {
    let place = inputs();
    let root = place.path("out").parent().unwrap().to_owned();
    let before = beside(&root);
    let mut draw = draws(11);
    let mut faults = Vec::new();
    for job in jobs() {
        let start = Instant::now();
        place.shown(&job.arguments);
        let whole = start.elapsed();
        let (expected, files, around) = (bytes(&place, &job), listing(&place), beside(&root));
        assert!(
            expected.iter().any(Option::is_some),
            "{:?} wrote none of {:?}",
            job.arguments,
            job.results
        );
        clear(&place, &before);
        for _ in 0..count.div_ceil(jobs().len()) {
            let after = whole.mul_f64(draw(1100) as f64 / 1000.0);
            let mut command = place.command(&job.arguments);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(after.max(Duration::from_micros(200)));
            child.kill().unwrap();
            child.wait().unwrap();
            let output = place.command(&job.arguments).output().unwrap();
            let said = common::said(&output);
            let about = format!("{} killed after {after:?} of {whole:?}", job.arguments.join(" "));
            if !output.status.success() || said.contains("panicked") {
                faults.push(format!("{about}: {:?}\n{said}", output.status));
            } else if bytes(&place, &job) != expected {
                faults.push(format!("{about}: other results\n{said}"));
            } else if listing(&place) != files || beside(&root) != around {
                let (found, found_around) = (listing(&place), beside(&root));
                let more: Vec<_> = found
                    .symmetric_difference(&files)
                    .chain(found_around.symmetric_difference(&around))
                    .collect();
                faults.push(format!("{about}: left behind or missing: {more:?}"));
            }
            clear(&place, &before);
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
}

#[test]
fn a_killed_command_goes_on() {
    kills(15);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long kills"]
fn five_hundred_killed_commands_go_on() {
    kills(500);
}
