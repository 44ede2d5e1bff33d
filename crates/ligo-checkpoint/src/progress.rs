//! What is complete of a directory that is still being written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::commit::Names;
use crate::parallel::in_parallel;
use crate::strict::{JsonFile, read_json_bytes};
use crate::{AtomicDir, Disk, DiskFile, Error, FileEntry};

/// The files that are complete of a directory whose writing takes long, so that another process can go on where this one was killed.
///
/// The record lies beside the directory (`.NAME.progress`): a line that says what is written, then a line with the hash of each complete file. It is only
/// believed where what is to be written is the same, and only of files whose hash holds.
///
/// One process may write a directory at a time; see [`RunLock::beside`](crate::RunLock::beside).
#[derive(Debug)]
pub struct Progress {
    path: PathBuf,
    disk: Disk,
    record: DiskFile,
    files: BTreeMap<String, FileEntry>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    file: String,
    bytes: u64,
    sha256: String,
}

impl Progress {
    /// Begins to write a directory, or goes on with one that was begun with the same key: a hash of everything that decides the files.
    ///
    /// # Errors
    ///
    /// As [`AtomicDir::begin`].
    pub fn resume(disk: &Disk, target: impl AsRef<Path>, key: &str) -> Result<(AtomicDir, Self), Error> {
        let names = Names::of(target.as_ref())?;
        let mut files = recorded(&names.progress, key);
        let held = in_parallel(files.iter().collect(), |(name, entry): (&String, &FileEntry)| {
            entry.holds(&names.partial.join(name))
        });
        let mut held = held.into_iter();
        files.retain(|_, _| held.next() == Some(true));
        let dir = AtomicDir::resume_on(disk, &names.target, |name| files.contains_key(name))?;
        files.iter().for_each(|(name, entry)| dir.vouch(name, entry.clone()));
        // Written anew: its last line may be half a line.
        if names.progress.symlink_metadata().is_ok() {
            disk.remove_tree(&names.progress)?;
        }
        let mut record = disk.create_file(&names.progress)?;
        let known = files.iter().map(|(name, entry)| line(name, entry));
        let text: String = std::iter::once(format!("{key}\n")).chain(known).collect();
        record.write_all(text.as_bytes())?;
        record.sync()?;
        let progress = Self {
            path: names.progress,
            disk: disk.clone(),
            record,
            files,
        };
        Ok((dir, progress))
    }

    /// Whether a file is complete.
    pub fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// The names of the files that are complete.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// How many files are complete.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Notes a file that is on the disk.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Write`].
    pub fn add(&mut self, dir: &AtomicDir, file: &str) -> Result<(), Error> {
        self.add_entry(dir, file, FileEntry::of(&dir.path().join(file))?)
    }

    /// As [`Progress::add`], for a file whose hash is known.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn add_entry(&mut self, dir: &AtomicDir, file: &str, entry: FileEntry) -> Result<(), Error> {
        // The file's name must not be lost where the record is not.
        self.disk.sync_dir(dir.path())?;
        self.record.write_all(line(file, &entry).as_bytes())?;
        self.record.sync()?;
        self.files.insert(file.to_owned(), entry);
        Ok(())
    }

    /// Removes the record: the directory is complete, or given up.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn forget(self) -> Result<(), Error> {
        drop(self.record);
        self.disk.remove_tree(&self.path)
    }
}

fn line(file: &str, entry: &FileEntry) -> String {
    let line = Line {
        file: file.to_owned(),
        bytes: entry.bytes,
        sha256: entry.sha256.clone(),
    };
    // Texts and a number always serialize.
    format!("{}\n", serde_json::to_string(&line).unwrap_or_default())
}

/// What a record says; nothing when it is another directory's, damaged or not there.
fn recorded(path: &Path, key: &str) -> BTreeMap<String, FileEntry> {
    let text = read_json_bytes(path, JsonFile::Record).unwrap_or_default();
    let text = String::from_utf8(text).unwrap_or_default();
    match text.split_once('\n') {
        Some((found, lines)) if found == key => {
            let lines = lines.lines().map_while(|line| serde_json::from_str::<Line>(line).ok());
            let entry = |line: Line| {
                let Line { file, bytes, sha256 } = line;
                (file, FileEntry { bytes, sha256 })
            };
            lines.map(entry).collect()
        }
        _ => BTreeMap::new(),
    }
}
