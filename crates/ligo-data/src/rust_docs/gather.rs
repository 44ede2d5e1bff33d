//! The text of all packages, gathered.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{comments, markdown, packages, prose};
use crate::hash::{Promise, sha256_hex, unit_hash};
use crate::store::{in_new_folder, write_synced};
use crate::{Error, Result, TrainValid, Watch, input};

/// Share of the files whose text goes to validation.
const VALID_FRACTION: f64 = 0.05;
const TRAIN_TXT: &str = "train.txt";
const VALID_TXT: &str = "valid.txt";
const REPORT_JSON: &str = "report.json";

/// What was gathered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RustDocsReport {
    /// Packages that gave text.
    pub packages: usize,
    /// Source files that gave text.
    pub files: usize,
    /// Paragraphs kept.
    pub paragraphs: usize,
    /// Paragraphs of prose dropped because an equal one, names and numbers aside, came before.
    pub duplicates: usize,
    /// Bytes of training text.
    pub train_bytes: usize,
    /// Bytes of validation text.
    pub valid_bytes: usize,
    /// SHA-256 of `train.txt`.
    pub train_sha256: String,
    /// SHA-256 of `valid.txt`.
    pub valid_sha256: String,
}

/// The documentation corpus in memory; some ten megabytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RustDocs {
    /// Training text: one paragraph a line, one source file a document, an empty line between documents.
    pub train: String,
    /// Validation text: 5 % of the source files, chosen by the hash of package name and path.
    pub valid: String,
    /// Counts and hashes.
    pub report: RustDocsReport,
}

impl RustDocs {
    /// Gathers the documentation of all dependencies of the workspace at `manifest` (its `Cargo.toml`): Markdown files and doc comments,
    /// code blocks, tables, links and licences left out, each paragraph once. Progress counts packages, not bytes.
    ///
    /// # Errors
    /// [`Error::Metadata`] when cargo cannot list the packages, [`Error::Io`] for a file that cannot be read, [`Error::EmptyCorpus`] when
    /// training or validation text would be empty, [`Error::Interrupted`].
    pub fn gather(manifest: &Path, watch: Watch<'_>) -> Result<Self> {
        let packages = packages::list(manifest)?;
        let mut gathered = Gathered::default();
        // Some dozens of packages at a time: the sources of all of them would not fit a bounded memory.
        for (done, group) in packages.chunks(32).enumerate() {
            watch.check()?;
            let texts = group.par_iter().map(read_package).collect::<Result<Vec<_>>>()?;
            for (package, files) in group.iter().zip(texts) {
                gathered.package(&package.name, files);
            }
            watch.report(((done + 1) * 32).min(packages.len()) as u64, packages.len() as u64);
        }
        gathered.finish(manifest)
    }

    /// Writes `train.txt`, `valid.txt` and `report.json` into a new folder, which appears by one rename.
    ///
    /// # Errors
    /// [`Error::StoreExists`], [`Error::Io`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let report = serde_json::to_string_pretty(&self.report).map_err(|error| Error::BadStore {
            path: folder.join(REPORT_JSON),
            reason: error.to_string(),
        })?;
        in_new_folder(folder, |temporary| {
            for (name, text) in [
                (TRAIN_TXT, &self.train),
                (VALID_TXT, &self.valid),
                (REPORT_JSON, &(report + "\n")),
            ] {
                write_synced(&temporary.join(name), text.as_bytes())?;
            }
            Ok(())
        })
    }

    /// The corpora of a folder that [`Self::write`] made, and its report, whose hashes both texts must have.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadStore`] when the report cannot be understood; [`Error::StoreSize`], [`Error::StoreHash`] when a text is damaged.
    pub fn open(folder: &Path) -> Result<(TrainValid, RustDocsReport)> {
        let path = folder.join(REPORT_JSON);
        let json = input::read(&path, input::LIST)?;
        let report: RustDocsReport = serde_json::from_slice(&json).map_err(|error| Error::BadStore {
            path,
            reason: error.to_string(),
        })?;
        check_text(&folder.join(TRAIN_TXT), report.train_bytes, &report.train_sha256)?;
        check_text(&folder.join(VALID_TXT), report.valid_bytes, &report.valid_sha256)?;
        let corpora = TrainValid::from_paths(&[folder.join(TRAIN_TXT)], &[folder.join(VALID_TXT)])?;
        Ok((
            TrainValid {
                how: "5 % of the source files, by the hash of their name".to_owned(),
                ..corpora
            },
            report,
        ))
    }
}

