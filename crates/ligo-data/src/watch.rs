//! How a long task talks to its caller: progress and notes out, a wish to stop in.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Note, Result};

/// A progress callback, a stop flag and an ear for notes, handed to tasks that read a whole corpus.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// let stop = AtomicBool::new(false);
/// let report = |done: u64, total: u64| { let _ = (done, total); };
/// let say = |note: &ligo_data::Note| eprintln!("{note}");
/// let watch = ligo_data::Watch::new(&report, &stop).with_notes(&say);
/// # let _ = watch;
/// ```
#[derive(Clone, Copy, Default)]
pub struct Watch<'a> {
    progress: Option<&'a dyn Fn(u64, u64)>,
    stop: Option<&'a AtomicBool>,
    notes: Option<&'a dyn Fn(&Note)>,
}

impl<'a> Watch<'a> {
    /// Calls `progress(bytes_done, bytes_total)` now and then, in bytes of the files as they lie on disk, always from the thread
    /// that started the task, and ends the task with [`Error::Interrupted`] soon after `stop` becomes true.
    pub fn new(progress: &'a dyn Fn(u64, u64), stop: &'a AtomicBool) -> Self {
        Self {
            progress: Some(progress),
            stop: Some(stop),
            notes: None,
        }
    }

    /// Reports nothing and is never stopped.
    pub fn none() -> Self {
        Self::default()
    }

    /// Also hands every [`Note`] to `notes`, from the thread that started the task.
    #[must_use]
    pub fn with_notes(self, notes: &'a dyn Fn(&Note)) -> Self {
        Self {
            notes: Some(notes),
            ..self
        }
    }

    pub(crate) fn report(&self, bytes_done: u64, bytes_total: u64) {
        if let Some(progress) = self.progress {
            progress(bytes_done, bytes_total);
        }
    }

    pub(crate) fn note(&self, note: &Note) {
        if let Some(notes) = self.notes {
            notes(note);
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.stop {
            Some(stop) if stop.load(Ordering::Relaxed) => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }
}
