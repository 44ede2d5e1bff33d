//! The whole road: text, small model, learned operator, grown large models, and the table of what was saved.

mod compare;
pub mod dataset;
pub mod images;
mod jobs;
mod method;
mod moments;
mod prepared;
mod select;
mod small;
pub mod stage;
pub mod text;
mod training;
mod units;

use std::path::{Path, PathBuf};

use ligo_checkpoint::RunLock;
use ligo_train::TrainConfig;

pub(crate) use compare::label;
pub use compare::{compare, show};
pub use dataset::Dataset;
pub use jobs::Workers;
pub use method::Learning;
pub use moments::lacks_moments;
pub use small::Small;
pub(crate) use stage::write_whole;
pub use training::{Extras, Session, Start, Training};
pub use units::{Failed, Runner, Unit, units};

use crate::device::Picked;
use crate::recipe::{CorpusSource, DataFacts, Recipe};
use crate::{Failure, Ui, stop};

/// The resolved recipe in a run's folder.
pub const RECIPE_TOML: &str = "recipe.toml";

/// A folder holds any number of methods, as long as everything else is the same.
fn without_methods(recipe: &Recipe) -> Recipe {
    Recipe {
        methods: Vec::new(),
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

/// Runs a recipe from text to table. Complete stages are skipped; an interrupted run continues where it stopped. What fails
/// takes nothing else down.
///
/// # Errors
/// What failed, after all the rest was done; [`Failure::Interrupted`] after a stop that was asked for.
pub fn run(recipe: &Recipe, folder: &Path, crew: Crew, ui: Ui) -> Result<(), Failure> {
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
    let units = units(recipe);
    let failures = match crew {
        Crew::Here(picked) => {
            let runner = Runner::new(recipe, folder, &dataset, Session::new(ui, &picked))?;
            one_by_one(&units, &runner, ui)?
        }
        Crew::SideBySide(workers) => {
            let failed = jobs::run(&units, folder, &workers, ui)?;
            failed.into_iter().map(|failed| (failed, None)).collect()
        }
    };
    conclude(recipe, folder, &dataset, failures, units.len(), ui)
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
fn conclude(
    recipe: &Recipe,
    folder: &Path,
    dataset: &Dataset,
    mut failures: Failures,
    units: usize,
    ui: Ui,
) -> Result<(), Failure> {
    let small_failed = failures.iter().any(|(failed, _)| failed.unit == small::FOLDER);
    if !small_failed {
        let pair = recipe.pair(&dataset.facts(&recipe.data)).map_err(faults)?;
        let small = small::read(recipe, &pair.small, folder, dataset)?;
        compare(recipe, &pair, folder, dataset, &small, ui)?;
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
            total: units,
        }),
    }
}

fn write_recipe(recipe: &Recipe, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(RECIPE_TOML);
    let fault = |e: toml::ser::Error| Failure::other(e.to_string(), "this is a fault of ligo; please report it");
    let text = recipe.to_toml().map_err(fault)?;
    if let Ok(old) = std::fs::read_to_string(&path) {
        let common = without_methods(recipe).to_toml().map_err(fault)?;
        let old = toml::from_str(&old)
            .ok()
            .and_then(|old| without_methods(&old).to_toml().ok());
        if old != Some(common) {
            return Err(Failure::other(
                format!(
                    "{} holds a run with other settings (see its recipe.toml)",
                    folder.display()
                ),
                "choose another folder with --out, or remove that one",
            ));
        }
    }
    write_whole(&path, text.as_bytes())
}

/// Settings with the seeds of one run: its dropout and its order of data.
pub fn seeded(train: &TrainConfig, seed: u64) -> TrainConfig {
    TrainConfig {
        seed: train.seed.wrapping_add(seed),
        data_order_seed: train.data_order_seed.wrapping_add(seed),
        ..train.clone()
    }
}

pub(crate) fn faults(faults: Vec<crate::recipe::Fault>) -> Failure {
    Failure::Recipe(crate::recipe::RecipeError::Faults {
        origin: "the recipe".into(),
        faults,
    })
}
