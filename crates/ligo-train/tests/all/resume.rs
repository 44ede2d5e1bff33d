//! A run that was interrupted equals one that was not, bit for bit.

use std::path::Path;
use std::sync::Mutex;

use ligo_data::{Batch, Cursor, MlmLoader};
use ligo_metrics::{Record, read};
use ligo_train::{BatchSource, Event, Outcome, RunData, TrainConfig, Trainer};

use crate::toy::{Toy, Watcher, bits, config, run, timeless};

/// Step, loss, learning rate and norm of every training line; step and loss of every evaluation.
fn numbers(run_dir: &Path) -> Vec<(u64, u64, u64, u64)> {
    let records = read(run_dir.join("metrics.jsonl")).unwrap();
    let numbers = |record: &Record| match record {
        Record::Train(r) => Some((r.step, r.loss.to_bits(), r.lr.to_bits(), r.grad_norm.to_bits())),
        Record::Eval(r) => Some((r.step, r.loss.to_bits(), 0, 0)),
        Record::Event(_) => None,
    };
    records.iter().filter_map(numbers).collect()
}

#[test]
fn stopping_at_any_step_changes_no_bit_of_the_run() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let dir = toy.folder.path();
    let whole_dir = dir.join("whole");
    let mut whole = toy.trainer(&config(), &loader, &toy.objective, &whole_dir);
    let whole_result = run(&mut whole, &mut Watcher::default()).unwrap();
    assert_eq!(whole_result.outcome, Outcome::Completed);
    let steps: Vec<u64> = whole_result.curve.iter().map(|p| p.step).collect();
    assert_eq!(steps, [0, 5, 10, 15, 20, 24]);
    assert!(whole_result.curve[5].loss < whole_result.curve[0].loss);

    for stop in 1..24 {
        let run_dir = dir.join(format!("stopped-{stop}"));
        let mut first = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
        let result = run(&mut first, &mut Watcher::stopping_after(stop)).unwrap();
        assert_eq!(result.outcome, Outcome::Interrupted { step: stop });
        // Negative control: the comparison below can tell a run that stopped early.
        assert_ne!(bits(&first), bits(&whole));
        drop(first);

        let mut second = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
        let mut watcher = Watcher::default();
        let result = run(&mut second, &mut watcher).unwrap();
        assert_eq!(watcher.steps.len() as u64, 24 - stop);
        assert!(matches!(watcher.events[0], Event::Resumed { step, .. } if step == stop));
        assert_eq!(timeless(&result), timeless(&whole_result), "stopped at {stop}");
        assert_eq!(bits(&second), bits(&whole), "stopped at {stop}");
        assert_eq!(numbers(&run_dir), numbers(&whole_dir), "stopped at {stop}");
    }
}

#[test]
fn a_run_stopped_in_an_evaluation_makes_it_again() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let whole_dir = toy.folder.path().join("whole");
    let mut whole = toy.trainer(&config(), &loader, &toy.objective, &whole_dir);
    let expected = run(&mut whole, &mut Watcher::default()).unwrap();

    // Three validation batches per evaluation: the 1st, 5th and 17th fall into those at steps 0, 5 and 24.
    for (batch, step) in [(1, 0), (5, 5), (17, 24)] {
        let run_dir = toy.folder.path().join(format!("batch-{batch}"));
        let mut watcher = Watcher {
            stop_in_evaluation: Some(batch),
            ..Watcher::default()
        };
        let mut first = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
        let result = run(&mut first, &mut watcher).unwrap();
        assert_eq!(result.outcome, Outcome::Interrupted { step });
        drop(first);
        let mut second = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
        let result = run(&mut second, &mut Watcher::default()).unwrap();
        assert_eq!(timeless(&result), timeless(&expected));
        assert_eq!(bits(&second), bits(&whole));
        assert_eq!(numbers(&run_dir), numbers(&whole_dir));
    }
}

#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let whole_dir = toy.folder.path().join("whole");
    let mut whole = toy.trainer(&config(), &loader, &toy.objective, &whole_dir);
    run(&mut whole, &mut Watcher::default()).unwrap();

    // What a kill after step 16 leaves: the checkpoint of step 14 and metrics beyond it.
    let run_dir = toy.folder.path().join("killed");
    let mut first = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    run(&mut first, &mut Watcher::stopping_after(16)).unwrap();
    drop(first);
    std::fs::remove_dir_all(run_dir.join("checkpoints/step-16")).unwrap();
    let mut second = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    let mut watcher = Watcher::default();
    run(&mut second, &mut watcher).unwrap();
    assert!(matches!(watcher.events[0], Event::Resumed { step: 14, .. }));
    assert_eq!(bits(&second), bits(&whole));
    assert_eq!(numbers(&run_dir), numbers(&whole_dir));
}

