//! What a renderer is told of a run.

use burn_train::metric::{Metric, Numeric};
use burn_train::renderer::MetricsRenderer;
use ligo_experiment::Watched;
use ligo_train::{EvalPoint, Event, Observer, StepReport};

use crate::metered::{Metered, Watching, items};
use crate::series::Series;

/// What the trainer reports.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A step of training.
    Step(&'a StepReport),
    /// An evaluation.
    Eval(&'a EvalPoint),
}

/// Tells a renderer of burn-train what a training run does: the losses of steps and evaluations, learning rate, gradient norm, speed, share of
/// the device's peak, and how far it is. A run is one epoch, a step one item of it.
pub struct Feed<'a> {
    renderer: Box<dyn MetricsRenderer + 'a>,
    steps: u64,
    peak_flops: f64,
    loss: Series,
    lr: Series,
    gradient_norm: Series,
    speed: Series,
    share_of_peak: Series,
    metrics: Vec<Box<dyn Metered + 'a>>,
    /// Whether the renderer was told that an evaluation goes on.
    evaluates: bool,
}

impl<'a> Feed<'a> {
    /// For a run that begins.
    pub fn new(renderer: impl MetricsRenderer + 'a, run: &Watched<'_>) -> Self {
        Self::boxed(Box::new(renderer), run)
    }

    pub(crate) fn boxed(renderer: Box<dyn MetricsRenderer + 'a>, run: &Watched<'_>) -> Self {
        let mut feed = Self {
            renderer,
            // Renderers divide by it.
            steps: run.steps.max(1),
            peak_flops: run.peak_flops,
            loss: Series::loss(),
            lr: Series::learning_rate(),
            gradient_norm: Series::gradient_norm(),
            speed: Series::speed(run.reads_images),
            share_of_peak: Series::share_of_peak(),
            metrics: Vec::new(),
            evaluates: false,
        };
        for series in [
            &feed.loss,
            &feed.lr,
            &feed.gradient_norm,
            &feed.speed,
            &feed.share_of_peak,
        ] {
            feed.renderer.register_metric(series.definition());
        }
        // Epochs count from 1.
        feed.renderer.start(1, 1, Some(items(feed.steps)), Some(run.label));
        feed.train_split();
        feed
    }

    /// Lets a metric watch too. `input` makes what it takes of a report, or leaves the report out; steps and evaluations are two series, of
    /// which each has a state of its own.
    #[must_use]
    pub fn with_metric<M>(mut self, metric: M, input: impl FnMut(Seen<'_>) -> Option<M::Input> + 'a) -> Self
    where
        M: Metric + Numeric + 'a,
    {
        let watching = Watching::new(metric, input);
        self.renderer.register_metric(watching.definition());
        self.metrics.push(Box::new(watching));
        self
    }

    fn train_split(&mut self) {
        self.renderer.start_split("train", items(self.steps));
    }

    /// Evaluations are over as soon as something else is reported.
    fn trains_again(&mut self) {
        if std::mem::take(&mut self.evaluates) {
            self.renderer.end_split();
            self.train_split();
        }
    }

    fn see(&mut self, seen: Seen<'_>) {
        for metric in &mut self.metrics {
            let Some(state) = metric.see(seen, self.steps) else {
                continue;
            };
            match seen {
                Seen::Step(_) => self.renderer.update_train(state),
                Seen::Eval(_) => self.renderer.update_valid(state),
            }
        }
    }
}

impl Observer for Feed<'_> {
    fn on_step(&mut self, report: &StepReport) {
        self.trains_again();
        let flops_per_second = report.step_cost.flops.exact / report.step_cost.seconds.max(1e-9);
        for (series, value) in [
            (&self.loss, report.loss),
            (&self.lr, report.lr),
            (&self.gradient_norm, report.grad_norm),
            (&self.speed, report.tokens_per_second()),
            (&self.share_of_peak, 100.0 * flops_per_second / self.peak_flops),
        ] {
            self.renderer.update_train(series.state(value));
        }
        self.see(Seen::Step(report));
        self.renderer.update_split(items(report.step.min(self.steps)));
    }

    fn on_eval(&mut self, point: &EvalPoint) {
        self.renderer.update_valid(self.loss.state(point.loss));
        self.see(Seen::Eval(point));
        self.trains_again();
    }

    /// As a share of the run's steps: the terminal's plots thin out the validation curve by the ratio of the two lengths, and there is only one
    /// point in it for each evaluation.
    fn on_eval_batch(&mut self, done: usize, total: usize) {
        let steps = items(self.steps);
        if !std::mem::replace(&mut self.evaluates, true) {
            self.renderer.end_split();
            self.renderer.start_split("valid", steps);
        }
        let share = done as f64 / total.max(1) as f64;
        self.renderer.update_split((share * steps as f64) as usize);
    }

    /// Counted by its kind.
    fn on_event(&mut self, event: &Event) {
        let kind = match event {
            Event::Resumed { .. } => "Resumed",
            Event::CheckpointRejected { .. } => "Checkpoints refused",
            Event::MetricsCut { .. } => "Metrics cut",
            Event::Saved { .. } => "Saved",
            Event::SaveFailed { .. } => "Saves failed",
            Event::SkippedNonFinite { .. } => "Steps skipped",
            Event::RolledBack { .. } => "Rolled back",
            Event::LossSpike { .. } => "Loss spikes",
        };
        self.renderer.log_event_training(kind.into());
    }
}

impl Drop for Feed<'_> {
    fn drop(&mut self) {
        // Whoever panics tells the renderer nothing more; it restores the terminal by itself.
        if std::thread::panicking() {
            return;
        }
        self.renderer.end_split();
        self.renderer.update_epoch(1);
        self.renderer.end();
        // What a renderer could not do at the end changes nothing of the run.
        let _ = self.renderer.on_train_end(None);
    }
}
