//! The recipe in a run's folder: what the folder is for, and which methods its tables have.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Value, json};

use super::leftovers::{LOCK, is_leftover};
use super::{RunFolder, search, small};
use crate::files::write_whole;
use crate::recipe::{self, MethodSection, ModelSection, OperatorSection, Recipe, SearchSection, SweepSection};
use crate::{Failure, Listener};

/// The recipe in a run's folder, every default in it.
pub const RECIPE_TOML: &str = "recipe.toml";

/// What tells of a run as a whole, and is made anew when a folder is taken for another one.
const NOTES: [&str; 3] = [crate::plan::PLAN_JSON, "provenance.json", "data.json"];

/// Folders of everything that is trained.
const TRAININGS: [&str; 3] = [small::FOLDER, "methods", "search"];

fn deciding(section: &ModelSection) -> ModelSection {
    ModelSection {
        train: section.train.deciding(),
        ..section.clone()
    }
}

/// What the methods of a folder have in common, as its name hashes it. Of a search it says that there is one, and not which rates it tries: they may
/// become more.
pub fn in_common(recipe: &Recipe) -> Value {
    let mut settings = serde_json::to_value(without_methods(recipe)).unwrap_or_default();
    if let Some(rates) = settings.pointer_mut("/search/peak_lr") {
        *rates = json!([0.0]);
    }
    settings
}

/// A folder holds any number of methods, variants of them and learning rates of a search, as long as everything else that decides a number
/// is the same.
fn without_methods(recipe: &Recipe) -> Recipe {
    Recipe {
        description: String::new(),
        small: deciding(&recipe.small),
        large: deciding(&recipe.large),
        operator: OperatorSection {
            train: recipe.operator.train.deciding(),
            ..recipe.operator.clone()
        },
        methods: Vec::new(),
        sweep: SweepSection::default(),
        ..recipe.clone()
    }
}

/// Refuses a folder with somebody's files in it. What a process left that was killed before it wrote the recipe is nobody's.
///
/// # Errors
/// There are such files.
pub fn check_is_ours(folder: &Path) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_nobodys = |name: &OsStr| name == LOCK || is_leftover(name);
    let names = entries.map(|entry| entry.file_name());
    let Some(name) = names.filter(|name| !is_nobodys(name)).min() else {
        return Ok(());
    };
    if folder.join(RECIPE_TOML).is_file() {
        return Ok(());
    }
    Err(Failure::other(
        format!(
            "{} is not a run folder: it holds {} and no {RECIPE_TOML}",
            folder.display(),
            name.display()
        ),
        "choose a new or empty folder with --out",
    ))
}

/// Writes the recipe of a run that begins or goes on in a folder, and returns it as it was written: with the methods of earlier comparisons.
/// In a folder where no training has begun, any recipe takes the place of the former one.
///
/// # Errors
/// The folder holds a run with other settings, or cannot be written.
pub fn write(recipe: &Recipe, folder: &Path, listener: &dyn Listener) -> Result<Recipe, Failure> {
    let path = folder.join(RECIPE_TOML);
    let mut whole = recipe.clone();
    if let Ok(text) = std::fs::read(&path) {
        let earlier = std::str::from_utf8(&text).ok().and_then(recipe::recorded);
        let changes = earlier.as_ref().map(|earlier| changes(earlier, recipe)).transpose();
        let changes = changes.map_err(Failure::fault)?;
        match (&earlier, changes) {
            (Some(earlier), Some(changes)) if changes.is_empty() => whole = recipe.with_earlier(earlier),
            (_, changes) if !has_begun(folder) => {
                if changes.is_some() {
                    listener.say(&format!(
                        "{}: no training has begun there; it is taken for this run",
                        folder.display()
                    ));
                }
                forget(folder)?;
            }
            (Some(_), changes) => {
                return Err(Failure::other(
                    format!(
                        "{} holds a run with other settings: {}",
                        folder.display(),
                        changes.unwrap_or_default().join(", ")
                    ),
                    "choose another folder with --out, or remove that one; its recipe.toml has all settings",
                ));
            }
            // Nothing is taken on trust from it: each stage knows what it was made from.
            (None, _) => listener.say(&format!("{} is damaged and written anew", path.display())),
        }
    }
    save(&whole, folder)?;
    Ok(whole)
}

/// The recipe of a folder that has done its work, without the methods of earlier comparisons that are not complete, or were made from
/// something that is not there any more.
///
/// # Errors
/// The folder cannot be written.
pub fn settle(run: &RunFolder<'_>, recipe: &Recipe) -> Result<Recipe, Failure> {
    let mut settled = run.recipe.clone();
    let asked_for: HashSet<String> = recipe.methods.iter().map(MethodSection::id).collect();
    let is_asked_for = |method: &MethodSection| asked_for.contains(&method.id());
    let Ok(small) = run.small() else { return Ok(settled) };
    if settled.methods.iter().all(is_asked_for) {
        return Ok(settled);
    }
    let holds = |method: &MethodSection| {
        let Ok((ready, folder)) = run.place(method) else {
            return Ok(false);
        };
        Ok::<_, Failure>(search::has_diverged(&folder) || run.holds(ready, &folder, &small)?)
    };
    let mut kept = Vec::new();
    for method in settled.methods {
        if is_asked_for(&method) || holds(&method)? {
            kept.push(method);
        }
    }
    settled.methods = kept;
    save(&settled, run.path)?;
    Ok(settled)
}

