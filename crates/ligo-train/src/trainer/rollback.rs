//! Going back to the last checkpoint after a step or an evaluation that is not finite.

use super::session::Session;
use crate::{Error, Event, Rollback};

impl Session<'_, '_> {
    /// Takes weights, optimizer and the number of steps from the last checkpoint. The data go on behind what was read, since the same batches
    /// would lead to the same place; and what was spent stays spent.
    ///
    /// # Errors
    /// `fault`, where there is no checkpoint to go back to, and [`Error::TooManyRollbacks`].
    pub(super) fn roll_back(&mut self, fault: Error) -> Result<(), Error> {
        self.pause_meter();
        let step = self.progress.step;
        let mut events = Vec::new();
        let checkpoints = self.checkpoints.as_ref();
        let restored = self.trainer.restore(checkpoints, &self.run, &mut events)?;
        for event in &events {
            self.observer.on_event(event);
        }
        let reason = fault.to_string();
        let Some((saved, _)) = restored else {
            let _ = self.note("non_finite", reason);
            return Err(fault);
        };
        let progress = &mut self.progress;
        progress.skipped_in_a_row += 1;
        let (count, allowed) = (progress.skipped_in_a_row, self.trainer.config.max_skipped_in_a_row);
        if count > allowed {
            let _ = self.note("non_finite", reason.clone());
            return Err(Error::TooManyRollbacks {
                step: saved.step,
                count,
                allowed,
                reason,
            });
        }
        let to = saved.step;
        progress.step = to;
        progress.curve.retain(|point| point.step <= to);
        progress.last_train_loss = saved.last_train_loss;
        progress.rollbacks.push(Rollback { step, to });
        self.saved_at = Some(to);
        self.log = self.trainer.open_log(&self.progress, true)?;
        self.note("rolled_back", format!("from step {step}: {reason}"))?;
        self.observer.on_event(&Event::RolledBack { step, to, reason });
        Ok(())
    }
}
