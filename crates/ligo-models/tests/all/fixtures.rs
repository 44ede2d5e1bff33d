//! The models that are kept for tests.

use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// The model directories of one family, each with what the reference library computed with it.
pub fn fixtures(family: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(family))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.join("config.json").is_file()).collect();
    folders.sort();
    folders
}
