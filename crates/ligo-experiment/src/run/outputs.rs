//! What a stage wrote: forced to the disk and listed with sizes and hashes before the stage is called complete, and compared when its work
//! is to be skipped.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use ligo_checkpoint::{MANIFEST_FILE, Manifest};
use serde::{Deserialize, Serialize};

use super::stage::STAGE_JSON;
use crate::{Failure, identity};

/// The files that a stage wrote, by the file or folder that it names among its outputs.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outputs(BTreeMap<String, BTreeMap<String, Entry>>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    /// Nothing for large files that are checked by hashes of their own whenever they are opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Why outputs are not as they were.
#[derive(Debug)]
pub enum Fault {
    /// A whole output is gone.
    Removed {
        /// As the stage names it.
        name: String,
        /// Where it was.
        path: PathBuf,
    },
    /// A file is missing, or has another content.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected, and what was found.
        reason: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed { path, .. } => write!(f, "{} is not there any more", path.display()),
            Self::Damaged { path, reason } => write!(f, "{} is damaged: {reason}", path.display()),
        }
    }
}

impl Outputs {
    /// Forces what a stage wrote to the disk, and lists it. Each output is a file or a folder, by its path from the stage's own folder.
    ///
    /// # Errors
    /// An output cannot be read or forced to the disk.
    pub fn written(folder: &Path, outputs: &[&str]) -> Result<Self, Failure> {
        let mut written = BTreeMap::new();
        for output in outputs {
            let path = at(folder, output);
            let mut entries = BTreeMap::new();
            for name in files_of(&path)? {
                let file = path_of(&path, &name);
                entries.insert(name, Entry::written(&file)?);
                ligo_metrics::files::sync_folder(file.parent().unwrap_or(folder))?;
            }
            // The output's own name stands in the folder above it.
            ligo_metrics::files::sync_folder(path.parent().unwrap_or(folder))?;
            written.insert((*output).to_owned(), entries);
        }
        Ok(Self(written))
    }

    /// One of them.
    pub fn only(&self, output: &str) -> Self {
        let entries = self.0.get_key_value(output);
        Self(
            entries
                .map(|(name, entries)| (name.clone(), entries.clone()))
                .into_iter()
                .collect(),
        )
    }

    /// All but one of them.
    pub fn without(&self, output: &str) -> Self {
        let mut rest = self.0.clone();
        rest.remove(output);
        Self(rest)
    }

    /// Compares them with what is there now, but for the content of weights, which whoever opens them checks. Files that came later do no harm.
    ///
    /// # Errors
    /// The first one that differs; damage before what is only missing.
    pub fn check(&self, folder: &Path) -> Result<(), Fault> {
        self.compare(folder, Entry::check)
    }

    /// [`Outputs::check`] with weights, which nobody may open again before they are handed on as the result.
    ///
    /// # Errors
    /// As there.
    pub fn check_whole(&self, folder: &Path) -> Result<(), Fault> {
        self.compare(folder, |entry, file| {
            entry.check(file)?;
            match entry.sha256 {
                None => check_weights(file),
                Some(_) => Ok(()),
            }
        })
    }

    fn compare(&self, folder: &Path, check: impl Fn(&Entry, &Path) -> Result<(), String>) -> Result<(), Fault> {
        let mut removed = None;
        for (output, entries) in &self.0 {
            let path = at(folder, output);
            if path.symlink_metadata().is_err() {
                removed.get_or_insert(Fault::Removed {
                    name: output.clone(),
                    path,
                });
                continue;
            }
            for (name, entry) in entries {
                let file = path_of(&path, name);
                check(entry, &file).map_err(|reason| Fault::Damaged { path: file, reason })?;
            }
        }
        removed.map_or(Ok(()), Err)
    }
}

/// An output, which may be the folder itself, as people would write its path.
fn at(folder: &Path, output: &str) -> PathBuf {
    folder.join(output).components().collect()
}

impl Entry {
    fn written(file: &Path) -> Result<Self, Failure> {
        let opened = File::open(file).map_err(Failure::io("open", file))?;
        opened.sync_all().map_err(Failure::io("write", file))?;
        let bytes = opened.metadata().map_err(Failure::io("read", file))?.len();
        let sha256 = match has_a_hash_of_its_own(file) {
            true => None,
            false => Some(identity::of_file(file)?),
        };
        Ok(Self { bytes, sha256 })
    }

    fn check(&self, file: &Path) -> Result<(), String> {
        let metadata = std::fs::metadata(file).map_err(|error| error.to_string())?;
        if metadata.len() != self.bytes {
            return Err(format!("expected {} bytes, found {}", self.bytes, metadata.len()));
        }
        let Some(expected) = &self.sha256 else { return Ok(()) };
        check_hash(file, expected)
    }
}

fn check_hash(file: &Path, expected: &str) -> Result<(), String> {
    let found = identity::of_file(file).map_err(|error| error.to_string())?;
    match found == expected {
        true => Ok(()),
        false => Err(format!("expected sha256 {expected}, found {found}")),
    }
}

/// Compares weights with the hash that the manifest beside them has.
fn check_weights(file: &Path) -> Result<(), String> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    if !folder.join(MANIFEST_FILE).is_file() {
        return Ok(());
    }
    let manifest = Manifest::read(folder).map_err(|error| error.to_string())?;
    manifest
        .files()
        .get(name)
        .map_or(Ok(()), |entry| check_hash(file, &entry.sha256))
}

/// Weights that a manifest vouches for, and the blocks of token stores and image sets: whoever opens them checks them, and reading
/// gigabytes twice would make every start slow.
fn has_a_hash_of_its_own(file: &Path) -> bool {
    let kind = file.extension().and_then(|kind| kind.to_str());
    match kind {
        Some("safetensors") => file.with_file_name(MANIFEST_FILE).is_file(),
        Some("bin") => true,
        _ => false,
    }
}

/// The output itself, or a file below it.
fn path_of(output: &Path, name: &str) -> PathBuf {
    if name.is_empty() {
        return output.to_path_buf();
    }
    output.join(name)
}

/// The files of an output, by their paths below it; the empty one for an output that is a file. Left out is what is no outcome: locks and
/// other hidden files, the marks of stages, and model cards, which people edit.
fn files_of(output: &Path) -> Result<Vec<String>, Failure> {
    if !std::fs::metadata(output).map_err(Failure::io("open", output))?.is_dir() {
        return Ok(vec![String::new()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), output.to_path_buf())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Failure::io("list", &folder))? {
            let entry = entry.map_err(Failure::io("list", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || [STAGE_JSON, "README.md"].contains(&name.as_str()) {
                continue;
            }
            let name = format!("{prefix}{name}");
            match entry.path().is_dir() {
                true => folders.push((format!("{name}/"), entry.path())),
                false => files.push(name),
            }
        }
    }
    Ok(files)
}
