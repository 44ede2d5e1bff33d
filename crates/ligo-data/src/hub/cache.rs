//! What is in the cache already, without asking anyone.
//!
//! The layout is that of Python's `huggingface_hub`: `KIND--OWNER--NAME/refs/REVISION` holds a commit, and
//! `KIND--OWNER--NAME/snapshots/COMMIT/PATH` is the file.

use std::fs;
use std::path::{Path, PathBuf};

use super::{HubAddress, HubRepo};

/// The cached files that an address means and `keep` wants, in sorted order; empty when there are none.
pub(super) fn find(cache: &Path, address: &HubAddress, keep: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let kind = match address.repo {
        HubRepo::Model => "models",
        HubRepo::Dataset => "datasets",
    };
    let folder = cache.join(format!("{kind}--{}--{}", address.owner, address.name));
    // A revision that is no known branch or tag is a commit itself.
    let commit = fs::read_to_string(folder.join("refs").join(&address.revision));
    let commit = commit.map_or_else(|_| address.revision.clone(), |text| text.trim().to_owned());
    let mut found = Vec::new();
    walk(&folder.join("snapshots").join(commit), "", &mut found);
    found.retain(|(name, _)| address.matches(name) && keep(name));
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Every file below a folder with its path from there. What cannot be listed is not there.
fn walk(folder: &Path, prefix: &str, found: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str() else { continue };
        let relative = if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}/{name}")
        };
        if path.is_dir() {
            walk(&path, &relative, found);
        } else if path.is_file() {
            found.push((relative, path));
        }
    }
}
