//! One process per folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::commit::Names;

const LOCK_FILE: &str = ".lock";

/// An exclusive lock on a folder, held until dropped or until the process ends, however it ends.
///
/// The lock's file may stay behind; only the system's lock on it counts, so a leftover file blocks nobody.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    file: File,
    /// The lock's file, where it goes away with the lock.
    temporary: Option<PathBuf>,
}

impl RunLock {
    /// Locks a folder, which is created when it does not exist, by a file in it that stays.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] with the number of the process that holds it; [`Error::NotAFolder`]; [`Error::Io`] where the file system cannot lock.
    pub fn acquire(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        refuse_file(folder)?;
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        Ok(Self {
            path: folder.to_path_buf(),
            file: lock(folder, &folder.join(LOCK_FILE))?,
            temporary: None,
        })
    }

    /// Locks a directory that appears by a rename, and may not exist yet, by a hidden file beside it.
    ///
    /// # Errors
    ///
    /// As [`RunLock::acquire`]; [`Error::FileName`].
    pub fn beside(target: impl AsRef<Path>) -> Result<Self, Error> {
        let Names {
            target,
            parent,
            lock: path,
            ..
        } = Names::of(target.as_ref())?;
        refuse_file(&target)?;
        std::fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
        loop {
            let file = lock(&target, &path)?;
            // Whoever held it before may have removed the file while this process opened it: then others would lock another one.
            if is_at(&file, &path) {
                return Ok(Self {
                    path: target,
                    file,
                    temporary: Some(path),
                });
            }
        }
    }

    /// The locked folder.
    pub fn folder(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary
            && cfg!(unix)
        {
            // Elsewhere an open file cannot be removed, and stays.
            let _ = std::fs::remove_file(path);
        }
        // Closing the file would unlock it too, unless a child process inherited the handle.
        let _ = self.file.unlock();
    }
}

/// Refuses a file, a device or a pipe where a folder is to be, or above it.
fn refuse_file(folder: &Path) -> Result<(), Error> {
    let kind = |path: &Path| std::fs::metadata(path).ok().map(|found| found.file_type());
    let found = folder.ancestors().find_map(|path| Some((path, kind(path)?)));
    match found {
        Some((path, kind)) if !kind.is_dir() => Err(Error::NotAFolder {
            path: path.to_path_buf(),
            found: if kind.is_file() { "a file" } else { "a device or a pipe" },
        }),
        _ => Ok(()),
    }
}

fn lock(folder: &Path, path: &Path) -> Result<File, Error> {
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let mut file = open.map_err(Error::io("open", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::InUse {
                path: folder.to_path_buf(),
                pid: holder(&mut file),
            });
        }
        Err(TryLockError::Error(source)) => {
            return Err(Error::Io {
                path: path.to_path_buf(),
                action: "lock",
                source,
            });
        }
    }
    write_pid(&mut file).map_err(Error::io("write", path))?;
    Ok(file)
}

/// Whether an open file is the one of this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::io::Result<std::fs::Metadata>| metadata.map(|m| (m.dev(), m.ino())).ok();
    let open = identity(file.metadata());
    open.is_some() && open == identity(std::fs::metadata(path))
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
