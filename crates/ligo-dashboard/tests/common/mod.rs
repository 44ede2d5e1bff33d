//! A renderer that writes down what it is told.

use std::sync::{Arc, Mutex};

use burn_train::LearnerSummary;
use burn_train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn_train::metric::{MetricAttributes, MetricDefinition};
use burn_train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use ligo_cost::{Cost, Flops};
use ligo_experiment::{Listener, Watched};
use ligo_train::{EvalPoint, StepReport};

/// A number that a renderer was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    pub split: &'static str,
    pub metric: String,
    /// What the plot gets.
    pub value: Option<f64>,
    pub shown: String,
    pub serialized: String,
}

/// All that a renderer was told.
#[derive(Debug, Default)]
pub struct Notes {
    pub metrics: Vec<String>,
    pub numbers: Vec<Number>,
    /// Starts, splits, positions and the end, a line each.
    pub progress: Vec<String>,
    pub events: Vec<String>,
}

impl Notes {
    /// The values of one curve.
    pub fn curve(&self, split: &str, metric: &str) -> Vec<Option<f64>> {
        let of_it = self
            .numbers
            .iter()
            .filter(|told| told.split == split && told.metric == metric);
        of_it.map(|told| told.value).collect()
    }
}

/// The renderer; whoever made it keeps the notes.
#[derive(Clone, Default)]
pub struct Recorder(pub Arc<Mutex<Notes>>);

impl Recorder {
    fn put(&self, split: &'static str, state: MetricState) {
        let MetricState::Numeric(entry, value) = state else {
            panic!("all that is told is numbers");
        };
        // Its id is its name.
        let metric = format!("{:?}", entry.metric_id);
        let metric = metric.split('"').nth(1).unwrap().to_owned();
        let mut notes = self.0.lock().unwrap();
        assert!(notes.metrics.contains(&metric), "{metric} was never registered");
        notes.numbers.push(Number {
            split,
            metric,
            value: value.map(|value| value.current()),
            shown: entry.serialized_entry.formatted,
            serialized: entry.serialized_entry.serialized,
        });
    }

    fn progress(&self, line: String) {
        self.0.lock().unwrap().progress.push(line);
    }
}

impl MetricsRendererTraining for Recorder {
    fn update_train(&mut self, state: MetricState) {
        self.put("train", state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.put("valid", state);
    }

    fn on_train_end(&mut self, _summary: Option<LearnerSummary>) -> Result<(), Box<dyn std::error::Error>> {
        self.progress("train end".into());
        Ok(())
    }
}

impl MetricsRendererEvaluation for Recorder {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {
        panic!("nothing is tested");
    }
}

impl TrainingProgressLogger for Recorder {
    fn start(&mut self, epochs: usize, epoch: usize, items: Option<usize>, label: Option<&str>) {
        self.progress(format!(
            "start {epoch}/{epochs} of {} as {}",
            items.unwrap(),
            label.unwrap()
        ));
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.progress(format!("epoch {epoch}"));
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.progress(format!("split {split} of {items}"));
    }

    fn update_split(&mut self, items: usize) {
        self.progress(format!("at {items}"));
    }

    fn end_split(&mut self) {
        self.progress("split end".into());
    }

    fn end(&mut self) {
        self.progress("end".into());
    }

    fn log_event_training(&mut self, event: String) {
        self.0.lock().unwrap().events.push(event);
    }
}

impl EvaluationProgressLogger for Recorder {
    fn start_global_progress(&mut self, _tests: usize) {}
    fn start_test(&mut self, _name: &str, _items: usize) {}
    fn update_test_progress(&mut self, _items: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _event: String) {}
}

impl MetricsRenderer for Recorder {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        assert!(matches!(definition.attributes, MetricAttributes::Numeric(_)));
        self.0.lock().unwrap().metrics.push(definition.name.to_string());
    }
}

/// A listener that writes down what is said.
#[derive(Default)]
pub struct Lines(pub Mutex<Vec<String>>);

impl Lines {
    pub fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn put(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Listener for Lines {
    fn say(&self, line: &str) {
        self.put(line.into());
    }

    fn note(&self, line: &str) {
        self.put(format!("note: {line}"));
    }

    fn result(&self, text: &str) {
        self.put(format!("result: {text}"));
    }

    fn columns(&self) -> usize {
        77
    }
}

/// A run of 40 steps on a device of 1 TFLOP/s.
pub fn watched(label: &str) -> Watched<'_> {
    Watched {
        label,
        steps: 40,
        peak_flops: 1e12,
        reads_images: false,
    }
}

/// Half a second and 0.1 TFLOP by both counts.
const STEP: Cost = Cost {
    flops: Flops {
        exact: 1e11,
        electra: 1e11,
    },
    seconds: 0.5,
};

/// A step of 100 tokens.
pub fn step(step: u64, loss: f64) -> StepReport {
    StepReport {
        step,
        steps: 40,
        loss,
        grad_norm: 2.0 * loss,
        clip_scale: 1.0,
        lr: 1e-3,
        skipped: false,
        step_tokens: 100,
        tokens: 100 * step,
        step_cost: STEP,
        cost: STEP * step as f64,
    }
}

pub fn eval(step: u64, loss: f64) -> EvalPoint {
    EvalPoint {
        step,
        tokens: 100 * step,
        cost: STEP * step as f64,
        loss,
    }
}
