//! A folder to run the program in: text, a recipe of seconds, and what the program says.

#[cfg(unix)]
pub mod jobs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program.
pub const LIGO: &str = env!("CARGO_BIN_EXE_ligo");

/// Tokens of the place's text, a third of it for validation.
pub const TOKENIZE: [&str; 9] = [
    "tokenize",
    "--data",
    "text.txt",
    "--vocab-size",
    "200",
    "--valid-fraction",
    "0.3",
    "--out",
    "tokens",
];

/// Learns an operator on them, for `large.json`.
pub const LEARN: [&str; 9] = [
    "learn",
    "--small",
    "small",
    "--large",
    "large.json",
    "--tokens",
    "tokens",
    "--out",
    "operator",
];

/// A step of training of `small.json` on the tokens in `data`.
pub const TRAIN_A_STEP: [&str; 13] = [
    "train",
    "--model",
    "small.json",
    "--tokens",
    "data",
    "--seq-len",
    "16",
    "--out",
    "trained",
    "--set",
    "steps=1",
    "--set",
    "batch_size=2",
];

/// Compares the methods of the recipe, in the folder `run`.
pub const COMPARE: [&str; 7] = [
    "compare",
    "--recipe",
    "recipe.toml",
    "--data",
    "text.txt",
    "--out",
    "run",
];

/// Trains a small model, an operator and two large models in a second or two.
pub const RECIPE: &str = r#"
name = "tiny"
seed = 3

[tokenizer]
vocab_size = 160

[data]
seq_len = 16

[small.model]
hidden_size = 16
num_hidden_layers = 1
num_attention_heads = 2

[small.train]
steps = 20
batch_size = 4
eval_every = 10
eval_batches = 2

[large.model]
hidden_size = 24
num_hidden_layers = 2
num_attention_heads = 3

[large.train]
steps = 20
batch_size = 4
eval_every = 10
eval_batches = 2

[operator.train]
steps = 10
batch_size = 4
eval_batches = 2

[[methods]]
name = "scratch"

[[methods]]
name = "ligo"
"#;

/// A folder that goes away with the test.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A folder with `text.txt` and `recipe.toml`.
    pub fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("text.txt", english());
        place.write("recipe.toml", RECIPE);
        place
    }

    /// The same with tokens in `data`, and BERTs of such a width and number of layers in `small.json` and `large.json`.
    #[cfg(unix)]
    pub fn with_tokens(vocab_size: usize, small: [usize; 2], large: [usize; 2]) -> Self {
        let place = Self::new();
        let size = vocab_size.to_string();
        place.shown(&["tokenize", "--data", "text.txt", "--vocab-size", &size, "--out", "data"]);
        for (name, [hidden, layers]) in [("small.json", small), ("large.json", large)] {
            let config = format!(
                r#"{{"model_type": "bert", "vocab_size": {vocab_size}, "hidden_size": {hidden}, "num_hidden_layers": {layers},
                    "num_attention_heads": 2, "intermediate_size": {}, "max_position_embeddings": 16}}"#,
                4 * hidden
            );
            place.write(name, config);
        }
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The program with these arguments, in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(LIGO);
        command
            .args(arguments)
            .args(["--device", "cpu"])
            .current_dir(self.folder.path());
        command
    }

    /// What the program prints, results and progress, when all is well.
    pub fn shown(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}:\n{}", said(&output));
        said(&output)
    }

    /// The complaint of the program when it fails as it should: exit code 1 and no panic.
    pub fn refused(&self, arguments: &[&str]) -> String {
        complaint(&self.command(arguments).output().unwrap())
    }

    /// Every file below a folder, with its content. Locks hold the number of the last process and are left out.
    pub fn files(&self, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(name), &mut files);
        files
    }

    /// Files below a folder by their path in it. Every start writes a file of events for TensorBoard, named by the time: they are left out.
    #[cfg(unix)]
    pub fn listing(&self, name: &str) -> BTreeSet<PathBuf> {
        let root = self.path(name);
        let files = self.files(name).into_keys();
        files
            .map(|path| path.strip_prefix(&root).unwrap().to_owned())
            .filter(|path| !path.components().any(|part| part.as_os_str() == "tensorboard"))
            .collect()
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if !path.ends_with(".lock") {
            let content = fs::read(&path).unwrap();
            files.insert(path, content);
        }
    }
}

/// Numbers below a bound, from a seed or that in `LIGO_SEED`, which is told.
pub fn draws(seed: u64) -> impl FnMut(usize) -> usize {
    let asked = std::env::var("LIGO_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut state: u64 = asked.unwrap_or(seed);
    println!("LIGO_SEED={state}");
    move |bound| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    }
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `tests/fixtures` has under this name.
pub fn fixture(name: &str) -> PathBuf {
    repository().join("tests/fixtures").join(name)
}

/// A folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Standard output and standard error.
pub fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

/// A complaint on one line, however narrow the terminal is.
pub fn complaint(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{:?}:\n{}", output.status, said(output));
    assert!(!errors.contains("panicked"), "{errors}");
    let words = errors.split(|c: char| c.is_whitespace() || c == '│');
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Asserts that a message has all these parts.
#[track_caller]
pub fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// Paragraphs of simple sentences, always the same.
pub fn english() -> String {
    let parts: [&[&str]; 4] = [
        &[
            "the old captain",
            "a young girl",
            "my neighbor",
            "the river",
            "every student",
            "a small dog",
        ],
        &[
            "walked over",
            "looked at",
            "remembered",
            "crossed",
            "wrote about",
            "carried",
            "painted",
        ],
        &[
            "the bridge",
            "a stone house",
            "the long road",
            "an empty field",
            "many letters",
            "a broken clock",
        ],
        &[
            "in the morning",
            "before dinner",
            "without a word",
            "for the first time",
            "near the market",
        ],
    ];
    let mut state = 1_u64;
    let mut draw = |words: &[&'static str]| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        words[(state >> 33) as usize % words.len()]
    };
    let mut text = String::new();
    for _ in 0..300 {
        for _ in 0..4 {
            let sentence: Vec<&str> = parts.iter().map(|words| draw(words)).collect();
            text.push_str(&sentence.join(" "));
            text.push_str(". ");
        }
        text.push_str("\n\n");
    }
    text
}
