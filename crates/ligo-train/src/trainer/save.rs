//! What a session writes. Rank 0 decides when, since it has the clock and knows what failed.

use std::path::PathBuf;
use std::time::Instant;

use super::session::Session;
use super::sharded::Elsewhere;
use crate::checkpoint::Purpose;
use crate::collective::{as_first_says, check_replicas};
use crate::log::Log;
use crate::{Error, Event, FailedSavePolicy, NonFinitePolicy};

impl Session<'_, '_> {
    pub(super) fn is_save_due(&self) -> Result<bool, Error> {
        let config = &self.trainer.config;
        let step = self.progress.step;
        let by_step = config.checkpoint_every > 0 && step.is_multiple_of(config.checkpoint_every);
        let by_time = config.checkpoint_every_seconds > 0.0
            && self.last_save.elapsed().as_secs_f64() >= config.checkpoint_every_seconds;
        let is_saved = self.saved_at == Some(step) || step == 0;
        as_first_says(self.trainer.ranks, !is_saved && (by_step || by_time))
    }

    /// The save at the end of a session, which must succeed.
    pub(super) fn save_last(&mut self) -> Result<(), Error> {
        let is_due = self.saved_at != Some(self.progress.step);
        if !as_first_says(self.trainer.ranks, is_due)? {
            return Ok(());
        }
        self.check_replicas()?;
        self.save()
    }

    pub(super) fn save_or_go_on(&mut self) -> Result<(), Error> {
        self.check_replicas()?;
        let saved = self.save();
        // A failed save waits its turn like a good one: trying again after every step would only slow the run down.
        self.last_save = Instant::now();
        self.tolerate(saved)
    }

    /// Nothing is saved that not all ranks hold alike.
    fn check_replicas(&mut self) -> Result<(), Error> {
        self.pause_meter();
        let t = &*self.trainer;
        check_replicas(t.ranks, self.progress.step, &t.store, &t.optimizer)
    }

    fn save(&mut self) -> Result<(), Error> {
        self.pause_meter();
        let started = Instant::now();
        if self.trainer.config.on_non_finite == NonFinitePolicy::Rollback {
            // Whatever led back to the checkpoint before is overcome.
            self.progress.skipped_in_a_row = 0;
        }
        let saved = self.write_state(Purpose::Resume)?;
        let Some(path) = saved else {
            return Ok(());
        };
        let step = self.progress.step;
        let seconds = started.elapsed().as_secs_f64();
        self.progress.save_seconds += seconds;
        self.saved_at = Some(step);
        self.last_save = Instant::now();
        self.observer.on_event(&Event::Saved { step, path, seconds });
        Ok(())
    }

    /// Keeps the state for runs of other lengths.
    pub(super) fn save_branch(&mut self) -> Result<(), Error> {
        self.check_replicas()?;
        let started = Instant::now();
        let written = self.write_state(Purpose::Branch);
        self.progress.save_seconds += started.elapsed().as_secs_f64();
        self.tolerate(written.map(drop))
    }

    /// Writes the state where this rank has checkpoints. Whatever becomes of the file, the other ranks give all that they have for it.
    fn write_state(&mut self, purpose: Purpose) -> Result<Option<PathBuf>, Error> {
        let t = &*self.trainer;
        let mut elsewhere = Elsewhere::of(t);
        let log = &mut self.log;
        let saved = self.checkpoints.as_ref().map(|checkpoints| {
            log.as_mut().map_or(Ok(()), Log::sync)?;
            let state = (&t.store, &t.optimizer);
            checkpoints.save(purpose, &self.run, &self.progress, state, || elsewhere.next())
        });
        elsewhere.finish()?;
        saved.transpose()
    }

    /// Applies [`FailedSavePolicy`] to the outcome of writing something.
    pub(super) fn tolerate(&mut self, written: Result<(), Error>) -> Result<(), Error> {
        match (written, self.trainer.config.on_failed_save) {
            (Err(error), FailedSavePolicy::Continue) => {
                self.observer.on_event(&Event::SaveFailed {
                    step: self.progress.step,
                    reason: error.to_string(),
                });
                Ok(())
            }
            (written, _) => written,
        }
    }

    /// Writes to the log, where this rank has one.
    pub(super) fn write(&mut self, what: impl FnOnce(&mut Log) -> Result<(), Error>) -> Result<(), Error> {
        let written = self.log.as_mut().map_or(Ok(()), what);
        self.tolerate(written)
    }

    pub(super) fn note(&mut self, kind: &str, message: String) -> Result<(), Error> {
        let step = self.progress.step;
        self.write(|log| log.event(step, kind, message))
    }
}
