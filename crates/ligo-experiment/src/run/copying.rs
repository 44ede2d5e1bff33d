//! Copies of folders of runs: without locks and leftovers, checked, and complete only when all of them is on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use ligo_checkpoint::MANIFEST_FILE;

use super::leftovers::{LOCK, is_leftover};
use super::stage;
use crate::Failure;

/// The folders inside a folder.
pub fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    folders
}

/// Copies files and folders but for locks and folders that `takes` does not want.
pub fn copy_folder(from: &Path, to: &Path, takes: &impl Fn(&Path) -> bool) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(Failure::io("create", to))?;
    for entry in fs::read_dir(from).map_err(Failure::io("read", from))? {
        let entry = entry.map_err(Failure::io("read", from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            if takes(&path) {
                copy_folder(&path, &target, takes)?;
            }
        } else if entry.file_name() != LOCK && !is_leftover(&entry.file_name()) {
            fs::copy(&path, &target).map_err(Failure::io("copy", &path))?;
        }
    }
    Ok(())
}

/// Checks all models, operators and checkpoints below a folder against their manifests. It is the copies that are checked,
/// since it is they that must be right.
pub fn check_models(folder: &Path) -> Result<(), ligo_checkpoint::Error> {
    if folder.join(MANIFEST_FILE).is_file() {
        ligo_checkpoint::verify_model(folder)?;
    }
    subfolders(folder).iter().try_for_each(|inside| check_models(inside))
}

/// Moves all entries of a folder into another one, what marks stages as complete last.
pub fn move_into(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(Failure::io("create", to))?;
    let entries = fs::read_dir(from).map_err(Failure::io("read", from))?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let target = |path: &Path| to.join(path.file_name().unwrap_or_default());
    let is_mark = |path: &Path| path.file_name().is_some_and(|name| name == stage::STAGE_JSON);
    entries.sort_by_key(|path| (is_mark(path), stage::complete(path).is_some()));
    // Before anything is called complete.
    sync(from)?;
    for path in entries {
        fs::rename(&path, target(&path)).map_err(Failure::io("move", &path))?;
    }
    Ok(ligo_metrics::files::sync_folder(to)?)
}

/// Forces all that lies below a folder to the disk.
fn sync(folder: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::io("read", folder))? {
        let path = entry.map_err(Failure::io("read", folder))?.path();
        match path.is_dir() {
            true => sync(&path)?,
            false => fs::File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(Failure::io("write", &path))?,
        }
    }
    Ok(ligo_metrics::files::sync_folder(folder)?)
}
