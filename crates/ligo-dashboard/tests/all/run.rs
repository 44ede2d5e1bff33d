//! A whole experiment before a renderer: what it is told is what the run has written down.

use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;

use burn_train::renderer::MetricsRenderer;
use ligo_dashboard::Dashboard;
use ligo_experiment::{Experiment, Workforce, recipe};
use ligo_metrics::Record;

use crate::common::{Lines, Recorder};

const RECIPE: &str = r#"
name = "tiny"

[tokenizer]
vocab_size = 120

[data]
seq_len = 16

[small.model]
hidden_size = 8
num_hidden_layers = 1
num_attention_heads = 1

[small.train]
steps = 6
batch_size = 2
eval_every = 3
eval_batches = 2

[large.model]
hidden_size = 16
num_hidden_layers = 2
num_attention_heads = 2

[large.train]
steps = 8
batch_size = 2
eval_every = 4
eval_batches = 2

[[methods]]
name = "scratch"

[[methods]]
name = "stackbert"
"#;

/// Two hundred documents of simple sentences.
fn text() -> String {
    let words = [
        "the", "river", "crossed", "a", "stone", "bridge", "before", "every", "morning",
    ];
    let mut text = String::new();
    for document in 0..200_usize {
        for word in 0..24 {
            write!(
                text,
                "{} ",
                words[(document * document + 5 * word + document * word) % words.len()]
            )
            .unwrap();
        }
        text.push_str(".\n\n");
    }
    text
}

/// The losses of a run's steps and evaluations, and its learning rates, as its folder has them.
fn written(folder: &Path) -> [Vec<Option<f64>>; 3] {
    let records = ligo_metrics::read(&folder.join("metrics.jsonl")).unwrap();
    let of = |number: fn(&Record) -> Option<f64>| records.iter().filter_map(number).map(Some).collect();
    [
        of(|record| match record {
            Record::Train(record) => Some(record.loss),
            _ => None,
        }),
        of(|record| match record {
            Record::Eval(record) => Some(record.loss),
            _ => None,
        }),
        of(|record| match record {
            Record::Train(record) => Some(record.lr),
            _ => None,
        }),
    ]
}

#[test]
fn a_renderer_is_told_what_a_run_writes_down() {
    let place = tempfile::tempdir().unwrap();
    let [recipe_file, text_file, folder] = ["recipe.toml", "text.txt", "run"].map(|name| place.path().join(name));
    std::fs::write(&recipe_file, RECIPE).unwrap();
    std::fs::write(&text_file, text()).unwrap();
    let data = format!("corpus.paths=[{:?}]", text_file.to_str().unwrap());
    let recipe = recipe::load(recipe_file.to_str().unwrap(), &[data]).unwrap();
    let (lines, recorders) = (Lines::default(), Mutex::new(Vec::new()));
    let listener = Dashboard::with_renderers(&lines, |_| {
        let recorder = Recorder::default();
        recorders.lock().unwrap().push(recorder.clone());
        Some(Box::new(recorder) as Box<dyn MetricsRenderer>)
    });
    let workforce = Workforce::Here(ligo_device::pick("cpu".parse().unwrap()).unwrap());
    Experiment::new(recipe)
        .unwrap()
        .run(&folder, &[], workforce, &listener)
        .unwrap();

    let recorders = recorders.lock().unwrap();
    assert_eq!(recorders.len(), 3, "{:?}", lines.heard());
    for (recorder, (name, steps)) in
        recorders
            .iter()
            .zip([("small", 6), ("methods/scratch", 8), ("methods/stackbert", 8)])
    {
        let notes = recorder.0.lock().unwrap();
        let [losses, valid, rates] = written(&folder.join(name));
        assert_eq!(losses.len(), steps, "{name}");
        assert!(valid.len() >= 2, "{name}");
        assert_eq!(notes.curve("train", "Loss"), losses, "{name}");
        assert_eq!(notes.curve("valid", "Loss"), valid, "{name}");
        assert_eq!(notes.curve("train", "Learning rate"), rates, "{name}");
        for metric in ["Gradient norm", "Tokens per second", "Share of peak"] {
            let curve = notes.curve("train", metric);
            assert_eq!(curve.len(), steps, "{name}");
            assert!(
                curve.iter().all(|value| value.is_some_and(|value| value > 0.0)),
                "{curve:?}"
            );
        }
        assert!(notes.progress.contains(&format!("at {steps}")), "{:?}", notes.progress);
        assert_eq!(notes.progress.last().unwrap(), "train end");
    }
    assert!(
        lines.heard().iter().any(|line| line.starts_with("result: ")),
        "{:?}",
        lines.heard()
    );
}
