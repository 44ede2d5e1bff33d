//! A tokenizer and the tokens that it made, which change together or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::sync_folder;
use crate::{Error, Result};

/// Where both are made.
const UNFINISHED: &str = ".tokenizing";
/// The same folder once both are whole.
const FINISHED: &str = ".tokenized";
/// Where the former ones go while the new ones take their places.
const REPLACED: &str = ".replaced";
const PARTS: [&str; 2] = ["tokenizer", "tokens"];

/// A folder with `tokenizer/` and `tokens/`, as `ligo tokenize` leaves it.
///
/// New ones are made in a folder inside, so that the ones there are stay until the new ones are whole and on the disk. That is marked by one rename;
/// whatever is left of the exchange after a crash is done by [`Self::recover`], and nobody meets a tokenizer with another one's tokens.
/// One process at a time may make or recover it: hold a lock on the folder.
#[derive(Debug, Clone)]
pub struct TextFolder {
    path: PathBuf,
}

impl TextFolder {
    /// The folder at a path; nothing is read or written.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
        }
    }

    /// Where to make `tokenizer/` and `tokens/`. What an earlier process left there can be continued.
    pub fn unfinished(&self) -> PathBuf {
        self.path.join(UNFINISHED)
    }

    /// Puts what was made in [`Self::unfinished`] in the place of what there is. Its files must be on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn publish(&self) -> Result<()> {
        self.recover()?;
        let (unfinished, finished) = (self.unfinished(), self.path.join(FINISHED));
        for part in PARTS {
            sync_folder(&unfinished.join(part))?;
        }
        sync_folder(&unfinished)?;
        fs::rename(&unfinished, &finished).map_err(Error::io("rename the finished folder to", &finished))?;
        self.recover()
    }

    /// Whether a process was killed while it put new ones in their places.
    pub fn needs_recovery(&self) -> bool {
        self.path.join(FINISHED).is_dir()
    }

    /// Finishes an exchange that was begun; does nothing when there is none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn recover(&self) -> Result<()> {
        if self.needs_recovery() {
            sync_folder(&self.path)?;
            for part in PARTS {
                self.exchange(part)?;
            }
            sync_folder(&self.path)?;
            remove(&self.path.join(FINISHED))?;
        }
        remove(&self.path.join(REPLACED))
    }

    fn exchange(&self, part: &str) -> Result<()> {
        let (new, place) = (self.path.join(FINISHED).join(part), self.path.join(part));
        if !new.exists() {
            // It is in its place already.
            return Ok(());
        }
        if place.symlink_metadata().is_ok() {
            let replaced = self.path.join(REPLACED);
            fs::create_dir_all(&replaced).map_err(Error::io("create", &replaced))?;
            let former = replaced.join(part);
            remove(&former)?;
            fs::rename(&place, &former).map_err(Error::io("rename", &place))?;
        }
        fs::rename(&new, &place).map_err(Error::io("rename the finished folder to", &place))
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn make(folder: &Path, content: &str) {
        for part in PARTS {
            fs::create_dir_all(folder.join(part)).unwrap();
            fs::write(folder.join(part).join("a"), content).unwrap();
        }
    }

    fn content(folder: &Path) -> [String; 2] {
        PARTS.map(|part| fs::read_to_string(folder.join(part).join("a")).unwrap())
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn both_change_together_wherever_a_process_is_killed() {
        // How many of the five renames were done when it was killed.
        for done in 0..=5 {
            let home = tempfile::tempdir().unwrap();
            let path = home.path();
            let folder = TextFolder::new(path);
            make(path, "old");
            make(&folder.unfinished(), "new");
            let renames = [
                (UNFINISHED.to_owned(), FINISHED.to_owned()),
                ("tokenizer".to_owned(), format!("{REPLACED}/tokenizer")),
                (format!("{FINISHED}/tokenizer"), "tokenizer".to_owned()),
                ("tokens".to_owned(), format!("{REPLACED}/tokens")),
                (format!("{FINISHED}/tokens"), "tokens".to_owned()),
            ];
            for (from, to) in &renames[..done] {
                fs::create_dir_all(path.join(REPLACED)).unwrap();
                fs::rename(path.join(from), path.join(to)).unwrap();
            }
            assert_eq!(folder.needs_recovery(), done > 0);
            folder.recover().unwrap();
            let expected = if done == 0 { "old" } else { "new" };
            assert_eq!(content(path), [expected, expected], "{done}");
            let left: &[&str] = if done == 0 { &[".tokenizing"] } else { &[] };
            assert_eq!(names(path), [left, &PARTS].concat(), "{done}");
        }
    }

    #[test]
    fn publishing_replaces_and_leaves_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let folder = TextFolder::new(home.path());
        for content_now in ["one", "two"] {
            make(&folder.unfinished(), content_now);
            folder.publish().unwrap();
            assert_eq!(content(home.path()), [content_now, content_now]);
            assert_eq!(names(home.path()), PARTS);
        }
        assert!(folder.publish().is_err(), "nothing was made");
        assert_eq!(content(home.path()), ["two", "two"]);
    }
}
