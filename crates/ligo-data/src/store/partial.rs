//! A folder beside a store's place where the store is made, and which outlives an interruption.
//!
//! ```text
//! .partial-NAME/
//!   .lock         held by the process that builds NAME
//!   progress      how far it is: see `progress.rs`
//!   store/        becomes NAME by one rename
//! ```

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::{LOCK, UNFINISHED, appear, prepare_parent, refuse_existing, sync_folder};
use crate::{Error, Result};

/// How the names of these folders begin.
const PARTIAL: &str = ".partial-";
const PROGRESS: &str = "progress";
const STORE: &str = "store";
/// How often the lock is taken anew after another process has removed it. Each time means that a build ended in that very moment.
const ATTEMPTS: usize = 8;

/// The unfinished store of one process.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    /// Where the finished store goes.
    folder: PathBuf,
    /// Unlocked when dropped.
    _lock: File,
    locked: bool,
}

impl Partial {
    /// Takes the unfinished store of `folder`, one that an earlier build left or a new one.
    ///
    /// # Errors
    /// [`Error::StoreExists`], [`Error::StoreBusy`], [`Error::Io`].
    pub(super) fn claim(folder: &Path) -> Result<Self> {
        let parent = prepare_parent(folder)?;
        let name = folder.file_name().ok_or_else(|| {
            let nameless = io::Error::new(io::ErrorKind::InvalidInput, "the path does not end in a name");
            Error::io("create", folder)(nameless)
        })?;
        let path = parent.join(prefixed(PARTIAL, name));
        let lock_path = path.join(LOCK);
        for _ in 0..ATTEMPTS {
            fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
            let open = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&lock_path);
            let lock = match open {
                // A build that just ended has removed the folder.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(Error::io("create", &lock_path))?,
            };
            let locked = match lock.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => break,
                // A file system without locks; see `is_locked`.
                Err(TryLockError::Error(_)) => false,
            };
            if !is_at(&lock, &lock_path) {
                continue;
            }
            let partial = Self {
                path,
                folder: folder.to_path_buf(),
                _lock: lock,
                locked,
            };
            // Another process may have finished it before it let go of the lock.
            if let Err(exists) = refuse_existing(folder) {
                partial.leave();
                return Err(exists);
            }
            fs::create_dir_all(partial.store()).map_err(Error::io("create", &partial.store()))?;
            return Ok(partial);
        }
        Err(Error::StoreBusy {
            path: folder.to_path_buf(),
        })
    }

    /// Where the files of the store are written.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// Where progress is recorded.
    pub(super) fn progress(&self) -> PathBuf {
        self.path.join(PROGRESS)
    }

    /// Removes the record of progress.
    pub(super) fn forget(&self) -> Result<()> {
        match fs::remove_file(self.progress()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &self.progress())(error)),
            _ => sync_folder(&self.path),
        }
    }

    /// Whether no other process can be writing here. Otherwise the finished store must be read again before it is believed.
    pub(super) fn is_locked(&self) -> bool {
        self.locked
    }

    /// Renames the finished store to its place and removes the rest.
    pub(super) fn finish(self) -> Result<()> {
        let appeared = appear(&self.store(), &self.folder);
        if matches!(appeared, Ok(()) | Err(Error::StoreExists { .. })) {
            self.remove();
        }
        appeared
    }

    /// Leaves the folder for the next build, or removes it when there is nothing to go on from.
    pub(super) fn leave(self) {
        if !self.progress().exists() {
            self.remove();
        }
    }

    /// Removes everything. A new name comes first, so that a build which begins in this moment is not disturbed.
    fn remove(self) {
        let name = self.folder.file_name().unwrap_or_default();
        // Unique, also among the threads of this process.
        static REMOVED: AtomicU64 = AtomicU64::new(0);
        let number = REMOVED.fetch_add(1, Ordering::Relaxed);
        let doomed = prefixed(&format!("{UNFINISHED}{}-{number}-", std::process::id()), name);
        let doomed = self.path.with_file_name(doomed);
        // What stays is swept away by a later build, or taken over by the next one of the same store.
        if fs::rename(&self.path, &doomed).is_ok() {
            let _ = fs::remove_dir_all(&doomed);
        }
    }
}

fn prefixed(prefix: &str, name: &OsStr) -> OsString {
    let mut prefixed = OsString::from(prefix);
    prefixed.push(name);
    prefixed
}

/// Whether a path still leads to an open file. A lock on a file that was removed excludes nobody.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(found)) => (open.dev(), open.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// Elsewhere a file that is open keeps its name.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}
