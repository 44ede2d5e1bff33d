//! What `ligo export` writes is what it was, and trains as `ligo train` does. The second needs a Python with torch, transformers and accelerate, or
//! with torchtitan, in `LIGO_PYTHON` or as `python3`; says so where there is none. `UPDATE_GOLDEN=1` writes the settings anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Place, assert_says, said};
use serde_json::Value;

const SETTINGS: [&str; 14] = [
    "--tokens",
    "data",
    "--seq-len",
    "16",
    "--set",
    "steps=20",
    "--set",
    "accumulation=4",
    "--set",
    "batch_size=2",
    "--set",
    "schedule.peak_lr=2e-3",
    "--set",
    "schedule.warmup_steps=4",
];

/// A place with tokens in `data` and a model without dropout in `start/model`.
fn with_model(config: &str, kind: &str) -> Place {
    let place = Place::new();
    let tokenize = [
        "tokenize",
        "--data",
        "text.txt",
        "--vocab-size",
        "300",
        "--kind",
        kind,
        "--out",
        "data",
    ];
    place.shown(&tokenize);
    let info: Value = serde_json::from_slice(&fs::read(place.path("data/tokens/train/store.json")).unwrap()).unwrap();
    let config = config.replace("VOCABULARY", &info["vocab_size"].to_string());
    place.write("model.json", config);
    let train = [
        "train",
        "--model",
        "model.json",
        "--tokens",
        "data",
        "--seq-len",
        "16",
        "--out",
        "start",
    ];
    place.shown(&[&train[..], &["--set", "steps=5", "--set", "batch_size=4"]].concat());
    place
}

const BERT: &str = r#"{"model_type": "bert", "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 16, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}"#;
const GPT2: &str = r#"{"model_type": "gpt2", "vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 16,
    "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}"#;

const LLAMA: &str = r#"{"model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 32, "rope_theta": 500.0, "rope_scaling": {"rope_type": "llama3",
    "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}}"#;
const QWEN3: &str = r#"{"model_type": "qwen3", "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 64, "max_position_embeddings": 32, "tie_word_embeddings": true}"#;

fn export(place: &Place, program: &str, more: &[&str]) -> String {
    let fixed = ["export", "--for", program, "there", "--init", "start/model"];
    let output = place.command(&[&fixed[..], &SETTINGS, more].concat()).output().unwrap();
    said(&output)
}

/// The scripts of the repository, as they are.
fn are_there(place: &Place, scripts: &[&str]) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ligo-experiment/src/export");
    for script in scripts {
        let source = sources.join(script);
        let written = place.path("there").join(source.file_name().unwrap());
        assert_eq!(
            fs::read_to_string(written).unwrap(),
            fs::read_to_string(source).unwrap()
        );
    }
}

#[test]
fn settings_script_and_rates_are_written() {
    let place = with_model(BERT, "word-piece");
    assert_says(&export(&place, "accelerate", &[]), &["start it with there/launch.sh"]);
    let read = |name: &str| fs::read_to_string(place.path("there").join(name)).unwrap();
    let root = fs::canonicalize(place.path(".")).unwrap();
    let found = read("ligo.json");
    let found = found.replace(&root.display().to_string(), "ROOT");
    let found = found.replace(place.path(".").to_str().unwrap().trim_end_matches("/."), "ROOT");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/export.golden.json");
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        fs::write(&golden, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(golden).unwrap());
    are_there(&place, &["accelerate/train.py", "accelerate/launch.sh", "tokens.py"]);
    // A rate for each step: the warm-up climbs to the peak, and then it falls.
    let rates = fs::read(place.path("there/rates.f64")).unwrap();
    let (rates, rest) = rates.as_chunks::<8>();
    let rates: Vec<f64> = rates.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    assert!(rest.is_empty() && rates.len() == 20);
    let peak = rates.iter().copied().fold(0.0, f64::max);
    assert!(
        (peak - 2e-3).abs() < 1e-12 && rates[0] < peak && rates[19] < peak,
        "{rates:?}"
    );
}

#[test]
fn what_the_script_cannot_do_is_refused_and_nothing_is_written() {
    let place = with_model(BERT, "word-piece");
    for (setting, words) in [
        ("optimizer.kind=\"muon\"", "optimizer.kind"),
        ("layer_drop.max_rate=0.5", "layer_drop"),
        ("average.ema=0.9", "average"),
    ] {
        let said = export(&place, "accelerate", &["--set", setting]);
        assert_says(&said, &["cannot do this", words]);
        assert!(!place.path("there").exists());
    }
}

