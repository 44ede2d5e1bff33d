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
    let place = Place::with_tokens(200, [32, 2], [48, 4]);
    place.write(
        "recipe.toml",
        super::RECIPE.replace("batch_size = 4", "batch_size = 4\ncheckpoint_every = 7"),
    );
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
