//! One process per run folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Error;

const LOCK_FILE: &str = ".lock";

/// An exclusive lock on a folder, held until dropped or until the process ends, however it ends.
///
/// The file `.lock` stays behind; only the system's lock on it counts, so a leftover file blocks nobody.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    file: File,
}

impl RunLock {
    /// Locks a folder, which is created when it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] with the number of the process that holds it; [`Error::Io`] where the file system cannot lock.
    pub fn acquire(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let path = folder.join(LOCK_FILE);
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = open.map_err(Error::io("open", &path))?;
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
                    path,
                    action: "lock",
                    source,
                });
            }
        }
        write_pid(&mut file).map_err(Error::io("write", &path))?;
        Ok(Self {
            path: folder.to_path_buf(),
            file,
        })
    }

    /// The locked folder.
    pub fn folder(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Closing the file would unlock it too, unless a child process inherited the handle.
        let _ = self.file.unlock();
    }
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
