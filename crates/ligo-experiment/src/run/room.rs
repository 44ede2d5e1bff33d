//! Whether there is room for a training run, asked before its first step: memory for the steps, and disk for what it saves.

use std::path::Path;

use ligo_checkpoint::require_free_space;
use ligo_cost::format;
use ligo_cost::memory::Memory;
use ligo_device::power;
use ligo_train::TrainConfig;

use super::outcome::MODEL;
use super::training_run::Extras;
use crate::{Failure, Listener};

/// The folder of the state that runs of other lengths go on from, inside the run's own.
const BRANCH: &str = "branch";

/// The settings that lower what a step keeps in memory.
pub const LESS_MEMORY: &str = "lower batch_size (and raise accumulation by as much, which leaves the step as it is) or data.seq_len: \
                               `--set large.train.batch_size=N`, for `ligo train` `--set batch_size=N` and `--seq-len N`; `ligo plan` says what a run needs";

/// Memory of the computer; nothing where the system does not tell.
#[derive(Clone, Copy, Debug)]
pub struct Computer {
    /// Free for programs.
    pub free: Option<u64>,
    /// All of it, with what can be put elsewhere.
    pub whole: Option<u64>,
}

impl Computer {
    /// As it is now.
    pub fn now() -> Self {
        let whole = power::machine_bytes();
        Self {
            free: power::available_bytes(),
            whole: whole.map(|bytes| bytes.saturating_add(power::swap_bytes().unwrap_or_default())),
        }
    }

    /// Says when the steps of a run will not fit into what is free, and how they would.
    ///
    /// # Errors
    /// Weights, gradients and moments alone are more than the computer has.
    pub fn check(self, label: &str, needed: &Memory, listener: &dyn Listener) -> Result<(), Failure> {
        let least = needed.weights_bytes + needed.gradients_bytes + needed.moments_bytes;
        if let Some(whole) = self.whole.filter(|whole| least > *whole as f64) {
            return Err(Failure::other(
                format!(
                    "{label}: weights, gradients and moments alone take {} of memory, and this computer has {}",
                    format::bytes(least),
                    format::bytes(whole as f64)
                ),
                "take a smaller model, or a computer with more memory; `ligo plan` says what a run needs",
            ));
        }
        let most = needed.total_bytes();
        if let Some(free) = self.free.filter(|free| most > *free as f64) {
            listener.say(&format!(
                "{label}: a step takes up to {} of memory, and {} are free. Should it not fit, {LESS_MEMORY}",
                format::bytes(most),
                format::bytes(free as f64)
            ));
        }
        Ok(())
    }
}

/// Makes sure that a run can save: checkpoints beside those that are there already, and the model at its end.
///
/// # Errors
/// There is less space than that.
pub fn check_disk(
    label: &str,
    folder: &Path,
    parameters: usize,
    train: &TrainConfig,
    extras: Extras<'_>,
) -> Result<(), Failure> {
    let kept = checkpoints(train);
    let there: u64 = ["checkpoints", BRANCH, MODEL]
        .map(|name| bytes_of(&folder.join(name)))
        .iter()
        .sum();
    let needed = saved(parameters, train, extras).saturating_sub(there);
    require_free_space(folder, needed).map_err(|error| match error {
        ligo_checkpoint::Error::NoSpace { .. } => Failure::other(
            format!("{label}: no room for its {kept} checkpoints and its model: {error}"),
            "free some space, choose another disk with --out, or keep fewer checkpoints: keep_checkpoints=1",
        ),
        other => other.into(),
    })
}

/// Bytes of all that a run keeps at once.
fn saved(parameters: usize, train: &TrainConfig, extras: Extras<'_>) -> u64 {
    let weights = 4 * parameters as u64;
    // Muon keeps one number of a matrix, which is room to spare.
    let averaged = train.average.map_or(0, |average| average.kept()) as u64;
    let moments = train.optimizer.numbers_kept(0.0) as u64 + averaged;
    // The state that runs of other lengths go on from stays beside the checkpoints.
    let states = checkpoints(train) + u64::from(extras.branch_at.is_some());
    let model = if extras.writes_model() { weights } else { 0 };
    let states = weights.saturating_mul(1 + moments).saturating_mul(states);
    states.saturating_add(model)
}

/// How many checkpoints there are at most at one time: a new one is whole before the oldest one is removed.
fn checkpoints(train: &TrainConfig) -> u64 {
    let saves = match train.checkpoint_every {
        0 => 1,
        every => train.steps / every + 1,
    };
    saves.min(train.keep_checkpoints as u64 + 1)
}

fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const QUIET: &crate::Silent = &crate::Silent;

    #[test]
    fn only_what_cannot_fit_is_refused() {
        let needed = Memory {
            weights_bytes: 4e9,
            gradients_bytes: 4e9,
            moments_bytes: 8e9,
            activations_bytes: 3e10,
            ..Memory::default()
        };
        let computer = |free, whole| Computer {
            free: Some(free),
            whole: Some(whole),
        };
        computer(1_000_000_000, 20_000_000_000)
            .check("large", &needed, QUIET)
            .unwrap();
        let unknown = Computer {
            free: None,
            whole: None,
        };
        unknown.check("large", &needed, QUIET).unwrap();
        let refused = computer(1_000_000_000, 15_000_000_000)
            .check("large", &needed, QUIET)
            .unwrap_err()
            .to_string();
        assert!(
            refused.starts_with("large: ") && refused.contains("16.0 GB") && refused.contains("15.0 GB"),
            "{refused}"
        );
    }

    #[test]
    fn a_run_that_could_not_be_saved_is_refused_before_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let train = TrainConfig::default();
        let plain = Extras::default();
        check_disk("small", folder.path(), 10_000, &train, plain).unwrap();
        let refused = check_disk("small", folder.path(), usize::MAX / 16, &train, plain).unwrap_err();
        assert!(
            refused.to_string().starts_with("small: no room for its 3 checkpoints"),
            "{refused}"
        );
    }

    #[test]
    fn a_branch_is_a_state_more() {
        let train = TrainConfig::default();
        let plain = Extras::default();
        let branching = Extras {
            branch_at: Some(5),
            ..plain
        };
        let state = 4 * 1_000 * 3;
        assert_eq!(saved(1_000, &train, branching), saved(1_000, &train, plain) + state);
    }
}
