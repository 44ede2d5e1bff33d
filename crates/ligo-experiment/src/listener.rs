//! Who watches an experiment: a terminal, a program of your own, or nobody.

use ligo_device::DeviceChoice;
use ligo_train::{EvalPoint, Event, Observer, Silent, StepReport};

use crate::job_message::Position;
use crate::stop;

/// Is told what an experiment does. Every method but [`Listener::say`] does something sensible unless it is overridden.
pub trait Listener: Sync {
    /// A line about what is going on.
    fn say(&self, line: &str);

    /// A line that only a log needs.
    fn note(&self, line: &str) {
        self.say(line);
    }

    /// A result, such as the table.
    fn result(&self, text: &str) {
        self.say(text);
    }

    /// Columns that results are shown in; without end where nothing limits them.
    fn columns(&self) -> usize {
        usize::MAX
    }

    /// Follows something that takes a while, until what is returned is dropped.
    fn progress(&self, _label: &str, _counted: Counted) -> Box<dyn Progress + '_> {
        Box::new(Silent)
    }

    /// Follows the steps of a training run, until what is returned is dropped.
    fn training(&self, _run: &Watched<'_>) -> Box<dyn Observer + '_> {
        Box::new(Silent)
    }

    /// Follows `units` pieces of work that run in processes of their own, as many at a time as there are `places`.
    fn board(&self, _units: usize, _places: usize) -> Box<dyn Board + '_> {
        Box::new(Spoken(|line: &str| self.say(line)))
    }
}

/// What is counted while something takes a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Bytes of files.
    Bytes,
    /// Files, documents, images, tensors.
    Items,
}

/// How far something is.
pub trait Progress {
    /// So much of so much.
    fn at(&self, _done: u64, _total: u64) {}

    /// Says something in between, by `say`.
    fn suspended(&self, say: &mut dyn FnMut()) {
        say();
    }
}

/// A training run that begins.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// What people call it.
    pub label: &'a str,
    /// Its steps.
    pub steps: u64,
    /// The device's matmul peak in FLOP/s.
    pub peak_flops: f64,
    /// Whether its samples are images; otherwise tokens are counted.
    pub reads_images: bool,
}

/// What is shown of pieces of work that run side by side.
pub trait Board {
    /// A line of one of them, or about them.
    fn say(&self, line: &str);
    /// A piece of work has begun at a place.
    fn started(&mut self, _place: usize, _name: &str, _device: DeviceChoice) {}
    /// How far the training run at a place is.
    fn at(&mut self, _place: usize, _position: &Position) {}
    /// The process at a place has ended.
    fn left(&mut self, _place: usize) {}
    /// A piece of work is complete, or will not be.
    fn ended(&mut self, _name: &str, _well: bool) {}
}

impl Listener for Silent {
    fn say(&self, _line: &str) {}
}

impl Progress for Silent {}

/// A board that only passes lines on.
struct Spoken<F>(F);

impl<F: Fn(&str)> Board for Spoken<F> {
    fn say(&self, line: &str) {
        (self.0)(line);
    }
}

/// Passes everything on, and notes when there is something that a later start goes on from.
pub(crate) struct NotingSaves<'a>(pub Box<dyn Observer + 'a>);

impl Observer for NotingSaves<'_> {
    fn on_step(&mut self, report: &StepReport) {
        self.0.on_step(report);
    }

    fn on_eval(&mut self, point: &EvalPoint) {
        self.0.on_eval(point);
    }

    fn on_eval_batch(&mut self, done: usize, total: usize) {
        self.0.on_eval_batch(done, total);
    }

    fn on_event(&mut self, event: &Event) {
        if matches!(event, Event::Resumed { .. } | Event::Saved { .. }) {
            stop::note_saved();
        }
        self.0.on_event(event);
    }
}
