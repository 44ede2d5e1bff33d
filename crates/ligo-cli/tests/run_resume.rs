//! The whole road as a user walks it: everything that a run leaves behind, the second time, and after a stop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::{Place, assert_says};
use ligo_arch::ModelConfig;
use ligo_checkpoint::{ModelDir, TensorSpec};
use ligo_report::summary::Summary;

const RUN: [&str; 7] = ["run", "--recipe", "recipe.toml", "--data", "text.txt", "--out", "run"];

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// What every training run leaves: metrics, TensorBoard events, a whole checkpoint of its last step.
fn check_training(folder: &Path, steps: u64) {
    let metrics = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = metrics.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(
        lines.len() as u64 >= steps,
        "{}: {} lines",
        folder.display(),
        lines.len()
    );
    let events = names(&folder.join("tensorboard"));
    assert!(
        events.iter().any(|n| n.starts_with("events.out.tfevents.")),
        "{events:?}"
    );
    let checkpoint = folder.join(format!("checkpoints/step-{steps}"));
    ligo_checkpoint::verify(&checkpoint).unwrap();
    let result = json(&folder.join("result.json"));
    assert_eq!(result["steps"], steps, "{}", folder.display());
}

/// A Hugging Face directory with the tensors of its table, no more and no less, and a tokenizer.
fn check_model(folder: &Path, hidden: usize, layers: usize) {
    ligo_checkpoint::verify(folder).unwrap();
    let config = ModelConfig::from_json(&json(&folder.join("config.json"))).unwrap();
    let ModelConfig::Bert(bert) = &config else {
        panic!("{} is no BERT", config.model_type());
    };
    assert_eq!((bert.hidden_size, bert.num_hidden_layers), (hidden, layers));
    let tokenizer = ligo_data::Tokenizer::open(folder).unwrap();
    assert_eq!(bert.vocab_size, tokenizer.vocab_size());
    let table = config.table();
    let required = table.params().filter(|p| p.spec.required);
    let specs: Vec<TensorSpec> = required.map(|p| TensorSpec::new(p.name, p.shape)).collect();
    let dir = ModelDir::open(folder).unwrap();
    dir.check_exact(&specs).unwrap();
    for spec in &specs {
        assert!(
            dir.read_f32(&spec.name).unwrap().iter().all(|v| v.is_finite()),
            "{}",
            spec.name
        );
    }
    let loaded = ligo_cli::load::load_model(folder, &burn::tensor::Device::flex()).unwrap();
    assert_eq!(loaded.config, config);
}

