//! Directories that appear by one rename.
//!
//! Files are written into a hidden sibling (`.NAME.partial`), forced to the disk and listed in a manifest, which is written
//! last. Then the sibling is renamed. A directory that is replaced is first renamed to `.NAME.old` and deleted only when
//! the new one is in its place. So at any moment, also after a crash, at least one complete directory exists under one of the
//! three names, and [`recover`] puts it back under its own.
//!
//! A directory whose writing takes long can be gone on with: see [`Progress`](crate::Progress).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::manifest::list;
use crate::names::{is_plain_file_name, printable};
use crate::{Disk, DiskFile, Error, FileEntry, MANIFEST_FILE, Manifest, verify};

const PARTIAL: &str = "partial";
const OLD: &str = "old";
const PROGRESS: &str = "progress";
const LOCK: &str = "lock";
pub(crate) const TRASH: &str = "trash";

/// A directory that is being written and does not exist under its name until [`AtomicDir::commit`].
///
/// Dropped without commit, it removes what it wrote. One process may write a given directory at a time; where that is
/// not clear, hold a [`RunLock`](crate::RunLock) on the folder above.
///
/// # Example
///
/// ```
/// use ligo_checkpoint::{AtomicDir, verify};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let run = tempfile::tempdir()?;
/// let dir = AtomicDir::begin(run.path().join("step-100"))?;
/// dir.write("note.txt", b"all or nothing")?;
/// assert!(!run.path().join("step-100").exists());
/// dir.commit()?;
/// verify(run.path().join("step-100"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AtomicDir {
    names: Names,
    disk: Disk,
    /// Files whose hashes were taken when they were written.
    vouched: Mutex<BTreeMap<String, FileEntry>>,
    /// Whether dropping removes the partial directory.
    discard: bool,
}

/// The names of one directory, and of what lies beside it while it is written.
#[derive(Debug)]
pub(crate) struct Names {
    pub target: PathBuf,
    pub parent: PathBuf,
    pub partial: PathBuf,
    pub old: PathBuf,
    pub progress: PathBuf,
    pub lock: PathBuf,
}

impl Names {
    pub fn of(target: &Path) -> Result<Self, Error> {
        let Some(name) = target.file_name() else {
            let name = printable(&target.to_string_lossy());
            return Err(Error::FileName {
                path: target.to_path_buf(),
                name,
            });
        };
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let sibling = |suffix| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(".");
            hidden.push(suffix);
            parent.join(hidden)
        };
        Ok(Self {
            target: target.to_path_buf(),
            partial: sibling(PARTIAL),
            old: sibling(OLD),
            progress: sibling(PROGRESS),
            lock: sibling(LOCK),
            parent,
        })
    }
}

/// What [`recover`] found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing was left over.
    Clean,
    /// Leftovers of an interrupted save were removed; the directory itself was not touched.
    RemovedLeftovers,
    /// The new directory was complete and has been put in place.
    Completed,
    /// The previous directory has been put back.
    Restored,
}

/// What an interrupted command left beside the place of a directory, to be gone on with: nothing where there is nothing.
///
/// # Errors
///
/// [`Error::FileName`].
pub fn unfinished(target: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    let Names { partial, progress, .. } = Names::of(target.as_ref())?;
    Ok([partial, progress].into_iter().filter(|path| path.exists()).collect())
}

/// A path without links and `..` as far as it exists, and the rest of it as it is.
pub fn resolved(path: impl AsRef<Path>) -> PathBuf {
    let path = std::path::absolute(&path).unwrap_or_else(|_| path.as_ref().to_path_buf());
    for there in path.ancestors() {
        if let (Ok(whole), Ok(rest)) = (there.canonicalize(), path.strip_prefix(there)) {
            return whole.join(rest);
        }
    }
    path
}

impl AtomicDir {
    /// Begins to write a directory; repairs what an earlier crash left at this place first.
    ///
    /// # Errors
    ///
    /// [`Error::NotOurs`] when the directory exists, is not empty and has no manifest; [`Error::Write`].
    pub fn begin(target: impl AsRef<Path>) -> Result<Self, Error> {
        Self::begin_on(&Disk::default(), target)
    }

