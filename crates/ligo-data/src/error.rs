//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Everything that can go wrong between a folder of text and a batch of token ids.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read, write, list or rename something.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was being done, as a verb: "open", "read", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No file with text was found, or the files hold no document.
    #[error("the corpus is empty: no document with text in {paths}")]
    EmptyCorpus {
        /// The paths that were given, quoted and separated by commas.
        paths: String,
    },
    /// A file was named whose extension says nothing we can read.
    #[error("`{path}` ends in `{extension}`; expected .txt or .jsonl, alone or followed by .gz or .zst")]
    UnknownExtension {
        /// The file.
        path: PathBuf,
        /// Its extension as found; empty when it has none.
        extension: String,
    },
    /// A text file holds bytes that are not UTF-8.
    #[error("`{path}` is not UTF-8: first invalid byte at offset {offset} of the (unpacked) text")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Offset of the first invalid byte, counted after unpacking.
        offset: u64,
    },
    /// A line of a JSONL file is not a JSON object.
    #[error("`{path}` line {line}: expected one JSON object a line: {reason}")]
    BadJsonLine {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What the parser said.
        reason: String,
    },
    /// A JSON object has no `text` field that is a string.
    #[error("`{path}` line {line}: expected a string field `text`, found the keys {keys}")]
    MissingText {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// The keys and the kinds of their values, e.g. "`id` (number), `body` (string)".
        keys: String,
    },
    /// One JSONL line is larger than memory should be asked to hold.
    #[error("`{path}` line {line} is longer than {limit_bytes} bytes")]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// `cargo metadata` did not answer.
    #[error("cannot list the packages of `{manifest}`: {reason}")]
    Metadata {
        /// The `Cargo.toml` that was asked about.
        manifest: PathBuf,
        /// What cargo said.
        reason: String,
    },
    /// A tokenizer file cannot be understood.
    #[error("cannot use the tokenizer `{path}`: {reason}")]
    BadTokenizer {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A special token that masked-language modelling needs is not in the vocabulary.
    #[error("the tokenizer `{path}` has no {role} token; looked for {tried}")]
    MissingSpecialToken {
        /// The tokenizer's file or folder.
        path: PathBuf,
        /// What the token is for, e.g. "mask".
        role: &'static str,
        /// The spellings that were tried.
        tried: String,
    },
    /// The same token stands twice in a `vocab.txt`.
    #[error("`{path}` line {line}: the token `{token}` already stands on line {first_line}")]
    DuplicateToken {
        /// The vocabulary file.
        path: PathBuf,
        /// The second line, from 1.
        line: usize,
        /// The first line, from 1.
        first_line: usize,
        /// The token.
        token: String,
    },
    /// The vocabulary size asked for cannot even hold the special tokens and the alphabet.
    #[error(
        "vocabulary size {vocab_size} is too small: the special tokens and the alphabet of this corpus alone need {needed}"
    )]
    VocabTooSmall {
        /// The size asked for.
        vocab_size: usize,
        /// The least size that works with this corpus and alphabet limit.
        needed: usize,
    },
    /// `tokenizers` could not encode a text.
    #[error("cannot tokenise a text that starts with {start:?}: {reason}")]
    Encode {
        /// The first characters of the text.
        start: String,
        /// What `tokenizers` said.
        reason: String,
    },
    /// A token store is written once; the folder is already there.
    #[error("`{path}` already exists; a token store is written once, remove it first")]
    StoreExists {
        /// The folder.
        path: PathBuf,
    },
    /// `store.json` is not what this version writes.
    #[error("`{path}` is not a token store description: {reason}")]
    BadStore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `tokens.bin` has not the length that `store.json` promises.
    #[error("`{path}` should have {expected_bytes} bytes but has {found_bytes}")]
    StoreSize {
        /// The file.
        path: PathBuf,
        /// Bytes promised.
        expected_bytes: u64,
        /// Bytes found.
        found_bytes: u64,
    },
    /// `tokens.bin` has not the SHA-256 that `store.json` promises.
    #[error("`{path}` is damaged: SHA-256 should be {expected} but is {found}")]
    StoreHash {
        /// The file.
        path: PathBuf,
        /// Hash promised.
        expected: String,
        /// Hash found.
        found: String,
    },
    /// A token id is not below the vocabulary size.
    #[error("`{path}`: token {position} has id {id}, but the vocabulary has only {vocab_size} entries")]
    TokenOutOfRange {
        /// The file.
        path: PathBuf,
        /// Position of the token.
        position: u64,
        /// The id found.
        id: u32,
        /// The vocabulary size of the store.
        vocab_size: usize,
    },
    /// The corpus does not fill one batch.
    #[error(
        "the corpus `{path}` is too small: one batch of {batch_size} sequences of length {seq_len} needs {needed_tokens} tokens, found {found_tokens}"
    )]
    CorpusTooSmall {
        /// The token store.
        path: PathBuf,
        /// Sequences in a batch.
        batch_size: usize,
        /// Length of a sequence, special tokens included.
        seq_len: usize,
        /// Tokens that one batch takes (special tokens not counted).
        needed_tokens: u64,
        /// Tokens in the store.
        found_tokens: u64,
    },
    /// A cursor points behind the end of the epoch, so it belongs to another corpus or sequence length.
    #[error(
        "the cursor stands at sample {index}, but an epoch of this corpus has {samples} samples; was it saved with other data or another sequence length?"
    )]
    CursorOutOfRange {
        /// The cursor's index.
        index: u64,
        /// Samples in an epoch.
        samples: u64,
    },
    /// A setting has a value outside its range.
    #[error("`{name}` must be {expected}, found {found}")]
    BadSetting {
        /// Name of the setting.
        name: &'static str,
        /// The range, in words.
        expected: &'static str,
        /// The value found.
        found: String,
    },
    /// The caller asked to stop; nothing was left behind.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Returns a closure that wraps an I/O error with the verb and the path, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
