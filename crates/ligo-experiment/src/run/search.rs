//! The search for learning rates: trials in `search/`, and what they say.

use std::path::{Path, PathBuf};

use ligo_cost::Cost;
use ligo_report::summary::{self, Search};

use super::folder::unknown;
use super::{RunFolder, stage};
use crate::Failure;
use crate::files::write_whole;
use crate::recipe::{Method, MethodSection, RunKey, Tried};

/// Instead of a result, where a run diverged: that is what too high a rate does, and no fault.
const DIVERGED: &str = "diverged.txt";

/// The folder of a trial inside the run's own.
pub fn folder_of(trial: &RunKey) -> String {
    format!("search/{trial}")
}

/// Whether a run ended because its loss was no number.
pub fn is_divergence(failure: &Failure) -> bool {
    use ligo_train::Error::{NonFinite, NonFiniteEvaluation, TooManyRollbacks, TooManySkipped};
    matches!(
        failure,
        Failure::Train(NonFinite { .. } | NonFiniteEvaluation { .. } | TooManySkipped { .. } | TooManyRollbacks { .. })
    )
}

/// Notes that the run in this folder diverged, so that it is not tried again.
///
/// # Errors
/// The folder cannot be written.
pub fn note_divergence(folder: &Path, failure: &Failure) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::io("create", folder))?;
    write_whole(&folder.join(DIVERGED), failure.to_string().as_bytes())
}

/// Whether the run in this folder diverged.
pub fn has_diverged(folder: &Path) -> bool {
    folder.join(DIVERGED).is_file()
}

impl RunFolder<'_> {
    /// The search for a method's rate, as far as it is complete; `key` is [`Recipe::searched_as`](crate::recipe::Recipe::searched_as).
    ///
    /// # Errors
    /// A result is damaged.
    pub fn search(&self, key: &RunKey) -> Result<Search, Failure> {
        let mut trials = Vec::new();
        for (tried, trial) in self.recipe.search.tried().into_iter().zip(self.resolved.trials(key)) {
            let folder = self.join(folder_of(&trial.key));
            let (loss, cost) = if has_diverged(&folder) {
                (f64::NAN, Cost::default())
            } else if stage::complete(&folder).is_some() {
                let run = self.read(trial, &folder)?;
                (run.final_loss(), run.whole())
            } else {
                continue;
            };
            trials.push(summary::Trial {
                learning_rate: tried.rate,
                schedule: tried.schedule.map(|kind| kind.name().to_owned()),
                loss,
                cost,
            });
        }
        trials.sort_by(|a, b| a.learning_rate.total_cmp(&b.learning_rate));
        let chosen_schedule = best(&trials).and_then(|trial| trial.schedule.clone());
        let chosen = best(&trials).map(|trial| trial.learning_rate);
        let ends = [trials.first(), trials.last()].map(|trial| trial.map(|trial| trial.learning_rate));
        let at_edge = chosen.is_some() && ends.contains(&chosen);
        Ok(Search {
            method: key.to_string(),
            label: self.recipe.label_of(&self.recipe.searched(key)),
            trials,
            chosen,
            chosen_schedule,
            at_edge,
        })
    }

    /// A method as it is run, and where: with the rate that its search found, in the trial's own folder if that was this run, and with the settings of the
    /// sweep's best variant if it is to have those.
    ///
    /// # Errors
    /// What it depends on is not complete, or ended without a number.
    pub fn place(&self, method: &MethodSection) -> Result<(&Method, PathBuf), Failure> {
        let key = match self.recipe.is_best_variant(method) {
            true => {
                let best = self.best_variant()?;
                self.recipe.with_seed(best, self.recipe.seed_of(method)).key()
            }
            false => method.key(),
        };
        if self.recipe.search.is_off() {
            let ready = self.resolved.method(&key).ok_or_else(|| unknown(&key))?;
            return Ok((ready, self.join(super::method::folder_of(&key))));
        }
        // Another rate is another run: one that a longer list of rates comes to leaves what ran before as it is.
        let (number, tried) = self.found(&self.recipe.searched_as(method))?;
        let folder = match self.recipe.trial_of(method, tried) {
            Some(trial) => folder_of(&trial.key()),
            None => super::method::folder_of(&key.trying(tried)),
        };
        let ready = self.resolved.method_trying(&key, number);
        Ok((ready.ok_or_else(|| unknown(&key))?, self.join(folder)))
    }

    /// What came out of a search, and which of all that was tried it is.
    fn found(&self, key: &RunKey) -> Result<(usize, Tried), Failure> {
        let search = self.search(key)?;
        let all = self.recipe.search.tried();
        if search.trials.len() < all.len() {
            return Err(Failure::other(
                format!("the search for the learning rate of {key} is not complete"),
                "the same command as before completes it",
            ));
        }
        let is_chosen = |(_, tried): &(usize, Tried)| {
            let schedule = tried.schedule.map(|kind| kind.name());
            search.chosen == Some(tried.rate) && search.chosen_schedule.as_deref() == schedule
        };
        all.into_iter().enumerate().find(is_chosen).ok_or_else(|| {
            Failure::other(
                format!("{key} diverged at every learning rate of the search"),
                "lower the rates of search.peak_lr",
            )
        })
    }
}

/// The trial with the lowest loss; of equal ones the one with the lowest rate, and of those the first schedule.
fn best(trials: &[summary::Trial]) -> Option<&summary::Trial> {
    let ended = trials.iter().filter(|trial| trial.loss.is_finite());
    ended.min_by(|a, b| a.loss.total_cmp(&b.loss))
}
