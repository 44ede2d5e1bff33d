//! The commands that write files, to be broken off in tests: what each reads, and what it makes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Place;

/// A command that writes `out`, and the files in it that have the same bytes every time.
pub struct Job {
    pub arguments: Vec<&'static str>,
    pub results: &'static [&'static str],
}

const MODEL: &[&str] = &["model.safetensors", "config.json"];

/// The commands that write files, each with what it makes.
pub fn jobs() -> Vec<Job> {
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
pub fn inputs() -> Place {
    let place = Place::new();
    place.write(
        "recipe.toml",
        super::RECIPE.replace("batch_size = 4", "batch_size = 4\ncheckpoint_every = 7"),
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
pub fn listing(place: &Place) -> BTreeSet<PathBuf> {
    let root = place.path("out");
    let files = place.files("out").into_keys();
    files
        .map(|path| path.strip_prefix(&root).unwrap().to_owned())
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tensorboard"))
        .collect()
}

/// The results, as far as they are there.
pub fn bytes(place: &Place, job: &Job) -> Vec<Option<Vec<u8>>> {
    job.results
        .iter()
        .map(|file| fs::read(place.path("out").join(file)).ok())
        .collect()
}

/// Removes the output and what lies beside it.
pub fn clear(place: &Place, before: &BTreeSet<PathBuf>) {
    for path in beside(place.path("out").parent().unwrap()) {
        if !before.contains(&path) {
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
    }
}

/// What lies in a folder.
pub fn beside(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}
