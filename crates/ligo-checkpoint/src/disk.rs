//! The few calls that change the file system, in one place.
//!
//! Everything this crate writes goes through a [`Disk`], so that a test can watch every call, fail the N-th one, or kill the
//! process between two of them.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;

/// A change that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<'a> {
    /// A directory is created, with its parents.
    CreateDir(&'a Path),
    /// A new file is created.
    CreateFile(&'a Path),
    /// Bytes are written to a file.
    Write(&'a Path, usize),
    /// A file's content is forced to the disk.
    SyncFile(&'a Path),
    /// A directory's entries are forced to the disk.
    SyncDir(&'a Path),
    /// A file or directory is renamed.
    Rename(&'a Path, &'a Path),
    /// A file or an empty directory is removed.
    Remove(&'a Path),
}

type Hook = dyn Fn(Change<'_>) -> io::Result<()> + Send + Sync;

/// The file system, with an optional hook before every change.
#[derive(Clone, Default)]
pub struct Disk {
    hook: Option<Arc<Hook>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("hooked", &self.hook.is_some()).finish()
    }
}

impl Disk {
    /// A disk that calls `hook` before every change; an error from it makes that change fail.
    ///
    /// A refused [`Change::Write`] still writes the first half of its bytes, as a full disk does.
    pub fn with_hook(hook: impl Fn(Change<'_>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self {
            hook: Some(Arc::new(hook)),
        }
    }

    fn announce(&self, change: Change<'_>) -> io::Result<()> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(change))
    }

    fn change(
        &self,
        action: &'static str,
        path: &Path,
        change: Change<'_>,
        act: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), Error> {
        self.announce(change)
            .and_then(|()| act())
            .map_err(|source| failed(action, path, 0, source))
    }

    pub(crate) fn create_dir_all(&self, path: &Path) -> Result<(), Error> {
        self.change("create", path, Change::CreateDir(path), || {
            std::fs::create_dir_all(path)
        })
    }

    /// Creates a file that must not exist yet.
    pub(crate) fn create_file(&self, path: &Path) -> Result<DiskFile, Error> {
        let open = || OpenOptions::new().write(true).create_new(true).open(path);
        let file = self.announce(Change::CreateFile(path)).and_then(|()| open());
        let file = file.map_err(|source| failed("create", path, 0, source))?;
        Ok(DiskFile {
            disk: self.clone(),
            path: path.to_path_buf(),
            file,
            position: 0,
        })
    }

    pub(crate) fn sync_file(&self, path: &Path) -> Result<(), Error> {
        // Windows flushes only through a handle that may write.
        let open = || OpenOptions::new().read(true).write(cfg!(windows)).open(path);
        self.change("sync", path, Change::SyncFile(path), || open()?.sync_all())
    }

    pub(crate) fn sync_dir(&self, path: &Path) -> Result<(), Error> {
        self.change("sync", path, Change::SyncDir(path), || {
            // Elsewhere a directory cannot be opened as a file, and renames are ordered by the file system's journal.
            if cfg!(unix) {
                File::open(path)?.sync_all()
            } else {
                Ok(())
            }
        })
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.change("rename", from, Change::Rename(from, to), || std::fs::rename(from, to))
    }

    /// Removes a file or a directory with its content; links are removed, not followed.
    pub(crate) fn remove_tree(&self, path: &Path) -> Result<(), Error> {
        let metadata = std::fs::symlink_metadata(path).map_err(Error::io("open", path))?;
        if !metadata.is_dir() {
            return self.change("remove", path, Change::Remove(path), || std::fs::remove_file(path));
        }
        for entry in std::fs::read_dir(path).map_err(Error::io("list", path))? {
            self.remove_tree(&entry.map_err(Error::io("list", path))?.path())?;
        }
        self.change("remove", path, Change::Remove(path), || std::fs::remove_dir(path))
    }
}

fn failed(action: &'static str, path: &Path, bytes: u64, source: io::Error) -> Error {
    Error::Write {
        path: path.to_path_buf(),
        action,
        bytes,
        source,
    }
}

/// A file being written through a [`Disk`].
///
/// Writes are not buffered: hand in blocks of some size.
#[derive(Debug)]
pub struct DiskFile {
    disk: Disk,
    path: PathBuf,
    file: File,
    position: u64,
}

impl DiskFile {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all bytes at the current position.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] with the file and the number of bytes.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let result = match self.disk.announce(Change::Write(&self.path, bytes.len())) {
            Ok(()) => self.file.write_all(bytes),
            Err(refused) => self.file.write_all(&bytes[..bytes.len() / 2]).and(Err(refused)),
        };
        result.map_err(|source| failed("write", &self.path, bytes.len() as u64, source))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Moves to a position, counted from the begin of the file.
    pub(crate) fn seek(&mut self, position: u64) -> Result<(), Error> {
        if position != self.position {
            self.file
                .seek(SeekFrom::Start(position))
                .map_err(|source| failed("seek in", &self.path, 0, source))?;
            self.position = position;
        }
        Ok(())
    }

    /// Forces the content to the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let sync = || self.file.sync_all();
        self.disk.change("sync", &self.path, Change::SyncFile(&self.path), sync)
    }

    /// The same file for another thread, which begins to force content to the disk while this one writes more.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn flusher(&self) -> Result<Flusher, Error> {
        let file = self.file.try_clone().map_err(Error::io("open", &self.path))?;
        Ok(Flusher {
            path: self.path.clone(),
            file,
        })
    }

    /// Forces the content to the disk and closes the file.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn finish(self) -> Result<(), Error> {
        self.sync()
    }
}

/// See [`DiskFile::flusher`].
#[derive(Debug)]
pub struct Flusher {
    path: PathBuf,
    file: File,
}

impl Flusher {
    /// Forces what is written so far to the disk.
    ///
    /// # Errors
    ///
    /// [`Error::Write`]. A system tells of a fault once: it must not be lost here.
    pub fn flush(self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(|source| failed("sync", &self.path, 0, source))
    }
}
