//! The whole road as a user walks it: everything that a run leaves behind, the second time, and after a stop.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ligo_arch::ModelConfig;
use ligo_checkpoint::{ModelDir, TensorSpec};
use ligo_report::summary::Summary;

use crate::common::{self, Place, assert_says};

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
    let loaded = ligo_pretrained::load_model(folder, &burn::tensor::Device::flex()).unwrap();
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

    let resolved = ligo_experiment::recipe::load(run.join("recipe.toml").to_str().unwrap(), &[]).unwrap();
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

/// Changes one byte of a file, so that it is still one of its kind.
fn damage(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} holds no `{from}`", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn losses(place: &Place) -> Vec<(String, f64)> {
    let summary = Summary::read(place.path("run/summary.json")).unwrap();
    summary.methods.iter().map(|m| (m.id.clone(), m.loss_final)).collect()
}

#[test]
fn what_was_damaged_in_a_runs_folder_is_found_and_made_again() {
    let place = Place::new();
    place.shown(&RUN);
    let run = place.path("run");
    let expected = losses(&place);
    let weights = fs::read(run.join("methods/ligo/model/model.safetensors")).unwrap();

    // A tokenizer that would go into every model, a digit of a loss, and a configuration.
    let tokenizer = fs::read(run.join("tokenizer/vocab.txt")).unwrap();
    let result = run.join("methods/ligo/result.json");
    damage(&run.join("tokenizer/vocab.txt"), "th", "ht");
    damage(&result, "\"loss\": ", "\"loss\": 1");
    damage(
        &run.join("small/model/config.json"),
        "\"num_attention_heads\": 2",
        "\"num_attention_heads\": 4",
    );
    assert_says(
        &place.shown(&["compare", "run"]),
        &["vocab.txt is damaged", "sha256", "shown from run/summary.json"],
    );
    let said = place.shown(&RUN);
    for named in [
        "tokenizer: run/tokenizer/vocab.txt is damaged",
        "small model: run/small/model/config.json: expected sha256",
        "ligo: run/methods/ligo/result.json is damaged",
    ] {
        assert_says(&said, &[named]);
    }
    assert_says(
        &said,
        &["made again", "tokens: complete, skipped", "scratch: complete, skipped"],
    );
    assert_eq!(losses(&place), expected);
    assert!(fs::read(run.join("tokenizer/vocab.txt")).unwrap() == tokenizer);
    assert!(fs::read(run.join("methods/ligo/model/model.safetensors")).unwrap() == weights);
    ligo_checkpoint::verify(run.join("small/model")).unwrap();

    // A bit of the weights that everything is grown from.
    let small = run.join("small/model/model.safetensors");
    let mut bytes = fs::read(&small).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&small, bytes).unwrap();
    let said = place.shown(&RUN);
    assert_says(
        &said,
        &[
            "small model: ",
            "model.safetensors",
            "it is made again",
            "ligo: complete, skipped",
        ],
    );
    ligo_checkpoint::verify(run.join("small/model")).unwrap();

    // Whole parts that are gone: from the checkpoint where there is one, and else nothing is called there that is not.
    fs::remove_dir_all(run.join("methods/ligo/model")).unwrap();
    assert_says(
        &place.shown(&RUN),
        &["ligo: run/methods/ligo/model is not there any more; it is made again"],
    );
    assert!(fs::read(run.join("methods/ligo/model/model.safetensors")).unwrap() == weights);
    for method in ["ligo", "scratch"] {
        for part in ["model", "checkpoints"] {
            fs::remove_dir_all(run.join("methods").join(method).join(part)).unwrap();
        }
    }
    let said = place.shown(&RUN);
    assert_says(
        &said,
        &["ligo: complete, skipped; its model is not there any more, and to have it again, remove"],
    );
    assert!(!said.contains("methods/*/model"), "{said}");
    assert_eq!(losses(&place), expected);
}