    /// As [`AtomicDir::begin`], through the given [`Disk`].
    ///
    /// # Errors
    ///
    /// As [`AtomicDir::begin`].
    pub fn begin_on(disk: &Disk, target: impl AsRef<Path>) -> Result<Self, Error> {
        let names = Names::of(target.as_ref())?;
        recover_on(disk, &names.target)?;
        if names.target.exists() {
            check_replaceable(&names.target)?;
        }
        disk.create_dir_all(&names.partial)?;
        Ok(Self {
            names,
            disk: disk.clone(),
            vouched: Mutex::default(),
            discard: true,
        })
    }

    /// Goes on with a directory whose writing was interrupted; of what is there, the files stay for which `keep` holds.
    pub(crate) fn resume_on(disk: &Disk, target: &Path, keep: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let names = Names::of(target)?;
        restore_on(disk, &names)?;
        if names.target.exists() {
            check_replaceable(&names.target)?;
        }
        disk.create_dir_all(&names.partial)?;
        for entry in std::fs::read_dir(&names.partial).map_err(Error::io("list", &names.partial))? {
            let entry = entry.map_err(Error::io("list", &names.partial))?;
            let is_kept =
                entry.file_type().is_ok_and(|kind| kind.is_file()) && entry.file_name().to_str().is_some_and(&keep);
            if !is_kept {
                disk.remove_tree(&entry.path())?;
            }
        }
        Ok(Self {
            names,
            disk: disk.clone(),
            vouched: Mutex::default(),
            discard: true,
        })
    }

    /// Stops writing and leaves what was written for [`Progress::resume`](crate::Progress::resume).
    pub fn leave(mut self) {
        self.discard = false;
    }

    /// The directory's name once it is committed.
    pub fn target(&self) -> &Path {
        &self.names.target
    }

    /// The folder to write into until then.
    pub fn path(&self) -> &Path {
        &self.names.partial
    }

    /// The disk that this directory is written through.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Creates a file.
    ///
    /// # Errors
    ///
    /// [`Error::FileName`] when the name is no plain file name or that of the manifest; [`Error::Write`].
    pub fn create(&self, name: &str) -> Result<DiskFile, Error> {
        if !is_plain_file_name(name) || name == MANIFEST_FILE {
            return Err(Error::FileName {
                path: self.names.target.clone(),
                name: printable(name),
            });
        }
        self.disk.create_file(&self.names.partial.join(name))
    }

    /// Creates a file with this content.
    ///
    /// # Errors
    ///
    /// As [`AtomicDir::create`].
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let mut file = self.create(name)?;
        file.write_all(content)?;
        file.finish()
    }

    /// Says what a file holds, so that [`AtomicDir::commit`] need not read it again.
    pub fn vouch(&self, name: &str, entry: FileEntry) {
        let mut vouched = self.vouched.lock().unwrap_or_else(PoisonError::into_inner);
        vouched.insert(name.to_owned(), entry);
    }

    /// Forces everything to the disk, writes the manifest and puts the directory in its place.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] or [`Error::Io`]; a directory that was to be replaced is then still in place, unless the error is
    /// about the very last sync, which follows the rename.
    pub fn commit(mut self) -> Result<Manifest, Error> {
        let Names {
            target,
            parent,
            partial,
            old,
            ..
        } = &self.names;
        let files = list(partial)?;
        for path in files.values() {
            self.disk.sync_file(path)?;
        }
        let manifest = Manifest::of(partial, &self.vouched.lock().unwrap_or_else(PoisonError::into_inner))?;
        let mut file = self.disk.create_file(&partial.join(MANIFEST_FILE))?;
        file.write_all(manifest.to_json().as_bytes())?;
        file.finish()?;
        for folder in folders_of(partial, &files) {
            self.disk.sync_dir(&folder)?;
        }

        let replaces = target.exists();
        if replaces {
            self.disk.rename(target, old)?;
        }
        if let Err(error) = self.disk.rename(partial, target) {
            // Where even the way back fails, both directories stay for `recover`.
            self.discard = !replaces || self.disk.rename(old, target).is_ok();
            return Err(error);
        }
        self.discard = false;
        self.disk.sync_dir(parent)?;
        if replaces {
            // The new directory is in place: what cannot be deleted now is deleted by the next `recover`.
            let _ = self.disk.remove_tree(old);
        }
        Ok(manifest)
    }
}

impl Drop for AtomicDir {
    fn drop(&mut self) {
        if self.discard && self.names.partial.exists() {
            let _ = self.disk.remove_tree(&self.names.partial);
        }
    }
}

