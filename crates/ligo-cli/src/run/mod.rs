//! The whole road: text, small model, learned operator, grown large models, and the table of what was saved.

mod compare;
pub mod dataset;
mod folder;
mod guard;
pub mod images;
mod inputs;
mod jobs;
mod leftovers;
mod method;
mod moments;
mod operators;
mod outputs;
mod prediction;
mod prepared;
mod provenance;
pub mod ranks;
mod record;
mod results;
mod reuse;
mod room;
mod saving;
pub(crate) mod sealed;
mod search;
mod select;
mod show;
mod small;
pub mod stage;
mod sweep;
pub mod text;
mod training;
mod units;

use std::path::{Path, PathBuf};

use ligo_train::TrainConfig;

pub use compare::compare;
pub use dataset::Dataset;
pub use folder::RunFolder;
pub use jobs::Workers;
pub use leftovers::claim;
pub use method::Learning;
pub use moments::lacks_moments;
pub use show::show;
pub use small::Small;
pub use training::{Extras, Session, Start, Training};
pub use units::{Failed, Runner, Unit, units};

use crate::device::{self, Picked};
use crate::recipe::{self, CorpusSource, DataFacts, Recipe};
use crate::{Failure, Ui, stop};

pub use record::RECIPE_TOML;

/// Where a run's files go unless the user says otherwise: named by the recipe and a hash of all that its methods have in
/// common, so that another setting never meets another run's files, and another method finds what can be used again.
pub fn default_folder(recipe: &Recipe) -> PathBuf {
    let settings = serde_json::to_value(record::without_methods(recipe)).unwrap_or_default();
    let hash = stage::fingerprint(&settings);
    Path::new("runs").join(format!("{}-{}", recipe.name, &hash[..8]))
}

/// Who does the work of a run.
pub enum Crew {
    /// This process, on this device, one piece after the other.
    Here(Picked),
    /// Processes of their own, several at a time.
    SideBySide(Workers),
}

/// Runs a recipe from text to table. Complete stages are skipped; an interrupted run continues where it stopped; what one of the folders
/// `others` has done already is copied. What fails takes nothing else down.
///
/// # Errors
/// What failed, after all the rest was done; [`Failure::Interrupted`] after a stop that was asked for.
pub fn run(recipe: &Recipe, folder: &Path, others: &[PathBuf], crew: Crew, ui: Ui) -> Result<(), Failure> {
    record::check_is_ours(folder)?;
    reuse::check(others, folder)?;
    if let Crew::Here(picked) = &crew {
        device::check_precisions(picked, recipe)?;
    }
    inputs::check(recipe)?;
    let _lock = claim(folder)?;
    // With the methods of earlier comparisons in this folder, whose results stay in its tables.
    let whole = record::write(recipe, folder, ui)?;
    ui.say(format!("run: {} in {}", recipe.name, folder.display()));

    // What kind of model it is, but for what comes with the data: the vocabulary, the number of classes.
    let kind = recipe.pair(&DataFacts::expected(recipe)).map_err(faults)?.small;
    let dataset = match recipe.corpus.source {
        CorpusSource::Images => images::prepare(recipe, &kind, folder, ui)?,
        CorpusSource::Files | CorpusSource::RustDocs => text::prepare(recipe, &kind, folder, ui)?,
    };
    dataset.note(folder)?;
    let units = units(recipe)?;
    reuse::take_over(&RunFolder::new(recipe, folder, &dataset)?, &units, others, ui)?;
    provenance::note(&RunFolder::new(recipe, folder, &dataset)?, &units, &crew)?;
    let failures = match crew {
        Crew::Here(picked) => {
            let opened = RunFolder::new(recipe, folder, &dataset)?;
            one_by_one(
                &units,
                &Runner::new(opened, Session::new(ui, &picked, recipe.large.train.precision)),
                ui,
            )?
        }
        Crew::SideBySide(workers) => {
            let failed = jobs::run(&units, folder, &workers, ui)?;
            failed.into_iter().map(|failed| (failed, None)).collect()
        }
    };
    let settled = record::settle(&RunFolder::new(&whole, folder, &dataset)?, recipe)?;
    conclude(&RunFolder::new(&settled, folder, &dataset)?, &units, failures, ui)
}

/// What failed, and how as far as it is known.
type Failures = Vec<(Failed, Option<Failure>)>;

fn one_by_one(units: &[Unit], runner: &Runner<'_>, ui: Ui) -> Result<Failures, Failure> {
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
                ui.say(failed.to_string());
                failures.push((failed, Some(failure)));
            }
        }
    }
    Ok(failures)
}

/// Shows the results that there are, then says what is missing.
fn conclude(run: &RunFolder<'_>, units: &[Unit], mut failures: Failures, ui: Ui) -> Result<(), Failure> {
    let small_failed = failures.iter().any(|(failed, _)| failed.unit == small::FOLDER);
    if !small_failed {
        compare(run, units, ui)?;
    }
    let first = failures.iter().position(|(_, failure)| failure.is_some());
    match first {
        None if failures.is_empty() => Ok(()),
        // The usual case has a message of its own, with what to do about it.
        Some(i) if small_failed || failures.len() == 1 => match failures.swap_remove(i).1 {
            Some(failure) => Err(failure),
            None => Ok(()),
        },
        _ => Err(Failure::Units {
            rest: match units.len() - failures.len() {
                0 => "",
                _ if small_failed => "what else there was to do is complete; ",
                _ => "the others are complete, and what can be compared is in the table; ",
            },
            failed: failures.into_iter().map(|(failed, _)| failed.to_string()).collect(),
            total: units.len(),
        }),
    }
}

/// Settings with the seeds of one run: its dropout and its order of data.
pub fn seeded(train: &TrainConfig, seed: u64) -> TrainConfig {
    TrainConfig {
        seed: train.seed.wrapping_add(seed),
        data_order_seed: train.data_order_seed.wrapping_add(seed),
        ..train.clone()
    }
}

/// Makes the table, pictures and report of a folder again from the results that are in it, and says what is missing.
///
/// # Errors
/// It is no folder of a run, its data are gone, or a result is damaged.
pub fn show_again(folder: &Path, ui: Ui) -> Result<(), Failure> {
    let recipe = recipe::load(&folder.join(RECIPE_TOML).to_string_lossy(), &[])?;
    let dataset = Dataset::reopen(&recipe, folder)?;
    let run = RunFolder::new(&recipe, folder, &dataset)?;
    let units = units(&recipe)?;
    let missing: Vec<&str> = units
        .iter()
        .filter(|unit| !run.is_done(unit))
        .map(|u| u.name.as_str())
        .collect();
    if missing.contains(&small::FOLDER) {
        return Err(Failure::other(
            format!("{} holds no results yet", folder.display()),
            "the same command as before goes on with the run",
        ));
    }
    compare(&run, &units, ui)?;
    if !missing.is_empty() {
        ui.say(format!(
            "not complete: {}; the same command as before goes on with them",
            missing.join(", ")
        ));
    }
    Ok(())
}

pub(crate) fn faults(faults: Vec<recipe::Fault>) -> Failure {
    Failure::Recipe(recipe::RecipeError::Faults {
        origin: "the recipe".into(),
        faults,
    })
}
