//! What a folder holds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// An entry of a folder.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) is_folder: bool,
    pub(super) bytes: u64,
}

/// The entries of a folder in the order of their names, without those that begin with a dot.
pub(super) fn entries_of(folder: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if name.starts_with('.') {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(Error::io("open", &path))?;
        entries.push(Entry {
            name,
            path,
            is_folder: metadata.is_dir(),
            bytes: metadata.len(),
        });
    }
    // The order of a folder differs between file systems; the order of names does not.
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
