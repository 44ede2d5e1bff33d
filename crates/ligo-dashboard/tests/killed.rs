//! burn-train's dashboard panics when its user stops a run "immediately"; a run of ours saves and leaves all the same. In a program of its own,
//! since a stop is asked of the whole process.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the other program uses the rest")]
mod common;

use burn_train::LearnerSummary;
use burn_train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn_train::metric::MetricDefinition;
use burn_train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use common::{Lines, step, watched};
use ligo_dashboard::Dashboard;
use ligo_experiment::{Listener, stop};

/// Takes one number, and panics from then on, as burn-train's does.
#[derive(Default)]
struct Killed {
    told: usize,
}

impl Killed {
    fn tell(&mut self) {
        self.told += 1;
        assert!(self.told < 2, "killed by the user");
    }
}

impl MetricsRendererTraining for Killed {
    fn update_train(&mut self, _state: MetricState) {
        self.tell();
    }
    fn update_valid(&mut self, _state: MetricState) {
        self.tell();
    }
    fn on_train_end(&mut self, _summary: Option<LearnerSummary>) -> Result<(), Box<dyn std::error::Error>> {
        self.tell();
        Ok(())
    }
}

impl MetricsRendererEvaluation for Killed {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
}

impl TrainingProgressLogger for Killed {
    fn start(&mut self, _epochs: usize, _epoch: usize, _items: Option<usize>, _label: Option<&str>) {}
    fn update_epoch(&mut self, _epoch: usize) {}
    fn start_split(&mut self, _split: &str, _items: usize) {}
    fn update_split(&mut self, _items: usize) {}
    fn end_split(&mut self) {
        self.tell();
    }
    fn end(&mut self) {}
    fn log_event_training(&mut self, _event: String) {}
}

impl EvaluationProgressLogger for Killed {
    fn start_global_progress(&mut self, _tests: usize) {}
    fn start_test(&mut self, _name: &str, _items: usize) {}
    fn update_test_progress(&mut self, _items: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _event: String) {}
}

impl MetricsRenderer for Killed {
    fn manual_close(&mut self) {}
    fn register_metric(&mut self, _definition: MetricDefinition) {}
}

#[test]
fn a_renderer_that_panics_stops_the_run_and_gives_the_terminal_back() {
    let lines = Lines::default();
    let listener = Dashboard::with_renderers(
        &lines,
        |_| Some(Box::new(Killed::default()) as Box<dyn MetricsRenderer>),
    );
    let mut observer = listener.training(&watched("small"));
    listener.say("said meanwhile");
    assert!(!stop::requested());
    observer.on_step(&step(1, 5.0));
    assert!(stop::requested());
    let heard = ["said meanwhile", "  small: the dashboard has ended; saving and leaving"];
    assert_eq!(lines.heard(), heard);
    // The trainer finishes its step, evaluates or saves.
    observer.on_step(&step(2, 4.0));
    drop(observer);
    assert_eq!(lines.heard(), heard);
}
