//! A listener with a dashboard: what is said waits, and a wish to stop is passed on.

use std::sync::Mutex;

use burn_train::Interrupter;
use burn_train::renderer::MetricsRenderer;
use ligo_dashboard::Dashboard;
use ligo_experiment::{Counted, Listener, stop};
use ligo_train::Event;

use crate::common::{Lines, Recorder, step, watched};

/// A dashboard on this renderer.
fn with<'a>(lines: &'a Lines, recorder: &Recorder) -> Dashboard<'a> {
    let recorder = recorder.clone();
    Dashboard::with_renderers(lines, move |_| {
        Some(Box::new(recorder.clone()) as Box<dyn MetricsRenderer>)
    })
}

#[test]
fn what_is_said_while_a_dashboard_is_open_comes_when_it_closes() {
    let (lines, recorder) = (Lines::default(), Recorder::default());
    let listener = with(&lines, &recorder);
    listener.say("before");
    let mut observer = listener.training(&watched("small"));
    listener.say("one");
    listener.note("two");
    observer.on_step(&step(1, 5.0));
    observer.on_event(&Event::Resumed {
        step: 7,
        path: "checkpoints/step-7".into(),
    });
    observer.on_event(&Event::Saved {
        step: 8,
        path: "checkpoints/step-8".into(),
        seconds: 0.1,
    });
    listener.result("three");
    listener
        .progress("tensors", Counted::Items)
        .suspended(&mut || listener.say("four"));
    assert_eq!(lines.heard(), ["before"]);
    drop(observer);
    let all = [
        "before",
        "one",
        "note: two",
        "  small: continues at step 7",
        "result: three",
        "four",
    ];
    assert_eq!(lines.heard(), all);
    listener.say("after");
    assert_eq!(lines.heard().last().unwrap(), "after");
    assert_eq!(recorder.0.lock().unwrap().curve("train", "Loss"), [Some(5.0)]);
    assert_eq!(listener.columns(), 77);
}

#[test]
fn every_run_has_a_dashboard_of_its_own_and_a_second_one_at_a_time_has_none() {
    let (lines, recorder) = (Lines::default(), Recorder::default());
    let listener = with(&lines, &recorder);
    for label in ["small", "large"] {
        let observer = listener.training(&watched(label));
        listener.training(&watched("beside it")).on_step(&step(1, 1.0));
        drop(observer);
    }
    let notes = recorder.0.lock().unwrap();
    let starts: Vec<_> = notes.progress.iter().filter(|line| line.starts_with("start")).collect();
    assert_eq!(starts, ["start 1/1 of 40 as small", "start 1/1 of 40 as large"]);
    assert!(notes.numbers.is_empty());
}

#[test]
fn where_no_dashboard_opens_lines_go_on() {
    let lines = Lines::default();
    let listener = Dashboard::with_renderers(&lines, |_| None);
    let mut observer = listener.training(&watched("small"));
    observer.on_step(&step(1, 5.0));
    listener.say("one");
    assert_eq!(
        lines.heard(),
        ["the dashboard could not be opened; going on with ordinary lines", "one"]
    );
}

#[test]
fn a_wish_to_stop_in_the_dashboard_stops_the_experiment() {
    let (lines, recorder) = (Lines::default(), Recorder::default());
    let handed = Mutex::new(None);
    let listener = Dashboard::with_renderers(&lines, |interrupter: Interrupter| {
        *handed.lock().unwrap() = Some(interrupter);
        Some(Box::new(recorder.clone()) as Box<dyn MetricsRenderer>)
    });
    let mut observer = listener.training(&watched("small"));
    handed.lock().unwrap().take().unwrap().stop(Some("the user asks"));
    observer.on_step(&step(1, 5.0));
    assert!(stop::requested());
}
