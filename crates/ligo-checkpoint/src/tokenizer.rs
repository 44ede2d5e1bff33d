//! The tokenizer's files go with the model.

use std::path::Path;

use crate::{AtomicDir, Error};

/// The files that `transformers` reads a tokenizer from.
pub const TOKENIZER_FILES: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "preprocessor_config.json",
];

/// Copies those [`TOKENIZER_FILES`] that `from` has; returns their names.
///
/// # Errors
///
/// [`Error::Io`] when a file cannot be read, [`Error::Write`] when it cannot be written.
pub fn copy_tokenizer(from: impl AsRef<Path>, to: &AtomicDir) -> Result<Vec<&'static str>, Error> {
    let mut copied = Vec::new();
    for name in TOKENIZER_FILES {
        let source = from.as_ref().join(name);
        if source.is_file() {
            to.write(name, &std::fs::read(&source).map_err(Error::io("read", &source))?)?;
            copied.push(name);
        }
    }
    Ok(copied)
}
