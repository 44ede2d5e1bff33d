//! Runs of other comparisons that are the same as ones of this: copied instead of made again.

use std::fs;
use std::path::{Path, PathBuf};

use ligo_device::DeviceChoice;

use super::Session;
use super::copying::{check_models, copy_folder, move_into, subfolders};
use super::leftovers::{LOCK, STAGING};
use super::origin::{TAKEN_OVER, TakenOver, origin_of};
use super::outcome::MODEL;
use super::stage;
use super::units::{Unit, Work};
use super::{RECIPE_TOML, RunFolder, Small, method, provenance, search, small};
use crate::{Failure, Listener, sealed, stop};

/// Refuses folders that cannot be taken from.
///
/// # Errors
/// One is not a run folder, or is the run's own.
pub fn check(others: &[PathBuf], own: &Path) -> Result<(), Failure> {
    for other in others {
        if !other.join(RECIPE_TOML).is_file() {
            return Err(Failure::other(
                format!("{} is not a run folder: it has no {RECIPE_TOML}", other.display()),
                "give --reuse the folder that `ligo run` or `ligo compare` named",
            ));
        }
        if let (Ok(other), Ok(own)) = (other.canonicalize(), own.canonicalize())
            && other == own
        {
            return Err(Failure::other(
                format!("{} is the folder of this run itself", other.display()),
                "leave --reuse out: what is complete there is not run again anyway",
            ));
        }
    }
    Ok(())
}

/// Copies what is not begun here and complete in one of the other folders, with the same settings and data to the last bit. What was found
/// is told; what is not found is simply left to be run.
///
/// # Errors
/// The run's own folder cannot be written; [`Failure::Interrupted`] after a stop that was asked for.
pub fn take_over(
    run: &RunFolder<'_>,
    units: &[Unit],
    others: &[PathBuf],
    listener: &dyn Listener,
) -> Result<(), Failure> {
    // A search may try what was run here without one.
    let own = (!run.recipe.search.is_off()).then_some(run.path);
    let others: Vec<&Path> = others.iter().map(PathBuf::as_path).chain(own).collect();
    if others.is_empty() || units.iter().all(|unit| run.is_done(unit)) {
        return Ok(());
    }
    // Nothing is computed, so any device will do.
    let looking = Session::looking(&ligo_device::pick(DeviceChoice::Cpu)?);
    let others: Vec<Other> = others.into_iter().map(Other::open).collect();
    for unit in units {
        if run.is_done(unit) {
            continue;
        }
        for other in &others {
            if stop::requested() {
                return Err(Failure::Interrupted);
            }
            let Some((from, to)) = other.find(run, unit, &looking) else {
                continue;
            };
            match other.copy(&from, run.path, &to) {
                Ok(true) => listener.say(&format!("{}: taken over from {}", unit.name, from.display())),
                Ok(false) => {}
                // What is damaged there is made here; another folder may have it whole.
                Err(Failure::Checkpoint(damage)) => {
                    listener.say(&format!(
                        "{}: not taken over from {}: {damage}",
                        unit.name,
                        from.display()
                    ));
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            break;
        }
    }
    Ok(())
}

/// The folder of another comparison.
struct Other<'a> {
    path: &'a Path,
    /// Those of its methods and trials that are complete.
    runs: Vec<PathBuf>,
    computed_on: String,
}

impl<'a> Other<'a> {
    fn open(path: &'a Path) -> Self {
        let folders = ["methods", "search"]
            .iter()
            .flat_map(|name| subfolders(&path.join(name)));
        // Variants of a method are in folders inside its own.
        let all = folders.flat_map(|folder| {
            let variants = subfolders(&folder).into_iter().filter(|inside| is_of_a_unit(inside));
            variants.chain([folder.clone()]).collect::<Vec<_>>()
        });
        Self {
            path,
            runs: all.filter(|folder| is_whole(folder)).collect(),
            computed_on: provenance::noted(path).computer(),
        }
    }

    /// Where this folder has a unit, and where that belongs.
    fn find(&self, run: &RunFolder<'_>, unit: &Unit, looking: &Session) -> Option<(PathBuf, PathBuf)> {
        let (method, to) = match &unit.work {
            Work::Small if run.recipe.small.path.is_some() => return None,
            Work::Small => {
                small::prepare(run.recipe, &run.pair.small, self.path, run.dataset, looking).ok()?;
                let from = self.path.join(small::FOLDER);
                return is_whole(&from).then(|| (from, run.join(small::FOLDER)));
            }
            Work::Trial(key) => (run.trial(key).ok()?, run.join(search::folder_of(key))),
            Work::Method(method) => run.place(method).ok()?,
        };
        let small = run.small().unwrap_or_else(|_| Small::not_yet(&run.pair.small));
        let is_same = |folder: &&PathBuf| method::run(run.recipe, method, folder, run.dataset, &small, looking).is_ok();
        Some((self.runs.iter().find(is_same)?.clone(), to))
    }

    /// Copies a unit's folder without the variants inside into a run's folder, and notes where it comes from if that is elsewhere. Tells whether it
    /// did: what was begun there is left to go on.
    fn copy(&self, from: &Path, run: &Path, to: &Path) -> Result<bool, Failure> {
        if is_begun(from, to)? {
            return Ok(false);
        }
        let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(run);
        let staging = staging.map_err(Failure::io("create a folder in", run))?;
        copy_folder(from, staging.path(), &|inside| !is_of_a_unit(inside))?;
        check_models(staging.path())?;
        if self.path != run {
            // It may have been taken over there already.
            let earlier = origin_of(from).map(|origin| origin.computed_on);
            let taken = TakenOver {
                from: std::path::absolute(from).unwrap_or_else(|_| from.to_path_buf()),
                computed_on: earlier.unwrap_or_else(|| self.computed_on.clone()),
            };
            sealed::write(&staging.path().join(TAKEN_OVER), &taken)?;
        }
        move_into(staging.path(), to)?;
        Ok(true)
    }
}

/// Whether a run is complete, and nobody removed its model to save space.
fn is_whole(folder: &Path) -> bool {
    stage::complete(folder).is_some() && folder.join(MODEL).is_dir()
}

/// Whether a folder is that of a unit of its own, which leaves its lock there, and not part of another one's.
fn is_of_a_unit(folder: &Path) -> bool {
    folder.join(LOCK).is_file() && stage::complete(folder).is_some()
}

/// Whether something of a unit is there already.
fn is_begun(from: &Path, to: &Path) -> Result<bool, Failure> {
    let entries = fs::read_dir(from).map_err(Failure::io("read", from))?;
    let mut taken = entries
        .flatten()
        .filter(|entry| entry.file_name() != LOCK && !is_of_a_unit(&entry.path()));
    Ok(taken.any(|entry| to.join(entry.file_name()).exists()))
}
