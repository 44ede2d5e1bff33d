//! A comparison from text to table: a recipe that was resolved, and all that is done with it.

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_device::Picked;
use ligo_report::summary::Summary;

use crate::identity::fingerprint;
use crate::recipe::{self, CorpusSource, DataFacts, Recipe};
use crate::run::{
    Dataset, Failed, RECIPE_TOML, RunFolder, Runner, SMALL, Session, Share, Unit, Workforce, array, claim, compare,
    images, inputs, jobs, provenance, ranks, record, reuse, text, units,
};
use crate::{Failure, Listener, check_precisions, stop};

/// What becomes of a recipe: every run of it, the models, and the pieces of work. A recipe is what somebody wrote; from here on it does not change.
#[derive(Clone, Debug)]
pub struct Experiment {
    recipe: Recipe,
    /// What kind of model it is, but for what comes with the data: the vocabulary, the number of classes.
    kind: ModelConfig,
    units: Vec<Unit>,
}

/// What failed, and how as far as it is known.
type Failures = Vec<(Failed, Option<Failure>)>;

impl Experiment {
    /// The comparison of these methods of a recipe (all of its own and of its sweep if none are named), each with so many seeds, and of the reference
    /// with every seed that there is, all of them in each length of the recipe. What the recipe says of a method stays.
    ///
    /// # Errors
    /// A method is unknown, or cannot grow this pair; as [`Experiment::new`].
    pub fn comparing(recipe: &Recipe, names: &[String], seeds: Option<u64>) -> Result<Self, Failure> {
        Self::new(recipe.comparing(names, seeds)?)
    }

    /// The methods of a recipe as they stand there.
    ///
    /// # Errors
    /// Its models do not fit each other, a given one cannot be read, or its sweep contradicts itself.
    pub fn new(recipe: Recipe) -> Result<Self, Failure> {
        let kind = recipe.pair(&DataFacts::expected(&recipe))?.small;
        let units = units(&recipe)?;
        Ok(Self { recipe, kind, units })
    }

