//! A listener that has a dashboard while something trains.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn_train::Interrupter;
use burn_train::renderer::MetricsRenderer;
use ligo_experiment::{Board, Counted, Listener, Progress, Silent, Watched, stop};
use ligo_train::{EvalPoint, Event, Observer, StepReport};

use crate::feed::Feed;
use crate::terminal;

/// Around another listener: each training run is shown by a renderer of burn-train, the terminal's dashboard unless it is given. What is said
/// while one is open is kept and passed on in its order when it closes. A stop that is asked for in the dashboard asks the whole experiment to
/// save and leave, as Ctrl-C does.
pub struct Dashboard<'a> {
    inner: &'a dyn Listener,
    open: Box<dyn Fn(Interrupter) -> Option<Box<dyn MetricsRenderer>> + Sync + 'a>,
    /// There while a renderer is open.
    kept: Mutex<Option<Vec<Kept>>>,
}

/// What was said while a renderer was open.
enum Kept {
    Line(String),
    Note(String),
    Result(String),
}

impl<'a> Dashboard<'a> {
    /// Of the terminal; [`is_there`](crate::is_there) tells whether there is one.
    pub fn new(inner: &'a dyn Listener) -> Self {
        Self::with_renderers(inner, terminal::open)
    }

    /// With a renderer of your own for each training run; where it is `None` the inner listener shows the run.
    pub fn with_renderers(
        inner: &'a dyn Listener,
        open: impl Fn(Interrupter) -> Option<Box<dyn MetricsRenderer>> + Sync + 'a,
    ) -> Self {
        Self {
            inner,
            open: Box::new(open),
            kept: Mutex::new(None),
        }
    }

    /// A thread that panicked while it said something left nothing half said.
    fn kept(&self) -> MutexGuard<'_, Option<Vec<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        self.kept().is_some()
    }

    /// Keeps it while a renderer is open, else passes it on.
    fn tell(&self, kept: Kept) {
        if let Some(lines) = self.kept().as_mut() {
            lines.push(kept);
            return;
        }
        self.pass_on(kept);
    }

    fn pass_on(&self, kept: Kept) {
        match kept {
            Kept::Line(line) => self.inner.say(&line),
            Kept::Note(line) => self.inner.note(&line),
            Kept::Result(text) => self.inner.result(&text),
        }
    }

    /// The terminal belongs to the lines again.
    fn closed(&self) {
        let kept = self.kept().take();
        kept.into_iter().flatten().for_each(|kept| self.pass_on(kept));
    }
}

impl Listener for Dashboard<'_> {
    fn say(&self, line: &str) {
        self.tell(Kept::Line(line.into()));
    }

    fn note(&self, line: &str) {
        self.tell(Kept::Note(line.into()));
    }

    fn result(&self, text: &str) {
        self.tell(Kept::Result(text.into()));
    }

    fn columns(&self) -> usize {
        self.inner.columns()
    }

    fn progress(&self, label: &str, counted: Counted) -> Box<dyn Progress + '_> {
        match self.is_open() {
            true => Box::new(Silent),
            false => self.inner.progress(label, counted),
        }
    }

    fn training(&self, run: &Watched<'_>) -> Box<dyn Observer + '_> {
        // One terminal has room for one run.
        if self.is_open() {
            return Box::new(Silent);
        }
        let interrupter = Interrupter::new();
        let Some(renderer) = (self.open)(interrupter.clone()) else {
            self.inner
                .say("the dashboard could not be opened; going on with ordinary lines");
            return self.inner.training(run);
        };
        *self.kept() = Some(Vec::new());
        Box::new(Shown {
            feed: Some(Feed::boxed(renderer, run)),
            interrupter,
            label: run.label.into(),
            dashboard: self,
        })
    }

    fn board(&self, units: usize, places: usize) -> Box<dyn Board + '_> {
        self.inner.board(units, places)
    }
}

/// A run that a renderer shows.
struct Shown<'a> {
    /// Until the renderer fails.
    feed: Option<Feed<'static>>,
    interrupter: Interrupter,
    label: String,
    dashboard: &'a Dashboard<'a>,
}

impl Shown<'_> {
    /// burn-train's renderer panics on this thread, and on its own, when the user picks "stop immediately". That must cost nobody the steps
    /// since the last checkpoint, so it stops the run as everything else does.
    fn tell(&mut self, tell: impl FnOnce(&mut Feed<'static>)) {
        if let Some(feed) = &mut self.feed
            && catch_unwind(AssertUnwindSafe(|| tell(feed))).is_err()
        {
            self.close();
            self.dashboard.say(&format!(
                "  {}: the dashboard has ended; saving and leaving",
                self.label
            ));
            stop::request();
        }
        self.heed();
    }

    /// Passes the wish to stop on.
    fn heed(&self) {
        if self.interrupter.should_stop() {
            stop::request();
        }
    }

    fn close(&mut self) {
        if let Some(feed) = self.feed.take() {
            // Says something to its renderer too.
            let closed = catch_unwind(AssertUnwindSafe(|| drop(feed)));
            drop(closed);
            self.dashboard.closed();
        }
    }
}

impl Observer for Shown<'_> {
    fn on_step(&mut self, report: &StepReport) {
        self.tell(|feed| feed.on_step(report));
    }

    fn on_eval(&mut self, point: &EvalPoint) {
        self.tell(|feed| feed.on_eval(point));
    }

    fn on_eval_batch(&mut self, done: usize, total: usize) {
        self.tell(|feed| feed.on_eval_batch(done, total));
    }

    fn on_event(&mut self, event: &Event) {
        if !matches!(event, Event::Saved { .. }) {
            self.dashboard.say(&format!("  {}: {event}", self.label));
        }
        self.tell(|feed| feed.on_event(event));
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        // The end of a run takes the wish to stop back.
        self.heed();
        self.close();
    }
}
