//! A comparison from another program: through the library alone, without a terminal.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Mutex;

use ligo_device::DeviceChoice;
use ligo_experiment::recipe::{self, Recipe};
use ligo_experiment::{Experiment, Listener, Workforce};
use ligo_report::Summary;

/// Keeps every line.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Listener for Heard {
    fn say(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

impl Heard {
    fn trained(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let trained = lines
            .iter()
            .filter(|line| line.contains("validation loss") && line.contains(" steps, "));
        trained.cloned().collect()
    }
}

/// A recipe of seconds.
fn tiny(text: &Path, more: &[&str]) -> Recipe {
    let mut overrides = vec![format!("corpus.paths=[{:?}]", text.display().to_string())];
    let usual = [
        "tokenizer.vocab_size=160",
        "data.seq_len=16",
        "small.model.hidden_size=16",
        "small.model.num_hidden_layers=1",
        "small.model.num_attention_heads=2",
        "small.train.steps=12",
        "small.train.batch_size=4",
        "large.model.hidden_size=24",
        "large.model.num_hidden_layers=2",
        "large.model.num_attention_heads=3",
        "large.train.steps=12",
        "large.train.batch_size=4",
    ];
    overrides.extend(usual.iter().chain(more).map(|text| (*text).to_owned()));
    recipe::load("bert-micro", &overrides).unwrap()
}

fn run(recipe: &Recipe, folder: &Path) -> (Summary, Heard) {
    let heard = Heard::default();
    let workforce = Workforce::Here(ligo_device::pick(DeviceChoice::Cpu).unwrap());
    let experiment = Experiment::comparing(recipe, &["stackbert".into()], Some(1)).unwrap();
    let summary = experiment.run(folder, &[], workforce, &heard).unwrap();
    (summary.expect("there is something to compare"), heard)
}

#[test]
fn a_comparison_is_run_read_and_not_run_again_for_what_decides_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (text, folder) = (place.path().join("text.txt"), place.path().join("run"));
    let sentences = (0..400).map(|i| format!("The {} cats saw {} dogs.\n\n", i % 7, i % 11));
    std::fs::write(&text, sentences.collect::<String>()).unwrap();

    let (summary, heard) = run(&tiny(&text, &[]), &folder);
    let ids: Vec<&str> = summary.methods.iter().map(|method| method.id.as_str()).collect();
    assert_eq!(ids, ["scratch", "stackbert"]);
    assert!(summary.methods.iter().all(|method| method.loss_final.is_finite()));
    assert_eq!(heard.trained().len(), 3, "{:?}", heard.trained());

    let reworded = [
        "description=\"in other words\"",
        "large.train.log_every=5",
        "small.train.checkpoint_every=7",
    ];
    let (again, heard) = run(&tiny(&text, &reworded), &folder);
    let lines = heard.0.lock().unwrap();
    for part in ["small", "stackbert"] {
        let skipped = lines
            .iter()
            .any(|line| line.starts_with(part) && line.contains("complete, skipped"));
        assert!(skipped, "{part} was made again: {lines:?}");
    }
    let losses = |summary: &Summary| {
        summary
            .methods
            .iter()
            .map(|m| m.loss_final.to_bits())
            .collect::<Vec<_>>()
    };
    assert_eq!(losses(&summary), losses(&again));
}
