//! Taking a given tokenizer's files along unchanged.

use std::fs;
use std::path::{Path, PathBuf};

use super::Tokenizer;
use super::files::{
    ADDED_TOKENS, MERGES_TXT, SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG_JSON, TOKENIZER_JSON, VOCAB_JSON, VOCAB_TXT,
};
use super::save::Written;
use crate::store::{sync_folder, write_synced};
use crate::{Error, Result, input};

/// The names of the files that make up a tokenizer, as `transformers` knows them; useful when a model folder is copied.
pub const TOKENIZER_FILES: [&str; 13] = [
    TOKENIZER_JSON,
    VOCAB_TXT,
    VOCAB_JSON,
    MERGES_TXT,
    TOKENIZER_CONFIG_JSON,
    SPECIAL_TOKENS_MAP,
    ADDED_TOKENS,
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
];

/// Where a folder of the Hugging Face cache keeps what its links lead to.
const SNAPSHOTS: &str = "snapshots";

impl Tokenizer {
    /// Copies the files that this tokenizer was opened from into an existing folder, byte for byte, with what `transformers` reads beside them: special
    /// tokens, chat template, lengths. What the folder then lacks, as `tokenizer.json` beside a `vocab.txt`, is added as [`Self::save`] writes it.
    /// All of it is on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::LinkOut`] for a link that leads out of the given folder (the cache of `huggingface_hub`, whose links lead to its
    /// own files, aside); [`Error::FileTooLarge`]; [`Error::BadTokenizer`] when the copy is not the same tokenizer.
    pub fn save_as_given(&self, given: &Path, folder: &Path) -> Result<()> {
        let copied = copy_files(given, folder)?;
        let has = |name: &str| copied.contains(&name);
        let lacking = |name: &str| match name {
            TOKENIZER_JSON => !has(TOKENIZER_JSON),
            TOKENIZER_CONFIG_JSON => !has(TOKENIZER_CONFIG_JSON),
            // Without a configuration nothing says what the special tokens are.
            SPECIAL_TOKENS_MAP => !has(TOKENIZER_CONFIG_JSON) && !has(SPECIAL_TOKENS_MAP),
            _ => false,
        };
        for (name, text) in self.written()?.into_iter().filter(|(name, _): &Written| lacking(name)) {
            write_synced(&folder.join(name), text.as_bytes())?;
        }
        sync_folder(folder)?;
        let copy = Self::open(folder)?;
        if copy.hash() != self.hash() || copy.special() != self.special() {
            return Err(Error::BadTokenizer {
                path: given.to_path_buf(),
                reason: "its files do not give the same tokenizer when they are copied; did they change meanwhile?"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

/// Copies what there is; returns the names.
fn copy_files(given: &Path, folder: &Path) -> Result<Vec<&'static str>> {
    let mut copied = Vec::new();
    for (name, source) in sources(given) {
        let limit = match name {
            TOKENIZER_CONFIG_JSON | SPECIAL_TOKENS_MAP | ADDED_TOKENS => input::CONFIG,
            _ => input::VOCABULARY,
        };
        check_inside(&source)?;
        write_synced(&folder.join(name), &input::read(&source, limit)?)?;
        copied.push(name);
    }
    Ok(copied)
}

/// The files of a given tokenizer with the names that they have in a folder.
fn sources(given: &Path) -> Vec<(&'static str, PathBuf)> {
    let vocabularies = [TOKENIZER_JSON, VOCAB_TXT, VOCAB_JSON, MERGES_TXT];
    let there = |name: &&str, folder: &Path| folder.join(name).symlink_metadata().is_ok();
    if given.is_dir() {
        let names = TOKENIZER_FILES.into_iter().filter(|name| there(name, given));
        return names.map(|name| (name, given.join(name))).collect();
    }
    // One of the vocabularies is meant, and not the others that may lie beside it.
    let folder = given.parent().unwrap_or(Path::new(""));
    let mut sources = match given.file_name().and_then(|name| name.to_str()) {
        Some(VOCAB_JSON | MERGES_TXT) => vec![
            (VOCAB_JSON, folder.join(VOCAB_JSON)),
            (MERGES_TXT, folder.join(MERGES_TXT)),
        ],
        Some(name) if name.ends_with(".json") => vec![(TOKENIZER_JSON, given.to_path_buf())],
        _ => vec![(VOCAB_TXT, given.to_path_buf())],
    };
    let beside = TOKENIZER_FILES.into_iter().filter(|name| !vocabularies.contains(name));
    sources.extend(
        beside
            .filter(|name| there(name, folder))
            .map(|name| (name, folder.join(name))),
    );
    sources
}

/// Refuses a link that leads out of its folder: what lies elsewhere was not given, and the copy may be published.
fn check_inside(file: &Path) -> Result<()> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let real = |path: &Path| fs::canonicalize(path).map_err(Error::io("open", path));
    let (mut home, target) = (real(folder)?, real(file)?);
    // `models--OWNER--NAME/snapshots/COMMIT/FILE` leads to `models--OWNER--NAME/blobs/HASH`.
    if let Some(repository) = home
        .parent()
        .filter(|parent| parent.ends_with(SNAPSHOTS))
        .and_then(Path::parent)
    {
        home = repository.to_path_buf();
    }
    if target.starts_with(&home) {
        return Ok(());
    }
    Err(Error::LinkOut {
        path: file.to_path_buf(),
        target,
    })
}