#[test]
fn a_damaged_line_of_metrics_does_not_hold_up_a_run() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let whole_dir = toy.folder.path().join("whole");
    let mut whole = toy.trainer(&config(), &loader, &toy.objective, &whole_dir);
    let expected = run(&mut whole, &mut Watcher::default()).unwrap();

    let run_dir = toy.folder.path().join("damaged");
    let mut first = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    run(&mut first, &mut Watcher::stopping_after(16)).unwrap();
    drop(first);
    let file = run_dir.join("metrics.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[4] = "{\"type\":\"train\",\"st\u{0}p\":4";
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();

    let mut second = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    let mut watcher = Watcher::default();
    let result = run(&mut second, &mut watcher).unwrap();
    let cut = |event: &Event| matches!(event, Event::MetricsCut { path, line: 5 } if *path == file);
    assert!(watcher.events.iter().any(cut), "{:?}", watcher.events);
    assert_eq!(timeless(&result), timeless(&expected));
    assert_eq!(bits(&second), bits(&whole));
    let said = |record: &Record| matches!(record, Record::Event(event) if event.kind == "metrics_cut");
    assert!(read(&file).unwrap().iter().any(said));
}

#[test]
fn a_completed_run_returns_its_result_without_training() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let run_dir = toy.folder.path().join("run");
    let mut first = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    let expected = run(&mut first, &mut Watcher::default()).unwrap();
    let weights = bits(&first);
    drop(first);
    let mut second = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    let mut watcher = Watcher::default();
    let result = run(&mut second, &mut watcher).unwrap();
    assert_eq!(timeless(&result), timeless(&expected));
    assert_eq!(result.curve, expected.curve);
    assert_eq!(bits(&second), weights);
    assert!(watcher.steps.is_empty() && watcher.evals.is_empty());
}

/// Notes which samples the steps read. What was made ahead for a step that a stop prevented is asked for again, and counts once.
struct Recorder {
    loader: MlmLoader,
    asked: Mutex<Vec<(Cursor, Vec<(u64, u64)>)>>,
}

/// Micro-batches of a step.
const MICRO_BATCHES: usize = 2;

impl BatchSource for Recorder {
    fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Batch, Cursor), ligo_data::Error> {
        let (samples, _) = self.loader.samples_at(cursor, batch_size)?;
        let mut asked = self.asked.lock().unwrap();
        if let Some(place) = asked.iter().position(|(at, _)| *at == cursor) {
            assert!(
                asked.len() - place <= MICRO_BATCHES,
                "a step was read again at {cursor:?}"
            );
            asked.truncate(place);
        }
        asked.push((cursor, samples));
        drop(asked);
        BatchSource::batch_at(&self.loader, cursor, batch_size)
    }

    fn identity(&self) -> serde_json::Value {
        self.loader.identity()
    }
}

#[test]
fn a_resumed_run_reads_the_exact_sequence_of_samples_over_two_epochs() {
    let toy = Toy::new();
    for shuffle in [true, false] {
        let loader = toy.loader(shuffle);
        let batch_size = 8;
        let per_step = (MICRO_BATCHES * batch_size) as u64;
        let steps = (2 * loader.epoch_len()).div_ceil(per_step);
        assert!(steps > 11, "the text is too short for this test: {steps} steps");
        let config = TrainConfig {
            steps,
            batch_size,
            eval_every: 0,
            checkpoint_every: 0,
            ..config()
        };
        let samples = |stops: &[u64], name: &str| {
            let recorder = Recorder {
                loader: loader.clone(),
                asked: Mutex::default(),
            };
            let run_dir = toy.folder.path().join(format!("{name}-{shuffle}"));
            for stop in stops.iter().copied().map(Some).chain([None]) {
                let data = RunData {
                    train: &recorder,
                    valid: &toy.valid[..1],
                };
                let mut trainer = Trainer::new(config.clone(), &toy.objective, toy.store(), data, &run_dir).unwrap();
                let mut watcher = Watcher {
                    stop_after_step: stop,
                    ..Watcher::default()
                };
                run(&mut trainer, &mut watcher).unwrap();
            }
            let asked = recorder.asked.into_inner().unwrap();
            asked.into_iter().flat_map(|(_, samples)| samples).collect::<Vec<_>>()
        };
        let whole = samples(&[], "whole");
        assert_eq!(whole.len() as u64, steps * per_step);
        assert_eq!(whole[loader.epoch_len() as usize].0, 1);
        let stops: Vec<u64> = (1..=10).map(|i| i * (steps - 1) / 10).collect();
        assert_eq!(samples(&stops, "resumed"), whole, "shuffle {shuffle}");
    }
}