fn modified(files: &BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<PathBuf, SystemTime> {
    let time = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    files.keys().map(|path| (path.clone(), time(path))).collect()
}

#[test]
fn a_run_leaves_everything_it_promises_and_is_not_run_twice() {
    let place = Place::new();
    let recipe = format!("{}\n[[methods]]\nname = \"direct-copy\"\n", common::RECIPE);
    place.write("recipe.toml", recipe);
    let said = place.shown(&RUN);
    assert_says(
        &said,
        &["scratch", "LiGO", "direct copy", "saving", "savings.svg", "unigram"],
    );

    let run = place.path("run");
    check_training(&run.join("small"), 20);
    check_model(&run.join("small/model"), 16, 1);
    check_training(&run.join("methods/ligo/learn"), 10);
    ligo_growth::load_operator(&run.join("methods/ligo/operator"), &burn::tensor::Device::flex()).unwrap();
    for method in ["scratch", "ligo", "direct-copy"] {
        let folder = run.join("methods").join(method);
        check_training(&folder, 20);
        check_model(&folder.join("start"), 24, 2);
        check_model(&folder.join("model"), 24, 2);
    }

    let resolved = ligo_cli::recipe::load(run.join("recipe.toml").to_str().unwrap(), &[]).unwrap();
    assert_eq!(
        (resolved.name.as_str(), resolved.seed, resolved.methods.len()),
        ("tiny", 3, 3)
    );
    let summary = Summary::read(run.join("summary.json")).unwrap();
    let methods: Vec<&str> = summary.methods.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(methods, ["scratch", "ligo", "direct-copy"]);
    assert!(
        summary
            .methods
            .iter()
            .all(|m| m.curve.len() == 3 && m.loss_final.is_finite())
    );
    for file in summary.files.values() {
        assert!(run.join(file).exists(), "summary.json names {file}, which is not there");
    }
    assert!(fs::read_to_string(run.join("savings.svg")).unwrap().contains("<svg"));
    assert!(fs::read(run.join("savings.png")).unwrap().starts_with(b"\x89PNG\r\n"));

    // Pictures and tables are drawn again; nothing else is touched.
    let drawn = |path: &Path| names(&run).iter().any(|n| path == run.join(n));
    let before = place.files("run");
    let times = modified(&before);
    let said = place.shown(&RUN);
    for stage in [
        "tokenizer",
        "tokens",
        "small model",
        "ligo: operator",
        "ligo: growing",
        "ligo",
        "scratch",
        "direct-copy: growing",
        "direct-copy",
    ] {
        assert_says(&said, &[&format!("{stage}: complete, skipped")]);
    }
    let after = place.files("run");
    assert!(after == before, "the second run changed a file");
    for (path, time) in modified(&after) {
        assert!(
            drawn(&path) || times[&path] == time,
            "{} was written again",
            path.display()
        );
    }
}

#[cfg(unix)]
mod stopping {
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    fn recipe(place: &Place) {
        // Long enough that a signal meets each training run on its way.
        let recipe = common::RECIPE
            .replace("steps = 20", "steps = 300")
            .replace("steps = 10", "steps = 150")
            .replace("eval_every = 10", "eval_every = 100");
        place.write("recipe.toml", recipe);
    }

    fn lines(path: &Path) -> usize {
        fs::read(path).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count())
    }

    /// Waits until a run has logged some steps, then asks the program to stop.
    fn stop_after(child: &mut Child, metrics: &Path, steps: usize) {
        let start = Instant::now();
        while lines(metrics) < steps {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "ended with {ended:?} before {}", metrics.display());
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{} does not grow",
                metrics.display()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    #[test]
    fn a_run_that_is_stopped_and_started_again_ends_with_the_same_bytes() {
        let place = Place::new();
        recipe(&place);
        let whole = ["run", "--recipe", "recipe.toml", "--data", "text.txt", "--out", "whole"];
        place.shown(&whole);

        for (folder, steps) in [
            ("small", 30),
            ("methods/scratch", 90),
            ("methods/ligo/learn", 30),
            ("methods/ligo", 5),
        ] {
            let mut command = place.command(&RUN);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let metrics = place.path("run").join(folder).join("metrics.jsonl");
            stop_after(&mut child, &metrics, steps);
            let output = child.wait_with_output().unwrap();
            let said = common::said(&output);
            assert_eq!(output.status.code(), Some(130), "{folder}: {said}");
            assert_says(&said, &["stopped as asked", "the same command again continues"]);
            assert!(lines(&metrics) < 300, "{folder} was not stopped on its way");
            assert!(!place.path("run").join(folder).join("result.json").exists(), "{folder}");
        }
        let said = place.shown(&RUN);
        assert_says(
            &said,
            &["small model: complete, skipped", "ligo: continues at step", "saving"],
        );

        for file in [
            "small/model/model.safetensors",
            "methods/scratch/model/model.safetensors",
            "methods/ligo/operator/operator.safetensors",
            "methods/ligo/start/model.safetensors",
            "methods/ligo/model/model.safetensors",
        ] {
            let bytes = |run: &str| fs::read(place.path(run).join(file)).unwrap();
            assert!(
                bytes("run") == bytes("whole"),
                "{file} differs from the uninterrupted run's"
            );
        }
        let losses = |run: &str| -> Vec<f64> {
            let summary = Summary::read(place.path(run).join("summary.json")).unwrap();
            let points = summary.methods.iter().flat_map(|m| &m.curve);
            points.map(|p| p.loss).collect()
        };
        assert_eq!(losses("run"), losses("whole"));
    }
}
