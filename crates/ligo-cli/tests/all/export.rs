//! What `ligo export` writes is what it was, and trains as `ligo train` does. The second needs a Python with torch, transformers and accelerate, in
//! `LIGO_PYTHON` or as `python3`; says so where there is none. `UPDATE_GOLDEN=1` writes the settings anew.

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

fn export(place: &Place, more: &[&str]) -> String {
    let fixed = ["export", "--for", "accelerate", "there", "--init", "start/model"];
    let output = place.command(&[&fixed[..], &SETTINGS, more].concat()).output().unwrap();
    said(&output)
}

#[test]
fn settings_script_and_rates_are_written() {
    let place = with_model(BERT, "word-piece");
    assert_says(&export(&place, &[]), &["start it with there/launch.sh"]);
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
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ligo-experiment/src/export");
    for script in ["train.py", "launch.sh"] {
        assert_eq!(read(script), fs::read_to_string(scripts.join(script)).unwrap());
    }
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
        assert_says(&export(&place, &["--set", setting]), &["cannot do this", words]);
        assert!(!place.path("there").exists());
    }
}

/// The Python that has what the script needs.
fn python() -> Option<String> {
    let named = std::env::var("LIGO_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&named)
        .args(["-c", "import torch, transformers, accelerate"])
        .output();
    match has {
        Ok(output) if output.status.success() => Some(named),
        _ => {
            println!("SKIPPED: {named} has no torch, transformers and accelerate; LIGO_PYTHON names one that has");
            None
        }
    }
}

fn losses(path: &Path) -> Vec<f64> {
    let lines = fs::read_to_string(path).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps = lines.filter(|line| line.get("grad_norm").is_some());
    steps.map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn accelerate_goes_on_as_ligo_does_on_two_processes() {
    let Some(python) = python() else { return };
    // The first in two pieces: the second goes on from the checkpoint of the first.
    let pieces: [&[&[&str]]; 2] = [&[&["--steps", "8"], &[]], &[&[]]];
    for ((config, kind), pieces) in [(BERT, "word-piece"), (GPT2, "gpt2")].into_iter().zip(pieces) {
        let place = with_model(config, kind);
        place.shown(&[&["train", "--init", "start/model", "--out", "here"], &SETTINGS[..]].concat());
        export(&place, &[]);
        for more in pieces {
            let mut command = Command::new(place.path("there/launch.sh"));
            command.args(["--out", "run"]).args(*more).current_dir(place.path("."));
            command.envs([
                ("PYTHON", python.as_str()),
                ("PROCESSES", "2"),
                ("CPU", "1"),
                ("OMP_NUM_THREADS", "1"),
            ]);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
        }
        let (here, there) = (
            losses(&place.path("here/metrics.jsonl")),
            losses(&place.path("run/metrics.jsonl")),
        );
        assert_eq!((here.len(), there.len()), (20, 20));
        let apart = here.iter().zip(&there).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{kind}: losses differ by {apart:.1e} at most");
        assert!(apart < 1e-3, "{here:?}\n{there:?}");
        assert!(here[19] < here[0] - 0.01, "nothing was learned: {here:?}");
        assert!(place.path("run/model/config.json").exists());
    }
}