    /// The experiment of a run's folder.
    ///
    /// # Errors
    /// It is not a run folder, or as [`Experiment::new`].
    pub fn of(folder: &Path) -> Result<Self, Failure> {
        Self::new(recipe::load(&folder.join(RECIPE_TOML).to_string_lossy(), &[])?)
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The pieces of work; none stands before one that it waits for.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Where a run's files go unless somebody says otherwise: named by the recipe and a hash of all that its methods have in common and that
    /// decides a number, so that another setting never meets another run's files, and another method finds what can be used again.
    pub fn default_folder(&self) -> PathBuf {
        let hash = fingerprint(&record::in_common(&self.recipe));
        Path::new("runs").join(format!("{}-{}", self.recipe.name, &hash[..8]))
    }

    /// Runs it from text to table, and returns what came of it, once there is anything to compare. Complete stages are skipped; an interrupted
    /// run continues where it stopped; what one of the folders `others` has done already is copied. What fails takes nothing else down.
    ///
    /// # Errors
    /// What failed, after all the rest was done; [`Failure::Interrupted`] after a stop that was asked for.
    pub fn run(
        &self,
        folder: &Path,
        others: &[PathBuf],
        workforce: Workforce,
        listener: &dyn Listener,
    ) -> Result<Option<Summary>, Failure> {
        let Self { recipe, units, .. } = self;
        record::check_is_ours(folder)?;
        reuse::check(others, folder)?;
        if let Workforce::Here(picked) = &workforce {
            check_precisions(picked, recipe)?;
            ranks::check(recipe)?;
        }
        inputs::check(recipe, &self.kind)?;
        let _lock = claim(folder)?;
        array::forget(folder)?;
        // With the methods of earlier comparisons in this folder, whose results stay in its tables.
        let whole = record::write(recipe, folder, listener)?;
        listener.say(&format!("run: {} in {}", recipe.name, folder.display()));
        let dataset = self.prepare(folder, listener)?;
        let run = RunFolder::new(recipe, folder, &dataset)?;
        reuse::take_over(&run, units, others, listener)?;
        provenance::note(&run, units, &workforce)?;
        let failures = match workforce {
            Workforce::Here(picked) => {
                let session = Session::new(listener, &picked, recipe.large.train.precision);
                one_by_one(units, &Runner::new(&run, session), listener)?
            }
            Workforce::SideBySide(workers) => {
                let failed = jobs::run(units, folder, &workers, listener)?;
                failed.into_iter().map(|failed| (failed, None)).collect()
            }
            Workforce::Ranks(picked) => self.run_on_ranks(&run, &picked, listener)?,
        };
        let settled = record::settle(&RunFolder::new(&whole, folder, &dataset)?, recipe)?;
        conclude(&RunFolder::new(&settled, folder, &dataset)?, units, failures, listener)
    }

    /// Does units side by side with the other ranks.
    fn run_on_ranks(&self, run: &RunFolder<'_>, picked: &Picked, listener: &dyn Listener) -> Result<Failures, Failure> {
        let folder = run.path;
        let Some(team) = ranks::team() else {
            return Err(Failure::fault("there are no ranks to do units"));
        };
        listener.say(&format!("{} ranks, a unit of its own each", ranks::count()));
        team.part(folder, self.units.iter().map(|unit| unit.name.clone()).collect())?;
        let session = Session::new(listener, picked, self.recipe.large.train.precision);
        let done = array::work_any(&self.units, run, &Runner::new(run, session), listener);
        team.gather()?;
        let mut failures: Failures = Vec::new();
        // What another rank could not do is known by its reason.
        for failed in array::failed(&self.units, folder).into_iter().chain(done?) {
            if failures.iter().all(|(known, _)| known.unit != failed.unit) {
                failures.push((failed, None));
            }
        }
        array::forget(folder)?;
        Ok(failures)
    }

    /// What a rank other than 0 does: its share of the training runs that rank 0 comes to, and units of its own, until there is nothing more to do.
    ///
    /// # Errors
    /// What this rank alone ends with.
    pub fn follow(
        team: &ranks::Team,
        pick: impl Fn() -> Result<Picked, Failure>,
        listener: &dyn Listener,
    ) -> Result<(), Failure> {
        team.follow(pick, |folder, names, picked| {
            Self::of(folder)?.work_with_others(folder, names, picked, listener)
        })
    }

    /// Does the units that no other rank does, in a folder whose data are there.
    fn work_with_others(
        &self,
        folder: &Path,
        names: &[String],
        picked: &Picked,
        listener: &dyn Listener,
    ) -> Result<(), Failure> {
        let units = self.units.iter().filter(|unit| names.contains(&unit.name));
        let units: Vec<Unit> = units.cloned().collect();
        let dataset = Dataset::reopen(&self.recipe, self.kind.task(), folder)?;
        let run = RunFolder::new(&self.recipe, folder, &dataset)?;
        check_precisions(picked, &self.recipe)?;
        let session = Session::new(listener, picked, self.recipe.large.train.precision);
        let runner = Runner::new(&run, session);
        array::work_any(&units, &run, &runner, listener).map(drop)
    }

    /// Does a share of the units in a folder that other processes with other shares see as well, each in its own time. Whoever comes first makes
    /// the data. [`Experiment::run`] gathers what they did.
    ///
    /// # Errors
    /// What failed, after all the rest of the share was done; [`Failure::Waiting`]; [`Failure::Interrupted`] after a stop that was asked for.
    pub fn run_share(
        &self,
        share: Share,
        folder: &Path,
        others: &[PathBuf],
        picked: Picked,
        listener: &dyn Listener,
    ) -> Result<(), Failure> {
        let Self { recipe, units, .. } = self;
        record::check_is_ours(folder)?;
        reuse::check(others, folder)?;
        check_precisions(&picked, recipe)?;
        inputs::check(recipe, &self.kind)?;
        let lock = array::wait_for(folder, listener)?;
        record::write(recipe, folder, listener)?;
        listener.say(&format!(
            "run: {} in {}, share {share} of {} units",
            recipe.name,
            folder.display(),
            units.len()
        ));
        let dataset = self.prepare(folder, listener)?;
        let run = RunFolder::new(recipe, folder, &dataset)?;
        reuse::take_over(&run, units, others, listener)?;
        let workforce = Workforce::Here(picked);
        provenance::note(&run, units, &workforce)?;
        drop(lock);
        let Workforce::Here(picked) = workforce else {
            return Ok(());
        };
        let session = Session::new(listener, &picked, recipe.large.train.precision);
        let runner = Runner::new(&run, session);
        let failed = array::work_share(share, units, &run, &runner, listener)?;
        let done = units.iter().filter(|unit| run.is_done(unit)).count();
        if failed.is_empty() {
            listener.say(&format!(
                "share {share} is complete; {done} of {} units are. When all are, the same command without --unit makes table and report",
                units.len()
            ));
            return Ok(());
        }
        Err(Failure::Units {
            rest: "the others of this share are complete; ",
            failed: failed.iter().map(ToString::to_string).collect(),
            total: units.len(),
        })
    }

    /// Makes the data of a run in its folder.
    fn prepare(&self, folder: &Path, listener: &dyn Listener) -> Result<Dataset, Failure> {
        let dataset = match self.recipe.corpus.source {
            CorpusSource::Images => images::prepare(&self.recipe, &self.kind, folder, listener)?,
            CorpusSource::Files | CorpusSource::RustDocs => text::prepare(&self.recipe, &self.kind, folder, listener)?,
        };
        dataset.note(folder)?;
        Ok(dataset)
    }

    /// Does one piece of work in a folder whose data are there, as a process does that [`Workforce::SideBySide`] started.
    ///
    /// # Errors
    /// There is no piece of this name, or whatever it ends with.
    pub fn run_unit(&self, name: &str, folder: &Path, picked: &Picked, listener: &dyn Listener) -> Result<(), Failure> {
        let unit = self.units.iter().find(|unit| unit.name == name).ok_or_else(|| {
            Failure::other(
                format!("{} has no part `{name}`", folder.display()),
                "`ligo compare` starts this command; there is no need to do so by hand",
            )
        })?;
        let dataset = Dataset::reopen(&self.recipe, self.kind.task(), folder)?;
        let run = RunFolder::new(&self.recipe, folder, &dataset)?;
        check_precisions(picked, &self.recipe)?;
        let session = Session::new(listener, picked, self.recipe.large.train.precision);
        Runner::new(&run, session).run(unit)
    }

    /// Makes the table, pictures and report of a folder again from the results that are in it, and says what is missing.
    ///
    /// # Errors
    /// Its data are gone, nothing is complete, or a result is damaged.
    pub fn show_again(&self, folder: &Path, listener: &dyn Listener) -> Result<Option<Summary>, Failure> {
        let dataset = Dataset::reopen(&self.recipe, self.kind.task(), folder)?;
        let run = RunFolder::new(&self.recipe, folder, &dataset)?;
        let missing = self.units.iter().filter(|unit| !run.is_done(unit));
        let missing: Vec<&str> = missing.map(|unit| unit.name.as_str()).collect();
        if missing.contains(&SMALL) {
            return Err(Failure::other(
                format!("{} holds no results yet", folder.display()),
                "the same command as before goes on with the run",
            ));
        }
        let summary = compare(&run, &self.units, listener)?;
        if !missing.is_empty() {
            listener.say(&format!(
                "not complete: {}; the same command as before goes on with them",
                missing.join(", ")
            ));
        }
        Ok(summary)
    }
}

fn one_by_one(units: &[Unit], runner: &Runner<'_>, listener: &dyn Listener) -> Result<Failures, Failure> {
    let mut failures: Failures = Vec::new();
    for unit in units {
        let failed = |name: &&String| failures.iter().any(|(failed, _)| failed.unit == **name);
        if let Some(name) = unit.after.iter().find(failed) {
            failures.push((Failed::after(unit, name), None));
            continue;
        }
        match runner.run(unit) {
            Ok(()) => {}
            Err(failure) if failure.is_interruption() || stop::requested() => return Err(failure),
            Err(failure) => {
                let failed = Failed {
                    unit: unit.name.clone(),
                    reason: failure.to_string(),
                    log: None,
                };
                listener.say(&failed.to_string());
                failures.push((failed, Some(failure)));
            }
        }
    }
    Ok(failures)
}

/// Shows the results that there are, then says what is missing.
fn conclude(
    run: &RunFolder<'_>,
    units: &[Unit],
    mut failures: Failures,
    listener: &dyn Listener,
) -> Result<Option<Summary>, Failure> {
    let small_failed = failures.iter().any(|(failed, _)| failed.unit == SMALL);
    let summary = match small_failed {
        true => None,
        false => compare(run, units, listener)?,
    };
    if failures.is_empty() {
        return Ok(summary);
    }
    // The usual case has a message of its own, with what to do about it.
    if small_failed || failures.len() == 1 {
        let first = failures.iter().position(|(_, failure)| failure.is_some());
        if let Some(failure) = first.and_then(|i| failures.swap_remove(i).1) {
            return Err(failure);
        }
    }
    Err(Failure::Units {
        rest: match units.len() - failures.len() {
            0 => "",
            _ if small_failed => "what else there was to do is complete; ",
            _ => "the others are complete, and what can be compared is in the table; ",
        },
        failed: failures.into_iter().map(|(failed, _)| failed.to_string()).collect(),
        total: units.len(),
    })
}
