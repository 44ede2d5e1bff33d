//! Draws a training run: a bar on a terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use ligo_cost::format;
use ligo_experiment::job_message::Position;
use ligo_experiment::{Listener, Watched};
use ligo_train::{EvalPoint, Event, Observer, StepReport};

use crate::Ui;

/// One run's bar.
pub struct Steps {
    ui: Ui,
    label: String,
    bar: ProgressBar,
    peak_flops: f64,
    last_line: Option<Instant>,
    last_told: Option<Instant>,
    /// Loss and speed jump from step to step; people want to read them.
    loss: Option<f64>,
    seconds_per_step: Option<f64>,
    valid: Option<f64>,
    /// How speed is written.
    speed: fn(f64) -> String,
}

/// Between two lines about a run where there are no bars.
pub const LINE_EVERY: Duration = Duration::from_secs(20);
/// Between two reports to the process that shows the bars.
const TELL_EVERY: Duration = Duration::from_millis(200);

impl Steps {
    /// For a run that begins.
    pub fn new(ui: Ui, run: &Watched<'_>) -> Self {
        Self {
            bar: ui.steps_bar(run.label, run.steps),
            ui,
            label: run.label.into(),
            peak_flops: run.peak_flops,
            last_line: None,
            last_told: None,
            loss: None,
            seconds_per_step: None,
            valid: None,
            speed: match run.reads_images {
                true => format::images_per_second,
                false => format::tokens_per_second,
            },
        }
    }

    fn line(&self, message: &str) {
        if self.ui.draws_bars() {
            self.bar.suspend(|| self.ui.say(message));
        } else {
            self.ui.say(message);
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn smooth(old: Option<f64>, new: f64, keep: f64) -> Option<f64> {
    Some(
        old.filter(|o| o.is_finite())
            .map_or(new, |old| keep * old + (1.0 - keep) * new),
    )
}

impl Observer for Steps {
    fn on_step(&mut self, report: &StepReport) {
        self.loss = smooth(self.loss, report.loss, 0.95);
        self.seconds_per_step = smooth(self.seconds_per_step, report.step_cost.seconds, 0.9);
        let seconds = self.seconds_per_step.unwrap_or(report.step_cost.seconds).max(1e-9);
        let valid = self.valid.map(|v| format!(" valid {v:.3}")).unwrap_or_default();
        let message = format!(
            "loss {:.3}{valid}  {}  {:.0} % of peak",
            self.loss.unwrap_or(report.loss),
            (self.speed)(report.step_tokens as f64 / seconds),
            100.0 * report.step_cost.flops.exact / seconds / self.peak_flops,
        );
        if self.bar.position() == 0 {
            // A resumed run starts in the middle; its earlier steps say nothing about the time left.
            self.bar.set_position(report.step.saturating_sub(1));
            self.bar.reset_eta();
        }
        self.bar.set_position(report.step);
        let left = || match report.steps - report.step {
            0 => String::new(),
            steps => format!("  left {}", format::seconds(seconds * steps as f64)),
        };
        let last = *self.last_line.get_or_insert_with(Instant::now);
        if !self.ui.draws_bars() && (last.elapsed() >= LINE_EVERY || report.step == report.steps) {
            self.last_line = Some(Instant::now());
            self.ui.note(&format!(
                "  {} {}/{}  {message}{}",
                self.label,
                report.step,
                report.steps,
                left()
            ));
        }
        if self.last_told.is_none_or(|at| at.elapsed() >= TELL_EVERY) || report.step == report.steps {
            self.last_told = Some(Instant::now());
            self.ui.at(|| Position {
                label: self.label.clone(),
                step: report.step,
                steps: report.steps,
                message: format!("{message}{}", left()),
            });
        }
        self.bar.set_message(message);
    }

    fn on_eval(&mut self, point: &EvalPoint) {
        self.valid = Some(point.loss);
    }

    fn on_event(&mut self, event: &Event) {
        // Nothing that anybody waits for.
        if !matches!(event, Event::Saved { .. }) {
            self.line(&format!("  {}: {event}", self.label));
        }
    }
}