/// Refuses to replace a directory that somebody else made.
fn check_replaceable(target: &Path) -> Result<(), Error> {
    let not_ours = || Error::NotOurs {
        path: target.to_path_buf(),
    };
    if !target.is_dir() {
        return Err(not_ours());
    }
    if target.join(MANIFEST_FILE).exists() {
        return Ok(());
    }
    match std::fs::read_dir(target).map_err(Error::io("list", target))?.next() {
        None => Ok(()),
        Some(_) => Err(not_ours()),
    }
}

/// The folders that hold `files`, innermost first, with `dir` itself last.
fn folders_of(dir: &Path, files: &BTreeMap<String, PathBuf>) -> Vec<PathBuf> {
    let below = files.values().flat_map(|path| path.ancestors().skip(1));
    let mut folders: Vec<PathBuf> = below
        .filter(|folder| folder.starts_with(dir))
        .map(Path::to_path_buf)
        .collect();
    folders.push(dir.to_path_buf());
    folders.sort_by_key(|folder| (std::cmp::Reverse(folder.components().count()), folder.clone()));
    folders.dedup();
    folders
}

/// Repairs one directory after a crash: puts the newest complete version in place and removes leftovers.
///
/// Call it while no other process writes the directory. It does nothing, cheaply, when nothing is left over.
///
/// # Errors
///
/// [`Error::Write`] or [`Error::Io`] when a rename or removal fails.
pub fn recover(target: impl AsRef<Path>) -> Result<Recovery, Error> {
    recover_on(&Disk::default(), target.as_ref())
}

/// As [`recover`], but what was written of a directory that is not complete stays, for [`Progress::resume`](crate::Progress::resume).
///
/// # Errors
///
/// As [`recover`].
pub fn restore(target: impl AsRef<Path>) -> Result<Recovery, Error> {
    restore_on(&Disk::default(), &Names::of(target.as_ref())?)
}

pub(crate) fn recover_on(disk: &Disk, target: &Path) -> Result<Recovery, Error> {
    let names = Names::of(target)?;
    let mut outcome = restore_on(disk, &names)?;
    for leftover in [&names.partial, &names.progress] {
        if exists(leftover) {
            disk.remove_tree(leftover)?;
            if outcome == Recovery::Clean {
                outcome = Recovery::RemovedLeftovers;
            }
        }
    }
    Ok(outcome)
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Settles which of two directories is the right one, where one was to be replaced by the other.
fn restore_on(disk: &Disk, names: &Names) -> Result<Recovery, Error> {
    let Names {
        target,
        parent,
        partial,
        old,
        ..
    } = names;
    if !exists(old) {
        return Ok(Recovery::Clean);
    }
    let mut outcome = Recovery::RemovedLeftovers;
    if !exists(target) {
        // The crash came between the two renames. The new directory was complete by then.
        let complete = verify(partial).is_ok();
        disk.rename(if complete { partial } else { old }, target)?;
        outcome = if complete {
            Recovery::Completed
        } else {
            Recovery::Restored
        };
    } else if verify(target).is_err() && verify(old).is_ok() {
        disk.remove_tree(target)?;
        disk.rename(old, target)?;
        outcome = Recovery::Restored;
    }
    disk.sync_dir(parent)?;
    if exists(old) {
        disk.remove_tree(old)?;
    }
    Ok(outcome)
}

/// Calls [`recover`] for every directory of `folder` that has leftovers; returns which, and what was done.
///
/// A folder that does not exist has none.
///
/// # Errors
///
/// As [`recover`].
pub fn recover_all(folder: impl AsRef<Path>) -> Result<Vec<(PathBuf, Recovery)>, Error> {
    let folder = folder.as_ref();
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let disk = Disk::default();
    let mut targets = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let name = entry.file_name();
        let Some(hidden) = name.to_str().and_then(|name| name.strip_prefix('.')) else {
            continue;
        };
        match hidden.rsplit_once('.') {
            Some((stem, PARTIAL | OLD | PROGRESS)) if !stem.is_empty() => {
                targets.insert(folder.join(stem));
            }
            Some((_, TRASH)) => disk.remove_tree(&entry.path())?,
            _ => {}
        }
    }
    targets
        .into_iter()
        .map(|target| recover(&target).map(|outcome| (target, outcome)))
        .collect()
}