fn save(recipe: &Recipe, folder: &Path) -> Result<(), Failure> {
    let text = recipe.to_toml().map_err(Failure::fault)?;
    write_whole(&folder.join(RECIPE_TOML), text.as_bytes())
}

/// What tells two recipes apart that cannot share a folder.
fn changes(earlier: &Recipe, now: &Recipe) -> Result<Vec<String>, toml::ser::Error> {
    let table = |own: &Recipe, other: &Recipe| {
        let mut settings = without_methods(own);
        // What a search does has folders of its own, so one may come or go.
        if other.search.is_off() {
            settings.search = SearchSection::default();
        }
        let mut table = toml::Table::try_from(settings)?;
        if let Some(search) = table.get_mut("search").and_then(toml::Value::as_table_mut) {
            search.remove("peak_lr");
        }
        Ok::<_, toml::ser::Error>(table)
    };
    Ok(recipe::differences(&table(earlier, now)?, &table(now, earlier)?))
}

/// Whether anything is there that took training. Text and images that were prepared are made again where they do not fit.
fn has_begun(folder: &Path) -> bool {
    TRAININGS.iter().any(|name| holds_files(&folder.join(name)))
}

fn holds_files(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries = entries.filter(|entry| entry.file_name() != LOCK && !is_leftover(&entry.file_name()));
    entries.any(|entry| match entry.path().is_dir() {
        true => holds_files(&entry.path()),
        false => true,
    })
}

fn forget(folder: &Path) -> Result<(), Failure> {
    for name in NOTES {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn demo(overrides: &[&str]) -> Recipe {
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        recipe::load("demo", &overrides).unwrap()
    }

    fn written(folder: &Path) -> Recipe {
        recipe::load(&folder.join(RECIPE_TOML).to_string_lossy(), &[]).unwrap()
    }

    fn ids(recipe: &Recipe) -> Vec<String> {
        recipe.methods.iter().map(MethodSection::id).collect()
    }

    const QUIET: &crate::Silent = &crate::Silent;

    #[test]
    fn a_folder_that_was_killed_before_its_first_rename_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".lock", ".tmpA1b2C3", ".report-A1b2C3.tmp"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        check_is_ours(folder.path()).unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let refused = check_is_ours(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("thesis.tex"), "{refused}");
    }

    #[test]
    fn a_start_that_trained_nothing_does_not_stand_in_the_way_of_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(&demo(&["seed=2"]), path, QUIET).unwrap();
        for (name, text) in [
            ("plan.json", "{}"),
            ("small/.lock", "1\n"),
            ("tokens/train/tokens.bin", "1"),
        ] {
            fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            fs::write(path.join(name), text).unwrap();
        }
        write(&demo(&["seed=3"]), path, QUIET).unwrap();
        assert_eq!(written(path).seed, 3);
        assert!(!path.join("plan.json").exists(), "the other run's plan stayed");
        // Now there is something to lose.
        fs::write(path.join("small/metrics.jsonl"), "").unwrap();
        let refused = write(&demo(&["seed=4"]), path, QUIET).unwrap_err().to_string();
        assert!(refused.contains("seed was 3 and is now 4"), "{refused}");
        assert_eq!(written(path).seed, 3);
    }

    #[test]
    fn settings_that_decide_no_number_leave_a_folder_usable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let name = |recipe| crate::Experiment::new(recipe).unwrap().default_folder();
        let reworded = demo(&[
            "description=\"in other words\"",
            "small.train.log_every=7",
            "large.train.checkpoint_every=9",
            "operator.train.keep_checkpoints=5",
        ]);
        assert_eq!(name(reworded.clone()), name(demo(&[])));
        assert_ne!(name(demo(&["large.train.batch_size=7"])), name(demo(&[])));
        write(&demo(&[]), path, QUIET).unwrap();
        fs::create_dir(path.join("small")).unwrap();
        fs::write(path.join("small/metrics.jsonl"), "").unwrap();
        write(&reworded, path, QUIET).unwrap();
        assert_eq!(written(path), reworded);
    }

    #[test]
    fn a_damaged_recipe_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("small")).unwrap();
        fs::write(path.join("small/metrics.jsonl"), "").unwrap();
        fs::write(path.join(RECIPE_TOML), b"name = \"\xff\"").unwrap();
        write(&demo(&[]), path, QUIET).unwrap();
        assert_eq!(written(path), demo(&[]));
    }

    #[test]
    fn methods_of_one_folder_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let compared = |names: &[&str], seeds| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            demo(&[]).comparing(&names, seeds).unwrap()
        };
        write(&compared(&["ligo"], None), folder.path(), QUIET).unwrap();
        let whole = write(&compared(&["stackbert"], Some(2)), folder.path(), QUIET).unwrap();
        let seed = demo(&[]).seed + 1;
        let all = [
            "scratch".to_owned(),
            "ligo".into(),
            format!("scratch-seed{seed}"),
            "stackbert".into(),
            format!("stackbert-seed{seed}"),
        ];
        assert_eq!(ids(&whole), all);
        assert_eq!(written(folder.path()), whole);
    }
}
