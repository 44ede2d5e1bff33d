//! Comparing with several processes at a time: the same numbers, and nothing lost when one of them dies or all are stopped.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ligo_report::summary::Summary;

use crate::common::{self, Place, assert_says, said};

fn compare<'a>(out: &'a str, jobs: &'a str) -> [&'a str; 11] {
    [
        "compare",
        "--recipe",
        "recipe.toml",
        "--data",
        "text.txt",
        "--methods",
        "scratch,ligo,stackbert",
        "--out",
        out,
        "--jobs",
        jobs,
    ]
}

/// Long enough that a signal meets a training run on its way.
fn longer(place: &Place) {
    let recipe = common::RECIPE
        .replace("[large.train]\nsteps = 20", "[large.train]\nsteps = 300")
        .replace("eval_every = 10", "eval_every = 100");
    place.write("recipe.toml", recipe);
}

/// Every loss of every run, to the last bit.
fn losses(place: &Place, out: &str) -> BTreeMap<String, Vec<u64>> {
    let summary = Summary::read(place.path(out).join("summary.json")).unwrap();
    let run = |m: &ligo_report::summary::MethodSummary| {
        let losses = m.curve.iter().map(|point| point.loss.to_bits());
        (format!("{} {}", m.name, m.seed), losses.collect())
    };
    summary.methods.iter().map(run).collect()
}

fn model(place: &Place, out: &str, method: &str) -> Vec<u8> {
    fs::read(place.path(&format!("{out}/methods/{method}/model/model.safetensors"))).unwrap()
}

fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count())
}

/// Waits until a method's process has trained some steps; its number.
fn process_of(place: &Place, method: &str, steps: usize) -> String {
    let folder = place.path(&format!("run/methods/{method}"));
    wait_until(method, || lines(&folder.join("metrics.jsonl")) >= steps);
    fs::read_to_string(folder.join(".lock")).unwrap().trim().to_owned()
}

fn kill(signal: &str, process: &str) {
    let sent = Command::new("kill").args([signal, process]).status().unwrap();
    assert!(sent.success(), "{signal} {process}");
}

fn is_alive(process: &str) -> bool {
    let asked = Command::new("kill")
        .args(["-0", process])
        .stderr(Stdio::null())
        .status();
    asked.unwrap().success()
}

fn is_saved(place: &Place, method: &str) -> bool {
    let checkpoints = place.path(&format!("run/methods/{method}/checkpoints"));
    let entries = fs::read_dir(checkpoints).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|e| e.file_name().to_string_lossy().starts_with("step-"))
}

#[test]
fn two_jobs_compute_what_one_does_bit_for_bit() {
    let place = Place::new();
    place.shown(&compare("one", "1"));
    let told = place.shown(&compare("two", "2"));
    assert_says(
        &told,
        &[
            "jobs: 2 at a time on cpu",
            "methods/ligo: complete",
            "4 of 4",
            "ligo: operator: loss",
            "saving",
        ],
    );
    assert_eq!(losses(&place, "one"), losses(&place, "two"));
    for method in ["scratch", "ligo", "stackbert"] {
        assert!(model(&place, "one", method) == model(&place, "two", method), "{method}");
        let log = fs::read_to_string(place.path(&format!("two/logs/methods/{method}.log"))).unwrap();
        assert_says(&log, &["device:", "validation loss"]);
    }
    // Either goes on where the other was.
    let again = place.shown(&compare("one", "2"));
    assert_says(&again, &["small model: complete, skipped", "ligo: complete, skipped"]);
}

#[test]
fn a_killed_job_is_named_takes_nothing_down_and_goes_on_later() {
    let place = Place::new();
    longer(&place);
    place.shown(&compare("whole", "2"));
    let parent = start(&place, &compare("run", "2"));
    kill("-KILL", &process_of(&place, "ligo", 30));
    let output = parent.wait_with_output().unwrap();
    let message = common::complaint(&output);
    assert_says(
        &message,
        &[
            "1 of 4 parts",
            "methods/ligo",
            "signal 9",
            "run/logs/methods/ligo.log",
            "the same command again",
        ],
    );
    // What is complete is in the table.
    let found = losses(&place, "run");
    assert_eq!(found.keys().collect::<Vec<_>>(), ["scratch 3", "stackbert 3"]);
    let told = place.shown(&compare("run", "2"));
    assert_says(&told, &["scratch: complete, skipped"]);
    assert_eq!(losses(&place, "run"), losses(&place, "whole"));
    assert!(model(&place, "run", "ligo") == model(&place, "whole", "ligo"));
}

#[test]
fn a_stop_is_passed_on_and_everything_is_saved() {
    let place = Place::new();
    longer(&place);
    place.shown(&compare("whole", "1"));
    for (signal, steps) in [("-TERM", 30), ("-INT", 90)] {
        let parent = start(&place, &compare("run", "3"));
        let jobs = ["scratch", "ligo", "stackbert"].map(|method| process_of(&place, method, steps));
        kill(signal, &parent.id().to_string());
        let output = parent.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", said(&output));
        assert_says(
            &said(&output),
            &["stopped as asked", "the same command again continues"],
        );
        assert!(jobs.iter().all(|job| !is_alive(job)), "a process stayed behind");
        for method in ["scratch", "ligo", "stackbert"] {
            assert!(is_saved(&place, method), "{method} was not saved");
        }
    }
    let told = place.shown(&compare("run", "2"));
    assert_says(&told, &["continues at step"]);
    assert_eq!(losses(&place, "run"), losses(&place, "whole"));
}

#[test]
fn jobs_whose_parent_was_killed_save_and_leave() {
    let place = Place::new();
    longer(&place);
    let mut parent = start(&place, &compare("run", "2"));
    process_of(&place, "ligo", 30);
    parent.kill().unwrap();
    parent.wait().unwrap();
    // At once again: it waits for those that are still saving.
    let told = place.shown(&compare("run", "2"));
    assert_says(&told, &["ligo: continues at step", "saving"]);
}

#[test]
fn the_number_of_jobs_must_make_sense() {
    let place = Place::new();
    for jobs in ["0", "many", "1000"] {
        let output = place.command(&compare("run", jobs)).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert_says(&said(&output), &["--jobs", "from 1 to 256"]);
    }
}
