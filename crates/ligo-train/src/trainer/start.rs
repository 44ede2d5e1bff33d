//! Where a session begins: rank 0 reads the run's folder, and the others get its state.

use std::path::PathBuf;

use super::Trainer;
use super::session::Session;
use crate::checkpoint::{Checkpoints, RunIdentity};
use crate::collective::{broadcast_progress, broadcast_state, check_agreement, hash_of};
use crate::log::Log;
use crate::progress::Progress;
use crate::{Error, Event, Observer};

/// How far the run is that goes on.
pub(super) struct Start {
    /// Rank 0 has them.
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) progress: Progress,
    pub(super) resumed: bool,
    /// What happened to checkpoints that were not taken.
    pub(super) events: Vec<Event>,
}

impl Trainer<'_> {
    pub(super) fn begin(&mut self, run: &RunIdentity, observer: &mut dyn Observer) -> Result<Start, Error> {
        let checkpoints = match self.ranks.rank() {
            0 => Some(Checkpoints::open(
                &self.run_dir,
                self.config.keep_checkpoints,
                self.disk.clone(),
            )?),
            _ => None,
        };
        let is_shared = self.shares.is_some();
        check_agreement(self.ranks, hash_of(format!("{} {} {is_shared}", run.text(), self.end)))?;
        let mut events = Vec::new();
        let restored = self.restore(checkpoints.as_ref(), run, &mut events)?;
        events.iter().for_each(|event| observer.on_event(event));
        let resumed = restored.is_some();
        // A kill may have come between a save and its pruning. Only now it is known which ones are good.
        if let Some(checkpoints) = &checkpoints {
            checkpoints.prune()?;
        }
        let progress = match restored {
            Some((progress, path)) => {
                let step = progress.step;
                observer.on_event(&Event::Resumed { step, path });
                progress
            }
            None => {
                // A second call without a checkpoint would otherwise go on from trained weights at step 0.
                if checkpoints.is_some() && self.optimizer.updates() > self.earlier_updates {
                    return Err(Error::LostCheckpoints {
                        dir: self.run_dir.clone(),
                        updates: self.optimizer.updates(),
                    });
                }
                Progress::after(self.spent)
            }
        };
        Ok(Start {
            checkpoints,
            progress,
            resumed,
            events,
        })
    }

    /// Takes weights, optimizer and progress from the newest valid checkpoint, on all ranks; without one they take those of rank 0.
    pub(super) fn restore(
        &mut self,
        checkpoints: Option<&Checkpoints>,
        run: &RunIdentity,
        events: &mut Vec<Event>,
    ) -> Result<Option<(Progress, PathBuf)>, Error> {
        let restored = match checkpoints {
            Some(checkpoints) => {
                let report = &mut |event| events.push(event);
                let state = (&mut self.store, &mut self.optimizer);
                checkpoints.restore(run, state, self.shares.as_ref(), report)?
            }
            None => None,
        };
        let ranks = (self.ranks, self.shares.as_ref());
        let progress = broadcast_state(ranks, restored.as_ref(), &mut self.store, &mut self.optimizer)?;
        let path = restored.map(|restored| restored.path);
        Ok(progress.map(|progress| (progress, path.unwrap_or_default())))
    }

    /// The log of a run that goes on from here, on rank 0.
    pub(super) fn open_log(&self, progress: &Progress, resumed: bool) -> Result<Option<Log>, Error> {
        if self.ranks.rank() > 0 {
            return Ok(None);
        }
        let Progress { step, tokens, cost, .. } = *progress;
        Log::open(&self.run_dir, step, resumed, tokens, cost.seconds).map(Some)
    }
}

impl Session<'_, '_> {
    /// Notes what was found in the folder.
    pub(super) fn tell_of_start(&mut self, events: &[Event], resumed: bool) -> Result<(), Error> {
        let damaged = self.log.as_ref().and_then(Log::damaged);
        if let Some((line, path)) = damaged.map(|(line, path)| (line, path.to_path_buf())) {
            self.note(
                "metrics_cut",
                format!("line {line} was damaged; it and what followed are gone"),
            )?;
            self.observer.on_event(&Event::MetricsCut { path, line });
        }
        for event in events {
            if let Event::CheckpointRejected { path, reason } = event {
                self.note("checkpoint_rejected", format!("{}: {reason}", path.display()))?;
            }
        }
        if resumed {
            self.note("resumed", format!("from step {}", self.progress.step))?;
        }
        let (size, all) = (self.trainer.ranks.size(), self.trainer.config.accumulation);
        if size > 1 {
            let each = all / size;
            self.note(
                "ranks",
                format!("{size} ranks compute {each} of {all} micro-batches each"),
            )?;
            if self.trainer.shares.is_some() {
                self.note(
                    "optimizer_sharding",
                    format!("each of {size} ranks keeps its share of the moments"),
                )?;
            }
        }
        Ok(())
    }

    /// Clock and counts of the files are those of rank 0.
    pub(super) fn take_progress_of_first(&mut self) -> Result<(), Error> {
        broadcast_progress(self.trainer.ranks, &mut self.progress)
    }
}
