//! How a long task talks to its caller: progress out, a wish to stop in.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// A progress callback and a stop flag, handed to tasks that read a whole corpus.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// let stop = AtomicBool::new(false);
/// let report = |done: u64, total: u64| { let _ = (done, total); };
/// let watch = ligo_data::Watch::new(&report, &stop);
/// # let _ = watch;
/// ```
#[derive(Clone, Copy, Default)]
pub struct Watch<'a> {
    progress: Option<&'a dyn Fn(u64, u64)>,
    stop: Option<&'a AtomicBool>,
}

impl<'a> Watch<'a> {
    /// Calls `progress(bytes_done, bytes_total)` now and then, in bytes of the files as they lie on disk, always from the thread
    /// that started the task, and ends the task with [`Error::Interrupted`] soon after `stop` becomes true.
    pub fn new(progress: &'a dyn Fn(u64, u64), stop: &'a AtomicBool) -> Self {
        Self {
            progress: Some(progress),
            stop: Some(stop),
        }
    }

    /// Reports nothing and is never stopped.
    pub fn none() -> Self {
        Self::default()
    }

    pub(crate) fn report(&self, bytes_done: u64, bytes_total: u64) {
        if let Some(progress) = self.progress {
            progress(bytes_done, bytes_total);
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.stop {
            Some(stop) if stop.load(Ordering::Relaxed) => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }
}
