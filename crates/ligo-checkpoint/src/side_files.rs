//! The files beside the weights: the tokenizer's, and whatever else a model is published with.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::links::{is_inside, require_inside};
use crate::manifest::fingerprint;
use crate::names::{CARD_FILE, CONFIG_FILE, GROWTH_FILE, MANIFEST_FILE};
use crate::{AtomicDir, DiskFile, Error};

/// The files that `transformers` reads a tokenizer, or what prepares images, from.
pub const TOKENIZER_FILES: [&str; 14] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
];

/// The one folder of a model directory that belongs to its tokenizer.
const TEMPLATES: &str = "additional_chat_templates";

/// Endings of weights, and of what belongs to a training run: both are the small model's alone.
const OWN_ENDINGS: [&str; 15] = [
    "safetensors",
    "bin",
    "h5",
    "msgpack",
    "onnx",
    "gguf",
    "ggml",
    "pt",
    "pth",
    "ckpt",
    "ot",
    "npz",
    "pkl",
    "tflite",
    "mlmodel",
];
/// Files that say what the small model is, or how it was made.
const OWN_FILES: [&str; 5] = [CONFIG_FILE, MANIFEST_FILE, CARD_FILE, GROWTH_FILE, "trainer_state.json"];

const BLOCK: usize = 1 << 20;

/// What was copied beside a model's weights, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideFiles {
    /// Names of the files that were copied.
    pub copied: Vec<String>,
    /// Files and folders that stayed behind: weights in other formats, folders that are no part of a tokenizer, and links that lead out of the
    /// model's folder.
    pub left: Vec<String>,
}

/// Copies those [`TOKENIZER_FILES`] that `from` has; returns their names.
///
/// # Errors
///
/// [`Error::Io`] when a file cannot be read, [`Error::Write`] when it cannot be written; [`Error::LinkOutside`].
pub fn copy_tokenizer(from: impl AsRef<Path>, to: &AtomicDir) -> Result<Vec<&'static str>, Error> {
    let from = from.as_ref();
    let mut copied = Vec::new();
    for name in TOKENIZER_FILES {
        if from.join(name).is_file() {
            copy(from, name, || to.create(name))?;
            copied.push(name);
        }
    }
    if from.join(TEMPLATES).is_dir() {
        let SideFiles { copied, left } = templates(from)?;
        copy_templates(from, to, [copied, left].concat())?;
    }
    Ok(copied)
}

/// Copies what a model directory holds beside configuration, weights, model card and what the target has already; `skip` names more that stays behind,
/// without a word about it.
///
/// # Errors
///
/// As [`copy_tokenizer`]; [`Error::FileName`].
pub fn copy_side_files(from: impl AsRef<Path>, to: &AtomicDir, skip: &[&str]) -> Result<SideFiles, Error> {
    let from = from.as_ref();
    let mut files = sorted_out(from, skip)?;
    let mut copied = Vec::new();
    for name in std::mem::take(&mut files.copied) {
        if name == TEMPLATES {
            let found = templates(from)?;
            files.left.extend(found.left);
            copied.extend(copy_templates(from, to, found.copied)?);
        } else if !to.path().join(&name).exists() {
            copy(from, &name, || to.create(&name))?;
            copied.push(name);
        }
    }
    files.copied = copied;
    Ok(files)
}

/// A hash of what [`copy_side_files`] copies.
///
/// # Errors
///
/// As [`copy_side_files`].
pub fn side_files_fingerprint(from: impl AsRef<Path>, skip: &[&str]) -> Result<String, Error> {
    let from = from.as_ref();
    let mut paths = Vec::new();
    for name in sorted_out(from, skip)?.copied {
        let path = from.join(&name);
        if name == TEMPLATES {
            paths.extend(templates(from)?.copied.iter().map(|name| from.join(name)));
        } else {
            paths.push(path);
        }
    }
    fingerprint(from, paths.iter().map(PathBuf::as_path))
}

/// What of a model directory is copied, the folder of templates by its name, and what is left.
fn sorted_out(from: &Path, skip: &[&str]) -> Result<SideFiles, Error> {
    let mut files = SideFiles::default();
    for (name, path) in entries(from)? {
        let own = OWN_FILES.contains(&name.as_str()) || name.ends_with(".index.json") || name.starts_with('.');
        if own || skip.contains(&name.as_str()) {
            continue;
        }
        let ending = Path::new(&name).extension().and_then(|ending| ending.to_str());
        let ending = ending.unwrap_or_default().to_ascii_lowercase();
        let is_weights = OWN_ENDINGS.contains(&ending.as_str());
        let is_of_tokenizer = name == TEMPLATES && !skip.contains(&TOKENIZER_FILES[0]);
        match path.is_file() && is_inside(from, &path)? {
            // The weights that were read.
            true if ending == "safetensors" && name.starts_with("model") => {}
            true if !is_weights => files.copied.push(name),
            false if path.is_dir() && is_of_tokenizer => files.copied.push(name),
            _ => files.left.push(name),
        }
    }
    Ok(files)
}

/// The templates that belong to the model, by their paths in its folder, and those that are links to somewhere else.
fn templates(from: &Path) -> Result<SideFiles, Error> {
    let mut files = SideFiles::default();
    for (name, path) in entries(&from.join(TEMPLATES))? {
        if path.is_file() {
            let list = match is_inside(from, &path)? {
                true => &mut files.copied,
                false => &mut files.left,
            };
            list.push(format!("{TEMPLATES}/{name}"));
        }
    }
    Ok(files)
}

fn copy_templates(from: &Path, to: &AtomicDir, names: Vec<String>) -> Result<Vec<String>, Error> {
    if !names.is_empty() {
        to.disk().create_dir_all(&to.path().join(TEMPLATES))?;
    }
    for name in &names {
        copy(from, name, || to.disk().create_file(&to.path().join(name)))?;
    }
    Ok(names)
}

/// Names and paths, sorted, so that two copies are made in the same order.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    entries.sort();
    Ok(entries)
}

fn copy(folder: &Path, name: &str, create: impl FnOnce() -> Result<DiskFile, Error>) -> Result<(), Error> {
    let path = folder.join(name);
    require_inside(folder, &path)?;
    let mut source = std::fs::File::open(&path).map_err(Error::io("open", &path))?;
    let mut target = create()?;
    let mut block = vec![0; BLOCK];
    loop {
        let read = source.read(&mut block).map_err(Error::io("read", &path))?;
        if read == 0 {
            return target.finish();
        }
        target.write_all(&block[..read])?;
    }
}
