//! The whole road: text, small model, learned operator, grown large models, and the table of what was saved.

mod compare;
pub mod dataset;
mod folder;
mod guard;
pub mod images;
mod jobs;
mod method;
mod moments;
mod operators;
mod prediction;
mod prepared;
mod provenance;
mod results;
mod reuse;
mod saving;
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

use ligo_checkpoint::RunLock;
use ligo_train::TrainConfig;

pub use compare::compare;
pub use dataset::Dataset;
pub use folder::RunFolder;
pub use jobs::Workers;
pub use method::Learning;
pub use moments::lacks_moments;
pub use show::show;
pub use small::Small;
pub(crate) use stage::write_whole;
pub use training::{Extras, Session, Start, Training};
pub use units::{Failed, Runner, Unit, units};

use crate::device::{self, Picked};
use crate::recipe::{self, CorpusSource, DataFacts, Recipe, SearchSection, SweepSection};
use crate::{Failure, Ui, stop};

/// The resolved recipe in a run's folder.
pub const RECIPE_TOML: &str = "recipe.toml";

/// A folder holds any number of methods, variants of them and learning rates of a search, as long as everything else is the same.
fn without_methods(recipe: &Recipe) -> Recipe {
    Recipe {
        methods: Vec::new(),
        sweep: SweepSection::default(),
        search: SearchSection {
            peak_lr: match recipe.search.is_off() {
                true => Vec::new(),
                false => vec![0.0],
            },
            ..recipe.search.clone()
        },
        ..recipe.clone()
    }
}

/// Where a run's files go unless the user says otherwise: named by the recipe and a hash of all that its methods have in
/// common, so that another setting never meets another run's files, and another method finds what can be used again.
pub fn default_folder(recipe: &Recipe) -> PathBuf {
    let settings = serde_json::to_value(without_methods(recipe)).unwrap_or_default();
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
    check_is_ours(folder)?;
    reuse::check(others, folder)?;
    if let Crew::Here(picked) = &crew {
        device::check_precisions(picked, recipe)?;
    }
    std::fs::create_dir_all(folder).map_err(Failure::io("create", folder))?;
    let _lock = RunLock::acquire(folder)?;
    write_recipe(recipe, folder)?;
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
    conclude(&RunFolder::new(recipe, folder, &dataset)?, &units, failures, ui)
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
            failed: failures.into_iter().map(|(failed, _)| failed.to_string()).collect(),
            total: units.len(),
        }),
    }
}

/// Refuses a folder with somebody's files in it.
fn check_is_ours(folder: &Path) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<_> = entries
        .map(|entry| entry.file_name())
        .filter(|name| name != ".lock")
        .collect();
    if names.is_empty() || folder.join(RECIPE_TOML).is_file() {
        return Ok(());
    }
    Err(Failure::other(
        format!(
            "{} is no folder of a run: it holds {} and no {RECIPE_TOML}",
            folder.display(),
            names[0].display()
        ),
        "choose a new or empty folder with --out",
    ))
}

fn write_recipe(recipe: &Recipe, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(RECIPE_TOML);
    let fault = |e: toml::ser::Error| Failure::other(e.to_string(), "this is a fault of ligo; please report it");
    let text = recipe.to_toml().map_err(fault)?;
    if let Ok(old) = std::fs::read_to_string(&path) {
        let old: Option<Recipe> = toml::from_str(&old).ok();
        let changes = old.map(|old| changes(&old, recipe)).transpose().map_err(fault)?;
        if changes.as_ref().is_none_or(|changes| !changes.is_empty()) {
            let changes = changes
                .map(|changes| format!(": {}", changes.join(", ")))
                .unwrap_or_default();
            return Err(Failure::other(
                format!("{} holds a run with other settings{changes}", folder.display()),
                "choose another folder with --out, or remove that one; its recipe.toml has all settings",
            ));
        }
    }
    write_whole(&path, text.as_bytes())
}

/// What tells two recipes apart that cannot share a folder.
fn changes(old: &Recipe, now: &Recipe) -> Result<Vec<String>, toml::ser::Error> {
    let table = |own: &Recipe, other: &Recipe| {
        let mut settings = without_methods(own);
        // What a search does has folders of its own, so one may come or go.
        if other.search.is_off() {
            settings.search = SearchSection::default();
        }
        toml::Table::try_from(settings)
    };
    Ok(recipe::differences(&table(old, now)?, &table(now, old)?))
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
