//! Branches: runs of several lengths that are one run as long as the rate is constant. A run saves its state where its decay begins, and a longer one goes on
//! from there instead of beginning anew.

use std::io::Read;
use std::path::{Path, PathBuf};

use ligo_checkpoint::{AtomicDir, latest_valid};
use ligo_cost::Cost;
use serde_json::Value;

use crate::checkpoint::{BRANCH, COUNTERS, FOLDER, PREFIX, RunIdentity, TENSORS, read_counters};
use crate::{Error, ScheduleKind, TrainConfig};

/// A state that a run of other length can go on from.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// The run that saved it.
    pub run_dir: PathBuf,
    /// The steps that it has done.
    pub step: u64,
    /// What those cost.
    pub cost: Cost,
    checkpoint: PathBuf,
}

impl TrainConfig {
    /// The number of steps after which runs of other lengths may part from this one: those of `wsd` before its decay. Nothing where something else depends on the
    /// length of the run.
    pub fn branches_at(&self) -> Option<u64> {
        let schedule = self.schedule.over(self.steps);
        let stable = schedule.total_steps.checked_sub(schedule.warmup_steps)? as f64 * (1.0 - schedule.decay_share);
        // Not rounded: the last of them must have the full rate, too.
        let at = (schedule.warmup_steps + stable as u64).checked_sub(schedule.first_step)?;
        let hangs_on_rate_alone = schedule.kind == ScheduleKind::Wsd && self.hangs_on_no_length();
        (hangs_on_rate_alone && at > 0 && at < self.steps).then_some(at)
    }

    /// Whether nothing but the rate depends on the number of steps.
    fn hangs_on_no_length(&self) -> bool {
        self.special_passes().is_empty() && self.average.is_none() && self.rewarm_new.is_none()
    }

    /// Whether the first `steps` steps of both runs are the same to the last bit: all settings but the length and the schedule are, and each of these steps
    /// has one rate in both.
    pub fn is_same_until(&self, other: &Self, steps: u64) -> bool {
        let with_schedule_of_other = Self {
            steps: other.steps,
            schedule: other.schedule,
            ..self.clone()
        };
        steps < self.steps.min(other.steps)
            && self.hangs_on_no_length()
            && with_schedule_of_other.differences(other).is_empty()
            && (0..steps).all(|step| self.lr(step).to_bits() == other.lr(step).to_bits())
    }
}

/// The state at which another run parted, if a run with these settings and this identity (see [`Trainer::with_identity`](crate::Trainer::with_identity)) is the same up to
/// there. What is damaged is not taken.
///
/// # Errors
/// The folder cannot be listed.
pub fn find_branch(other: &Path, config: &TrainConfig, identity: &Value) -> Result<Option<Branch>, Error> {
    let folder = other.join(BRANCH);
    if !folder.is_dir() {
        return Ok(None);
    }
    let Some(found) = latest_valid(&folder, PREFIX)?.step else {
        return Ok(None);
    };
    let Ok(counters) = read_counters(&found.path) else {
        return Ok(None);
    };
    let as_other = RunIdentity {
        extra: identity.clone(),
        ..counters.run.clone()
    };
    let step = counters.progress.step;
    let is_same = as_other.differences(&counters.run).is_empty() && config.is_same_until(&counters.run.config, step);
    Ok(is_same.then(|| Branch {
        run_dir: other.to_path_buf(),
        step,
        cost: counters.progress.cost,
        checkpoint: found.path,
    }))
}

impl Branch {
    /// Makes it the checkpoint that a run in `run_dir` goes on from, with this run's settings in it.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn take(&self, run_dir: &Path, config: &TrainConfig, identity: &Value) -> Result<(), Error> {
        let io = |action: &'static str, path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { action, path, source }
        };
        let mut counters = read_counters(&self.checkpoint)?;
        counters.run = RunIdentity {
            config: config.clone(),
            extra: identity.clone(),
            ..counters.run
        };
        let folder = run_dir.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        let target = folder.join(format!("{PREFIX}{}", self.step));
        let dir = AtomicDir::begin(&target)?;
        let tensors = self.checkpoint.join(TENSORS);
        let mut from = std::fs::File::open(&tensors).map_err(io("open", &tensors))?;
        let mut to = dir.create(TENSORS)?;
        let mut block = vec![0; 1 << 20];
        loop {
            let read = from.read(&mut block).map_err(io("read", &tensors))?;
            if read == 0 {
                break;
            }
            to.write_all(&block[..read])?;
        }
        to.finish()?;
        dir.write(COUNTERS, &counters.text(&target)?)?;
        dir.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Average, DecayShape, LrSchedule};

    fn wsd(steps: u64, share: f64) -> TrainConfig {
        TrainConfig {
            steps,
            schedule: LrSchedule {
                kind: ScheduleKind::Wsd,
                peak_lr: 1e-3,
                warmup_steps: 10,
                decay_share: share,
                ..LrSchedule::default()
            },
            ..TrainConfig::default()
        }
    }

    #[test]
    fn lengths_are_one_run_up_to_the_first_decay() {
        let (short, long) = (wsd(103, 0.2), wsd(211, 0.3));
        let at = short.branches_at().unwrap_or_default();
        // 10 of warm-up and 74.4 of 93.
        assert_eq!(at, 84);
        assert!(long.is_same_until(&short, at) && short.is_same_until(&long, at));
        assert!(!long.is_same_until(&short, at + 2));
        let mut shaped = wsd(400, 0.1);
        shaped.schedule.decay_shape = DecayShape::OneMinusSqrt;
        assert!(shaped.is_same_until(&short, at));
        // A constant rate never falls, and has a branch that does.
        let mut constant = wsd(103, 0.2);
        constant.schedule.kind = ScheduleKind::Constant;
        assert!(constant.is_same_until(&short, at) && constant.branches_at().is_none());
    }

    #[test]
    fn what_hangs_on_the_length_or_differs_is_no_branch() {
        let short = wsd(103, 0.2);
        let at = 84;
        let change = |change: fn(&mut TrainConfig)| {
            let mut config = wsd(211, 0.2);
            change(&mut config);
            config
        };
        for other in [
            change(|c| c.schedule.peak_lr = 2e-3),
            change(|c| c.schedule.warmup_steps = 11),
            change(|c| c.seed = 1),
            change(|c| c.eval_every = 7),
            change(|c| c.schedule.kind = ScheduleKind::Linear),
            change(|c| c.average = Some(Average::default())),
            change(|c| c.steps = 80),
        ] {
            assert!(!other.is_same_until(&short, at), "{other:?}");
        }
        // How often it is saved decides nothing.
        assert!(change(|c| c.checkpoint_every = 7).is_same_until(&short, at));
        let averaged = change(|c| c.average = Some(Average::default()));
        assert_eq!(averaged.branches_at(), None);
        assert_eq!(change(|c| c.schedule.kind = ScheduleKind::Linear).branches_at(), None);
        assert_eq!(wsd(0, 0.2).branches_at(), None);
        assert_eq!(wsd(100, 1.0).branches_at(), Some(10));
    }
}