fn check_text(path: &Path, expected_bytes: usize, whole: &str) -> Result<()> {
    let found_bytes = input::open(path)?.metadata().map_err(Error::io("open", path))?.len();
    let expected_bytes = expected_bytes as u64;
    if found_bytes != expected_bytes {
        return Err(Error::StoreSize {
            path: path.to_path_buf(),
            expected_bytes,
            found_bytes,
        });
    }
    let promise = Promise { whole, blocks: None };
    promise.check(path, &input::read(path, expected_bytes)?)
}

/// The prose of each file of a package, with the file's path inside it.
fn read_package(package: &packages::Package) -> Result<Vec<(String, Vec<String>)>> {
    let mut texts = Vec::new();
    for (name, path) in packages::files(package)? {
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        // Sources are UTF-8 with few exceptions (test data); those hold nothing for us.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let markdown = if name.ends_with(".rs") {
            comments::blocks(&text)
        } else {
            vec![text]
        };
        let paragraphs: Vec<String> = markdown
            .iter()
            .flat_map(|block| markdown::paragraphs(block))
            .filter(|text| prose::is_prose(text))
            .collect();
        if !paragraphs.is_empty() {
            texts.push((name, paragraphs));
        }
    }
    Ok(texts)
}

#[derive(Default)]
struct Gathered {
    seen: HashSet<[u8; 32]>,
    train: String,
    valid: String,
    packages: usize,
    files: usize,
    paragraphs: usize,
    duplicates: usize,
}

impl Gathered {
    fn package(&mut self, name: &str, files: Vec<(String, Vec<String>)>) {
        let files_before = self.files;
        for (path, paragraphs) in files {
            let found = paragraphs.len();
            let new: Vec<String> = paragraphs
                .into_iter()
                .filter(|text| self.seen.insert(prose::fingerprint(text)))
                .collect();
            self.duplicates += found - new.len();
            if new.is_empty() {
                continue;
            }
            self.files += 1;
            self.paragraphs += new.len();
            // The version is left out, so a file stays on its side when a dependency is updated.
            let is_valid = unit_hash(format!("{name}/{path}").as_bytes()) < VALID_FRACTION;
            let text = if is_valid { &mut self.valid } else { &mut self.train };
            if !text.is_empty() {
                text.push('\n');
            }
            for paragraph in new {
                text.push_str(&paragraph);
                text.push('\n');
            }
        }
        self.packages += usize::from(self.files > files_before);
    }

    fn finish(self, manifest: &Path) -> Result<RustDocs> {
        if self.train.is_empty() || self.valid.is_empty() {
            return Err(Error::EmptyCorpus {
                paths: format!("the dependencies of `{}`", manifest.display()),
            });
        }
        let report = RustDocsReport {
            packages: self.packages,
            files: self.files,
            paragraphs: self.paragraphs,
            duplicates: self.duplicates,
            train_bytes: self.train.len(),
            valid_bytes: self.valid.len(),
            train_sha256: sha256_hex(self.train.as_bytes()),
            valid_sha256: sha256_hex(self.valid.as_bytes()),
        };
        Ok(RustDocs {
            train: self.train,
            valid: self.valid,
            report,
        })
    }
}

/// The nearest `Cargo.toml` with a `Cargo.lock` beside it, from `start` upwards.
pub fn find_workspace(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file())
        .map(|folder| folder.join("Cargo.toml"))
}