#[test]
fn torchtitan_gets_the_sizes_of_the_model_and_refuses_others() {
    let place = with_model(LLAMA, "gpt2");
    let refused = export(&place, "torchtitan", &["--set", "average.ema=0.9"]);
    assert_says(&refused, &["torchtitan cannot do this: average"]);
    assert!(!place.path("there").exists());
    assert_says(&export(&place, "torchtitan", &[]), &["start it with there/launch.sh"]);
    let scripts = ["grown.py", "train.py", "cpu.py", "launch.sh"].map(|name| format!("torchtitan/{name}"));
    are_there(&place, &scripts.each_ref().map(String::as_str));
    are_there(&place, &["tokens.py"]);
    let settings: Value = serde_json::from_slice(&fs::read(place.path("there/ligo.json")).unwrap()).unwrap();
    assert_eq!(settings["torchtitan"]["family"], "llama3");
    assert_eq!(settings["torchtitan"]["rope"]["scaling_factor"], 8.0);
    assert_eq!(settings["torchtitan"]["vocab_size"], settings["vocab_size"]);
    assert_eq!((&settings["steps"], &settings["seq_len"]), (&20.into(), &16.into()));
    assert_eq!(fs::read(place.path("there/rates.f64")).unwrap().len(), 20 * 8);

    let place = with_model(GPT2, "gpt2");
    let refused = export(&place, "torchtitan", &[]);
    assert_says(
        &refused,
        &["torchtitan has no gpt2", "knows llama and", "--for accelerate"],
    );
    assert!(!place.path("there").exists());
}

/// The Python that has what a script needs.
fn python(needs: &str) -> Option<String> {
    let named = std::env::var("LIGO_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&named).args(["-c", &format!("import {needs}")]).output();
    match has {
        Ok(output) if output.status.success() => Some(named),
        _ => {
            println!("SKIPPED: {named} cannot import {needs}; LIGO_PYTHON names one that can");
            None
        }
    }
}

/// Starts what was written on so many processes on the CPU; what it says.
fn launch(place: &Place, python: &str, processes: &str, more: &[&str]) -> String {
    let mut command = Command::new(place.path("there/launch.sh"));
    command.args(more).current_dir(place.path("."));
    command.envs([
        ("PYTHON", python),
        ("PROCESSES", processes),
        ("CPU", "1"),
        ("OMP_NUM_THREADS", "1"),
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn losses(path: &Path) -> Vec<f64> {
    let lines = fs::read_to_string(path).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps = lines.filter(|line| line.get("grad_norm").is_some());
    steps.map(|line| line["loss"].as_f64().unwrap()).collect()
}

/// The losses are those of `ligo train`, which learns something.
fn agree(name: &str, here: &[f64], there: &[f64]) {
    assert_eq!((here.len(), there.len()), (20, 20), "{name}");
    let apart = here.iter().zip(there).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{name}: losses differ by {apart:.1e} at most");
    assert!(apart < 1e-3, "{name}: {here:?}\n{there:?}");
    assert!(here[19] < here[0] - 0.01, "{name} learned nothing: {here:?}");
}

#[test]
fn accelerate_goes_on_as_ligo_does_on_two_processes() {
    let Some(python) = python("torch, transformers, accelerate") else {
        return;
    };
    // The first in two pieces: the second goes on from the checkpoint of the first.
    let pieces: [&[&[&str]]; 2] = [&[&["--steps", "8"], &[]], &[&[]]];
    for ((config, kind), pieces) in [(BERT, "word-piece"), (GPT2, "gpt2")].into_iter().zip(pieces) {
        let place = with_model(config, kind);
        place.shown(&[&["train", "--init", "start/model", "--out", "here"], &SETTINGS[..]].concat());
        export(&place, "accelerate", &[]);
        for more in pieces {
            launch(&place, &python, "2", &[&["--out", "run"], *more].concat());
        }
        let of = |run: &str| losses(&place.path(run).join("metrics.jsonl"));
        agree(kind, &of("here"), &of("run"));
        assert!(place.path("run/model/config.json").exists());
    }
}

/// The losses that torchtitan writes to the terminal.
fn told(text: &str) -> Vec<f64> {
    let numbers = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("step: ")?;
        let (_, rest) = rest.split_once("loss: ")?;
        let number = rest
            .trim_start()
            .split(|c: char| c != '.' && !c.is_ascii_digit())
            .next()?;
        number.parse().ok()
    });
    numbers.collect()
}

#[test]
fn torchtitan_goes_on_as_ligo_does_on_two_processes() {
    let Some(python) = python("torchtitan.trainer") else {
        return;
    };
    // What it writes at a last step is for others; here it is to go on.
    let stop = [
        "--training.steps",
        "8",
        "--checkpoint.no-last_save_in_hf",
        "--checkpoint.no-last_save_model_only",
    ];
    let shared: &[&str] = &["--parallelism.tensor_parallel_degree", "2"];
    // A Llama whose step is shared out and which one process goes on with; a Qwen3 whose layers are.
    let ways: [(&str, &str, &[(&str, &[&str])]); 2] = [
        ("llama", LLAMA, &[("2", &stop), ("1", &[])]),
        ("qwen3", QWEN3, &[("2", shared)]),
    ];
    for (name, config, pieces) in ways {
        let place = with_model(config, "gpt2");
        place.shown(&[&["train", "--init", "start/model", "--out", "here"], &SETTINGS[..]].concat());
        export(&place, "torchtitan", &[]);
        let mut there = Vec::new();
        for (processes, more) in pieces {
            let options = [&["--dump_folder", "run"], *more].concat();
            there.extend(told(&launch(&place, &python, processes, &options)));
        }
        agree(name, &losses(&place.path("here/metrics.jsonl")), &there);
        // What it ends with is a model that `ligo` reads, and the same command has nothing left to do.
        place.shown(&["inspect", "run/checkpoint/step-20"]);
        let again = launch(&place, &python, "1", &["--dump_folder", "run"]);
        assert_says(&again, &["complete: "]);
    }
}
