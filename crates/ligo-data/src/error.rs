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
    /// A path leads to something that is no regular file.
    #[error("`{path}` is {found}; expected a file")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// A file is larger than anything of its kind.
    #[error("`{path}` has {found_bytes} bytes; a file of this kind has at most {limit_bytes}")]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit_bytes: u64,
        /// Bytes found.
        found_bytes: u64,
    },
    /// Folders hold no file that could be text.
    #[error("there is no file with text in {paths}: expected .txt, .jsonl, .ndjson or .parquet{skipped}")]
    NoTextFiles {
        /// The paths that were given, quoted and separated by commas.
        paths: String,
        /// The files that are there, with the reasons why they are not read, behind "; left out are "; empty when there are none.
        skipped: String,
    },
    /// The files hold no document.
    #[error("the corpus is empty: no document with text in {paths}")]
    EmptyCorpus {
        /// The paths that were given, quoted and separated by commas.
        paths: String,
    },
    /// There is text, but none for one of the two purposes.
    #[error(
        "there is no text for {side}: {reason}; name text for training and for validation apart from each other, or hold out another share of the documents"
    )]
    EmptySide {
        /// "training" or "validation".
        side: &'static str,
        /// Why.
        reason: String,
    },
    /// A file was named whose extension says nothing we can read.
    #[error(
        "`{path}` ends in `{extension}`; expected .txt, .jsonl or .json, alone or followed by .gz or .zst, or .parquet"
    )]
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
    /// A text file holds UTF-16.
    #[error("`{path}` is UTF-16, expected UTF-8: convert it, with `iconv -f UTF-16 -t UTF-8` or in an editor")]
    Utf16 {
        /// The file.
        path: PathBuf,
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
    /// A JSON object has no text field that is a string.
    #[error(
        "`{path}` line {line}: expected a string field `{field}`, found the keys {keys}; name the field that holds the text, or have lines without text left out (--missing-text skip, corpus.missing_text = \"skip\")"
    )]
    MissingText {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// The field, `text` unless said otherwise.
        field: String,
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
    /// A parquet file has no column of that name that holds one text a row.
    #[error("`{path}` has no text column `{column}`; its columns are {columns}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column, `text` unless said otherwise.
        column: String,
        /// The columns there are, with their types.
        columns: String,
    },
    /// A parquet file cannot be understood.
    #[error("cannot read the parquet file `{path}`: {reason}")]
    BadParquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
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
    /// A file of a given tokenizer lies elsewhere.
    #[error(
        "`{path}` is a link out of its folder, to `{target}`; put the file itself there, or name the folder that holds it"
    )]
    LinkOut {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A special token that is needed is not in the vocabulary.
    #[error("the tokenizer of `{path}` has no {role} token; looked for {tried}")]
    MissingSpecialToken {
        /// The tokenizer's file or folder, or the token store that was made with it.
        path: PathBuf,
        /// What the token is for, e.g. "mask".
        role: &'static str,
        /// The spellings that were tried.
        tried: String,
    },
    /// The tokenizer is another model's.
    #[error(
        "the tokenizer has {tokenizer_vocab} entries, but the model's vocabulary has {model_vocab}: is it the tokenizer of another model?"
    )]
    WrongTokenizer {
        /// [`crate::Tokenizer::vocab_size`].
        tokenizer_vocab: usize,
        /// Rows of the model's embedding.
        model_vocab: usize,
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
    /// A line of a `merges.txt` is not two tokens.
    #[error("`{path}` line {line}: expected two tokens with a space between them, found `{found}`")]
    BadMerge {
        /// The merges file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The line, its first characters.
        found: String,
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
    #[error("cannot tokenize a text that starts with {start:?}: {reason}")]
    Encode {
        /// The first characters of the text.
        start: String,
        /// What `tokenizers` said.
        reason: String,
    },
    /// A store of tokens or images is written once; the folder is already there.
    #[error("`{path}` already exists; a store is written once, remove it first")]
    StoreExists {
        /// The folder.
        path: PathBuf,
    },
    /// Another process is tokenizing into the same folder.
    #[error("another process is building `{path}`; wait until it has ended, or choose another folder")]
    StoreBusy {
        /// The folder.
        path: PathBuf,
    },
    /// `store.json` or `images.json` is not what this version writes, or damaged.
    #[error("`{path}` is not a store description: {reason}; the store has to be made again")]
    BadStore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of a store has not the length that its description promises.
    #[error("`{path}` should have {expected_bytes} bytes but has {found_bytes}; the store has to be made again")]
    StoreSize {
        /// The file.
        path: PathBuf,
        /// Bytes promised.
        expected_bytes: u64,
        /// Bytes found.
        found_bytes: u64,
    },
    /// A file of a store has not the SHA-256 that its description promises.
    #[error(
        "`{path}` is damaged between byte {start} and byte {end}: SHA-256 should be {expected} but is {found}; the store has to be made again"
    )]
    StoreHash {
        /// The file.
        path: PathBuf,
        /// Where the damaged part begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// Hash promised.
        expected: String,
        /// Hash found.
        found: String,
    },
    /// A store was not made by the tokenizer beside it.
    #[error(
        "`{path}` was made with another tokenizer (hash {expected}) than the one that is with it (hash {found}); the text has to be tokenized again"
    )]
    OtherTokenizer {
        /// The token store.
        path: PathBuf,
        /// The hash of the tokenizer that made it.
        expected: String,
        /// The hash of the tokenizer that was found.
        found: String,
    },
    /// A token id is not below the vocabulary size.
    #[error(
        "`{path}`: token {position} has id {id}, but the vocabulary has only {vocab_size} entries; the store has to be made again"
    )]
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
    /// A path holds no pictures in a layout that is known.
    #[error(
        "`{path}` holds {found}; expected folders of JPEG or PNG files, one for each class (perhaps below `train` and `valid`), CIFAR records (`*.bin`), IDX files (`*-images-idx3-ubyte`, alone or followed by .gz) or parquet files with a column `image`"
    )]
    UnknownImageSource {
        /// The path.
        path: PathBuf,
        /// What is there instead, in words.
        found: String,
    },
    /// There is no picture.
    #[error("no picture in `{path}`")]
    EmptyImageSet {
        /// The source, or the folder of one class.
        path: PathBuf,
    },
    /// All pictures have the same class, so there is nothing to learn.
    #[error("`{path}` has only one class, `{class}`; expected at least two")]
    OneClass {
        /// The source.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// The validation pictures have a class that the training pictures do not have.
    #[error("the class folder `{path}` has no counterpart among the training classes {known}")]
    UnknownClass {
        /// The folder.
        path: PathBuf,
        /// The classes of the training pictures.
        known: String,
    },
    /// Training and validation pictures have different classes.
    #[error("`{train}` ({train_classes} classes) and `{valid}` ({valid_classes} classes) do not have the same classes")]
    ClassesDiffer {
        /// The training source.
        train: PathBuf,
        /// Its classes.
        train_classes: usize,
        /// The validation source.
        valid: PathBuf,
        /// Its classes.
        valid_classes: usize,
    },
    /// A picture cannot be decoded.
    #[error("cannot decode {image} of `{path}`: {reason}")]
    BadImage {
        /// The source.
        path: PathBuf,
        /// The picture: a file below the source, or a file and a record.
        image: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A parquet file has no pictures or no labels.
    #[error("`{path}` has no {wanted}; its columns are {columns}")]
    MissingImageColumn {
        /// The file.
        path: PathBuf,
        /// What was looked for, in words.
        wanted: &'static str,
        /// The columns there are, with their types.
        columns: String,
    },
    /// A file of records does not hold a whole number of them.
    #[error("`{path}` has {found_bytes} bytes; expected a multiple of {record_bytes}, the length of a record")]
    RecordFileSize {
        /// The file.
        path: PathBuf,
        /// Bytes of one record.
        record_bytes: u64,
        /// Bytes found.
        found_bytes: u64,
    },
    /// An IDX file does not begin as it should.
    #[error("`{path}` begins with {found:#010x}; expected the IDX magic number {expected:#010x}")]
    IdxMagic {
        /// The file.
        path: PathBuf,
        /// The number of files of this kind.
        expected: u32,
        /// The number found.
        found: u32,
    },
    /// An IDX file is shorter or longer than its header says.
    #[error("`{path}` should have {expected_bytes} (unpacked) bytes but has {found_bytes} or more")]
    IdxLength {
        /// The file.
        path: PathBuf,
        /// Bytes promised, the header included.
        expected_bytes: u64,
        /// Bytes found; the file is not read further than needed to see that it is too long.
        found_bytes: u64,
    },
    /// The two IDX files of a set do not belong together.
    #[error("`{images_path}` has {images} pictures, but `{labels_path}` has {labels} labels")]
    IdxCounts {
        /// The file with pictures.
        images_path: PathBuf,
        /// Its pictures.
        images: u64,
        /// The file with labels.
        labels_path: PathBuf,
        /// Its labels.
        labels: u64,
    },
    /// A label is not below the number of classes.
    #[error("`{path}`: picture {position} has the label {label}, but there are only {classes} classes")]
    ImageLabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// Position of the label, from 0.
        position: u64,
        /// The label found.
        label: i64,
        /// Classes of the set.
        classes: usize,
    },
    /// The pictures of a set do not fill one batch.
    #[error("the image set `{path}` is too small: one batch needs {batch_size} pictures, found {found}")]
    TooFewImages {
        /// The image set.
        path: PathBuf,
        /// Pictures in a batch.
        batch_size: usize,
        /// Pictures in the set.
        found: u64,
    },
    /// The pictures of a set are smaller than the model's input and may not be stretched.
    #[error(
        "the pictures of `{path}` have {height}×{width} pixels, fewer than the model's {image_size}×{image_size}; allow upscaling to stretch them"
    )]
    ImagesTooSmall {
        /// The image set.
        path: PathBuf,
        /// Rows of its pictures.
        height: usize,
        /// Columns of its pictures.
        width: usize,
        /// Height and width of the model's input.
        image_size: usize,
    },
    /// A `preprocessor_config.json` cannot be understood.
    #[error("cannot use the preprocessor `{path}`: {reason}")]
    BadPreprocessor {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The caller asked to stop. Nothing that looks finished was left behind; what a task keeps to continue from, its documentation says.
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
