//! What renderers and metrics of burn-train are told of a run.

use std::sync::Arc;

use burn::tensor::TensorReadError;
use burn_train::metric::{
    Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry, SerializedEntry,
};
use ligo_dashboard::{Feed, Seen};
use ligo_train::{Event, Observer};

use crate::common::{Recorder, eval, step, watched};

#[test]
fn steps_and_evaluations_become_curves() {
    let recorder = Recorder::default();
    let mut feed = Feed::new(recorder.clone(), &watched("small"));
    feed.on_step(&step(1, 5.0));
    feed.on_step(&step(2, 4.0));
    feed.on_eval(&eval(2, 4.5));
    feed.on_step(&step(3, f64::NAN));
    drop(feed);
    let notes = recorder.0.lock().unwrap();
    let names = [
        "Loss",
        "Learning rate",
        "Gradient norm",
        "Tokens per second",
        "Share of peak",
    ];
    assert_eq!(notes.metrics, names);
    // What is no number has no place in a plot, and is shown all the same.
    assert_eq!(notes.curve("train", "Loss"), [Some(5.0), Some(4.0), None]);
    assert_eq!(notes.curve("valid", "Loss"), [Some(4.5)]);
    assert_eq!(notes.curve("train", "Gradient norm"), [Some(10.0), Some(8.0), None]);
    for (metric, value, shown) in [
        ("Learning rate", 1e-3, "1.000e-3"),
        ("Tokens per second", 200.0, "200 tokens/s"),
        ("Share of peak", 20.0, "20.0 %"),
    ] {
        let told: Vec<_> = notes.numbers.iter().filter(|told| told.metric == metric).collect();
        assert_eq!(told.len(), 3);
        for told in told {
            let told_value = told.value.unwrap();
            assert!((told_value - value).abs() < 1e-9 * value, "{told:?}");
            assert_eq!(told.shown, shown);
            assert_eq!(told.serialized.parse::<f64>().unwrap(), told_value);
        }
    }
    assert!(
        notes.numbers.iter().any(|told| told.shown == "NaN"),
        "{:?}",
        notes.numbers
    );
}

#[test]
fn a_run_is_an_epoch_of_steps_and_evaluations_interrupt_it() {
    let recorder = Recorder::default();
    let mut feed = Feed::new(recorder.clone(), &watched("large"));
    feed.on_step(&step(20, 5.0));
    for done in 1..=2 {
        feed.on_eval_batch(done, 2);
    }
    feed.on_eval(&eval(20, 4.5));
    feed.on_step(&step(21, 4.0));
    // A stop in the middle of an evaluation.
    feed.on_eval_batch(1, 2);
    drop(feed);
    assert_eq!(
        recorder.0.lock().unwrap().progress,
        [
            "start 1/1 of 40 as large",
            "split train of 40",
            "at 20",
            "split end",
            "split valid of 40",
            "at 20",
            "at 40",
            "split end",
            "split train of 40",
            "at 21",
            "split end",
            "split valid of 40",
            "at 20",
            "split end",
            "epoch 1",
            "end",
            "train end",
        ]
    );
}

#[test]
fn events_are_counted_and_images_are_called_images() {
    let recorder = Recorder::default();
    let mut run = watched("pictures");
    run.reads_images = true;
    // Nothing to do is no reason to divide by zero.
    run.steps = 0;
    let mut feed = Feed::new(recorder.clone(), &run);
    feed.on_event(&Event::Saved {
        step: 3,
        path: "checkpoints/step-3".into(),
        seconds: 0.1,
    });
    feed.on_event(&Event::LossSpike {
        step: 4,
        loss: 9.0,
        height: 8.0,
    });
    drop(feed);
    let notes = recorder.0.lock().unwrap();
    assert_eq!(notes.events, ["Saved", "Loss spikes"]);
    assert!(notes.metrics.contains(&"Images per second".to_owned()));
    assert_eq!(notes.progress[0], "start 1/1 of 1 as pictures");
}

/// The lowest number so far.
#[derive(Clone, Default)]
struct Lowest(Option<f64>);

impl Metric for Lowest {
    type Input = f64;

    fn name(&self) -> MetricName {
        Arc::new("Lowest loss".into())
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes::default().into()
    }

    fn update(&mut self, item: &f64, metadata: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        let lowest = self.0.map_or(*item, |lowest| lowest.min(*item));
        self.0 = Some(lowest);
        let progress = &metadata.progress;
        let shown = format!("{lowest} at {}/{}", progress.items_processed, progress.items_total);
        Ok(SerializedEntry::new(shown, lowest.to_string()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(SerializedEntry::not_available(None))
    }

    fn clear(&mut self) {
        self.0 = None;
    }
}

impl Numeric for Lowest {
    fn value(&self) -> Option<NumericEntry> {
        self.0.map(NumericEntry::Value)
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.value()
    }

    fn final_value(&self) -> NumericEntry {
        NumericEntry::Final(self.0.unwrap_or(f64::NAN))
    }
}

#[test]
fn a_metric_of_burn_train_watches_steps_and_evaluations_apart() {
    let recorder = Recorder::default();
    let mut feed = Feed::new(recorder.clone(), &watched("small")).with_metric(Lowest::default(), |seen| match seen {
        Seen::Step(report) => (!report.skipped).then_some(report.loss),
        Seen::Eval(point) => Some(point.loss),
    });
    for (at, loss) in [(1, 3.0), (2, 2.0), (3, 4.0)] {
        feed.on_step(&step(at, loss));
    }
    let mut skipped = step(4, 1.0);
    skipped.skipped = true;
    feed.on_step(&skipped);
    feed.on_eval(&eval(4, 2.5));
    drop(feed);
    let notes = recorder.0.lock().unwrap();
    assert_eq!(notes.curve("train", "Lowest loss"), [Some(3.0), Some(2.0), Some(2.0)]);
    assert_eq!(notes.curve("valid", "Lowest loss"), [Some(2.5)]);
    let shown = notes.numbers.iter().filter(|told| told.metric == "Lowest loss");
    let shown: Vec<&str> = shown.map(|told| told.shown.as_str()).collect();
    assert_eq!(shown, ["3 at 1/40", "2 at 2/40", "2 at 3/40", "2.5 at 4/40"]);
}