#[test]
fn methods_add_up_in_one_folder_and_a_bad_start_takes_none() {
    let place = Place::new();
    let compare = |methods: &'static str| {
        [
            "compare",
            "--recipe",
            "recipe.toml",
            "--out",
            "run",
            "--methods",
            methods,
        ]
    };
    let with = |methods, data| [&compare(methods)[..], &["--data", data]].concat();
    place.refused(&with("direct-copy", "nowhere.txt"));
    assert!(!place.path("run").exists());
    place.shown(&with("direct-copy", "text.txt"));
    let first = losses(&place);
    for name in [
        ".tmpA1b2C3",
        ".report-A1b2C3.tmp",
        "tokenizer/.tmpA1b2C3",
        "small/.report-A1b2C3.tmp",
    ] {
        place.write(&format!("run/{name}"), "what a kill left");
    }
    let said = place.shown(&with("stackbert", "text.txt"));
    assert_says(&said, &["direct copy", "StackBERT", "scratch: complete, skipped"]);
    assert!(!said.contains("direct-copy:"), "it was not asked for: {said}");
    let both = losses(&place);
    assert_eq!(both[..2], first);
    assert_eq!(both[2].0, "stackbert");
    let left: Vec<PathBuf> = place.files("run").into_keys().collect();
    let is_left = |path: &&PathBuf| path.to_string_lossy().contains("A1b2C3");
    assert_eq!(left.iter().find(is_left), None);
    assert_says(&place.shown(&["compare", "run"]), &["direct copy", "StackBERT"]);

    // The process decides who may read its files, as it does for any other.
    #[cfg(unix)]
    for file in [
        "recipe.toml",
        "report.html",
        "table.md",
        "summary.json",
        "small/result.json",
    ] {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(
            mode(place.path("run").join(file)),
            mode(place.path("text.txt")),
            "{file}"
        );
    }
}

#[cfg(unix)]
mod stopping {
    use std::process::{Command, Output, Stdio};
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

    /// What a user's patience and a scheduler's grace allow between the signal and the end.
    const GRACE: Duration = Duration::from_secs(30);

    /// Starts the run and asks it to stop when a part of it has logged some steps; what it said. `None` where it was through with the part
    /// before the signal came, as on a busy machine.
    fn stopped(place: &Place, part: &str, steps: usize, signal: &str) -> Option<Output> {
        let mut command = place.command(&RUN);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let folder = place.path("run").join(part);
        let (start, metrics) = (Instant::now(), folder.join("metrics.jsonl"));
        while lines(&metrics) < steps && child.try_wait().unwrap().is_none() {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{} does not grow",
                metrics.display()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        // Where it has ended already there is nothing to ask.
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
        let asked = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < GRACE, "{part}: {:?}", asked.elapsed());
        (!folder.join("result.json").exists()).then_some(output)
    }

    /// The same, from the state before again until it meets the part on its way.
    fn stopped_on_its_way(place: &Place, part: &str, steps: usize, signal: &str) -> Output {
        let (run, before) = (place.path("run"), tempfile::tempdir().unwrap());
        if run.exists() {
            common::copy_folder(&run, before.path());
        }
        for _ in 0..10 {
            if let Some(output) = stopped(place, part, steps, signal) {
                return output;
            }
            fs::remove_dir_all(&run).unwrap();
            common::copy_folder(before.path(), &run);
        }
        panic!("{part} was never stopped on its way");
    }

    #[test]
    fn a_run_that_is_stopped_and_started_again_ends_with_the_same_bytes() {
        let place = Place::new();
        recipe(&place);
        let whole = ["run", "--recipe", "recipe.toml", "--data", "text.txt", "--out", "whole"];
        place.shown(&whole);

        for (folder, steps, signal) in [
            ("small", 30, "-TERM"),
            ("small", 130, "-INT"),
            ("small", 240, "-TERM"),
            ("methods/scratch", 20, "-INT"),
            ("methods/scratch", 90, "-TERM"),
            ("methods/scratch", 210, "-INT"),
            ("methods/ligo/learn", 30, "-TERM"),
            ("methods/ligo/learn", 80, "-INT"),
            ("methods/ligo", 5, "-TERM"),
            ("methods/ligo", 170, "-INT"),
        ] {
            let output = stopped_on_its_way(&place, folder, steps, signal);
            let said = common::said(&output);
            assert_eq!(output.status.code(), Some(130), "{folder}: {said}");
            assert_says(&said, &["stopped as asked", "the same command again continues"]);
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
