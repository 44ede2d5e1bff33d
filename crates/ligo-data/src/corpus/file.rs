//! Which files make up a corpus.

use std::path::{Path, PathBuf};

use crate::role::Role;
use crate::{Error, Result, input};

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
    /// For what it is, by its name and those of its folders below the one that was named.
    pub role: Role,
}

/// A file that is not read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFile {
    /// The file.
    pub path: PathBuf,
    /// Why it is not read.
    pub why: Skipped,
}

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Skipped {
    /// Its name ends in nothing that is known to be text.
    OtherKind,
    /// It is a `.json` in a folder, which says something about the data more often than it is data.
    Description,
    /// It is a pipe or a device.
    NoFile,
    /// Its name begins with a dot.
    Hidden,
    /// It is for tests, by its name.
    Test,
    /// It is for validation, by its name, and there is other validation text.
    Valid,
    /// It is for training, by its name, and validation text was looked for.
    Train,
    /// Other files are called train and valid, this one neither.
    Unnamed,
    /// It is validation text already.
    InValid,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OtherKind => "not .txt, .jsonl or .parquet",
            Self::Description => {
                "a .json in a folder may be a description; one that is named itself is read, a JSON object a line"
            }
            Self::NoFile => "no regular file",
            Self::Hidden => "hidden by the dot at the beginning of its name",
            Self::Test => "test text by its name, which nothing is trained on",
            Self::Valid => "validation text by its name, which nothing is trained on",
            Self::Train => "training text by its name",
            Self::Unnamed => "beside files that are called train and valid",
            Self::InValid => "the same file is validation text",
        })
    }
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
        } else if [".jsonl", ".ndjson", ".json"].iter().any(|end| rest.ends_with(end)) {
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

/// Files of all `paths` in the order given, folders recursively in sorted order; and the files of folders that are not read.
pub(super) fn find(paths: &[PathBuf]) -> Result<(Vec<CorpusFile>, Vec<SkippedFile>)> {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    let mut named = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if metadata.is_dir() {
            walk(path, "", &mut files, &mut skipped)?;
            continue;
        }
        let (layout, packing) = CorpusFile::kind(path).ok_or_else(|| Error::UnknownExtension {
            path: path.clone(),
            extension: path
                .extension()
                .map(|e| e.to_string_lossy().into_owned())
                .unwrap_or_default(),
        })?;
        input::open(path)?;
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        named.push(files.len());
        files.push(CorpusFile {
            path: path.clone(),
            role: Role::of(&name),
            name,
            bytes: metadata.len(),
            layout,
            packing,
        });
    }
    look_at_folders(&mut files, &named);
    Ok((files, skipped))
}

/// Files that were named one by one (`data/*/0000.txt`) may lie in folders that say what they are. Only those folders count in which they
/// differ: where all of them lie says nothing.
fn look_at_folders(files: &mut [CorpusFile], named: &[usize]) {
    let folders = |file: &CorpusFile| -> Vec<String> {
        let parent = file.path.parent().into_iter().flat_map(Path::components);
        parent
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect()
    };
    let all: Vec<Vec<String>> = named.iter().map(|&index| folders(&files[index])).collect();
    let Some(first) = all.first() else { return };
    let common = |other: &Vec<String>| first.iter().zip(other).take_while(|(a, b)| a == b).count();
    let common = all.iter().map(common).min().unwrap_or(0);
    for (&index, folders) in named.iter().zip(&all) {
        let role = Role::of_path(&folders[common..].join("/"));
        if files[index].role == Role::Unknown || role == Role::Test {
            files[index].role = role;
        }
    }
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<CorpusFile>, skipped: &mut Vec<SkippedFile>) -> Result<()> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    // The order of a folder differs between file systems; the order of names does not.
    entries.sort();
    for (name, path) in entries {
        if name.starts_with('.') {
            if path.is_file() && CorpusFile::kind(&path).is_some() {
                let why = Skipped::Hidden;
                skipped.push(SkippedFile { path, why });
            }
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
            continue;
        }
        let kind = match CorpusFile::kind(&path) {
            Some(_) if !metadata.is_file() => Err(Skipped::NoFile),
            Some(_) if is_description(&path) => Err(Skipped::Description),
            Some(kind) => Ok(kind),
            None => Err(Skipped::OtherKind),
        };
        match kind {
            Ok((layout, packing)) => files.push(CorpusFile {
                path,
                role: Role::of_path(&relative),
                name: relative,
                bytes: metadata.len(),
                layout,
                packing,
            }),
            Err(why) => skipped.push(SkippedFile { path, why }),
        }
    }
    Ok(())
}

/// A `.json` in a folder says something about the data more often than it is data; named directly it is read.
fn is_description(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// The first of the files that are not read, with the reasons, for messages; empty when there are none.
pub(super) fn described(skipped: &[SkippedFile]) -> String {
    let names: Vec<String> = skipped
        .iter()
        .take(4)
        .map(|file| format!("`{}` ({})", file.path.display(), file.why))
        .collect();
    match skipped.len() {
        0 => String::new(),
        n if n > names.len() => format!("; left out are {} and {} more", names.join(", "), n - names.len()),
        _ => format!("; left out are {}", names.join(", ")),
    }
}

/// The first paths, quoted, for messages.
pub(super) fn quoted<'a>(paths: impl Iterator<Item = &'a Path>) -> String {
    let mut names: Vec<String> = paths.take(6).map(|path| format!("`{}`", path.display())).collect();
    if names.len() > 5 {
        names[5] = "…".to_owned();
    }
    names.join(", ")
}
