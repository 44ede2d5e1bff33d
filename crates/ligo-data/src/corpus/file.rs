//! Which files make up a corpus.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What a file's bytes are before they are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As they are.
    Plain,
    /// gzip, one or more members.
    Gzip,
    /// Zstandard, one or more frames.
    Zstd,
}

/// How documents are laid out in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Plain text; a document ends at an empty line.
    Text,
    /// One JSON object a line, the document in one of its fields.
    JsonLines,
    /// A parquet file, the document in one of its columns.
    Parquet,
}

/// One file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusFile {
    /// Where it is.
    pub path: PathBuf,
    /// Path below the folder that was named, with `/`; the file name when the file itself was named. The same on every machine.
    pub name: String,
    /// Size on disk.
    pub bytes: u64,
    /// How its documents are laid out.
    pub layout: Layout,
    /// How it is packed.
    pub packing: Packing,
}

impl CorpusFile {
    /// Reads layout and packing off a file name such as `a.jsonl.zst`; `None` when it ends otherwise. A `.json` is taken for JSONL, as C4's
    /// `.json.gz` shards are.
    pub fn kind(path: &Path) -> Option<(Layout, Packing)> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (rest, packing) = if let Some(rest) = name.strip_suffix(".gz") {
            (rest, Packing::Gzip)
        } else if let Some(rest) = name.strip_suffix(".zst") {
            (rest, Packing::Zstd)
        } else {
            (name.as_str(), Packing::Plain)
        };
        if rest.ends_with(".txt") {
            Some((Layout::Text, packing))
        } else if rest.ends_with(".jsonl") || rest.ends_with(".json") {
            Some((Layout::JsonLines, packing))
        } else if rest.ends_with(".parquet") && packing == Packing::Plain {
            Some((Layout::Parquet, packing))
        } else {
            None
        }
    }

    /// The part of the file name before its first dot: `train` for `train.txt.zst`.
    pub fn stem(&self) -> &str {
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        file.split('.').next().unwrap_or(file)
    }
}

/// Files of all `paths` in the order given, folders recursively in sorted order; and the files of folders that were passed over because
/// of their extension.
pub(super) fn find(paths: &[PathBuf]) -> Result<(Vec<CorpusFile>, Vec<PathBuf>)> {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if metadata.is_dir() {
            walk(path, "", &mut files, &mut skipped)?;
        } else {
            let (layout, packing) = CorpusFile::kind(path).ok_or_else(|| Error::UnknownExtension {
                path: path.clone(),
                extension: path
                    .extension()
                    .map(|e| e.to_string_lossy().into_owned())
                    .unwrap_or_default(),
            })?;
            let name = path
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            files.push(CorpusFile {
                path: path.clone(),
                name,
                bytes: metadata.len(),
                layout,
                packing,
            });
        }
    }
    Ok((files, skipped))
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<CorpusFile>, skipped: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    // The order of a folder differs between file systems; the order of names does not.
    entries.sort();
    for (name, path) in entries {
        if name.starts_with('.') {
            continue;
        }
        let relative = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        let metadata = std::fs::metadata(&path).map_err(Error::io("open", &path))?;
        if metadata.is_dir() {
            walk(&path, &relative, files, skipped)?;
        } else if let Some((layout, packing)) = CorpusFile::kind(&path).filter(|_| !is_description(&path)) {
            files.push(CorpusFile {
                path,
                name: relative,
                bytes: metadata.len(),
                layout,
                packing,
            });
        } else {
            skipped.push(path);
        }
    }
    Ok(())
}

/// A `.json` in a folder says something about the data more often than it is data; named directly it is read.
fn is_description(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}
