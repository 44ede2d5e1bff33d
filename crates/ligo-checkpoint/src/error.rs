//! Everything that can go wrong, with the file, the tensor, what was expected and what was found.

use std::io;
use std::path::{Path, PathBuf};

use crate::advice::{CONVERT_COMMAND, half_fetched};
use crate::{Dtype, MANIFEST_FILE, Report};

/// An error of this crate.
///
/// Faults of a file's content name the file, and the tensor where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read, listed or locked.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb: "open", "list".
        action: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// A change to the file system failed, for example because the disk is full.
    #[error("cannot {action} {} ({bytes} bytes): {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb: "write", "sync", "rename".
        action: &'static str,
        /// Bytes this call had to write; 0 for calls that write no content.
        bytes: u64,
        /// What the system answered.
        source: io::Error,
    },
    /// There is not enough room for what is about to be written; nothing was written.
    #[error("not enough space for {}: {needed} bytes needed, {available} available", path.display())]
    NoSpace {
        /// What was to be written.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free for this user.
        available: u64,
    },
    /// The folder is in use by another process.
    #[error("{} is in use by process {}", path.display(), pid.map_or_else(|| "(unknown)".to_string(), |pid| pid.to_string()))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process that holds the lock, when it wrote its number.
        pid: Option<u32>,
    },
    /// A path is a directory, a device or a link where a regular file is expected.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },

    /// A path is a file or a device where a folder is expected.
    #[error("{} is {found}, expected a folder or a name that is free", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },

    /// A file is larger than any file of its kind.
    #[error("{}: {found} bytes, and a file of this kind has at most {most}", path.display())]
    FileTooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The most that is read.
        most: u64,
    },
    /// A file is something else than its name says.
    #[error("{}: this is {found}; {help}", file.display())]
    Disguised {
        /// The file.
        file: PathBuf,
        /// What it is.
        found: String,
        /// What to do.
        help: String,
    },
    /// A link in a model's folder leads out of it.
    #[error("{} is a link to {}, outside of the model's folder; copy the file there if it belongs to the model", path.display(), target.display())]
    LinkOutside {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },

    // One safetensors file.
    /// The file is too short to hold the length of its header.
    #[error("{}: expected at least 8 bytes, found {found}", file.display())]
    FileTooShort {
        /// The file.
        file: PathBuf,
        /// Its length in bytes.
        found: u64,
    },
    /// The declared header length is larger than the file or the limit.
    #[error("{}: header length is {declared} bytes, at most {limit} are possible", file.display())]
    HeaderLength {
        /// The file.
        file: PathBuf,
        /// What the file declares.
        declared: u64,
        /// The most that is accepted for this file.
        limit: u64,
    },
    /// The header is not the JSON object that the format asks for.
    #[error("{}: header{}: {message}", file.display(), tensor.as_ref().map_or_else(String::new, |name| format!(", tensor `{name}`")))]
    Header {
        /// The file.
        file: PathBuf,
        /// The entry that could not be read, when the fault is inside one.
        tensor: Option<String>,
        /// What the JSON parser says.
        message: String,
    },
    /// A tensor's name is empty, too long or contains control characters.
    #[error("{}: tensor name `{tensor}` {fault}", file.display())]
    TensorName {
        /// The file.
        file: PathBuf,
        /// The name, escaped and shortened.
        tensor: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A name occurs twice.
    #[error("{}: tensor `{tensor}` occurs twice", file.display())]
    DuplicateTensor {
        /// The file.
        file: PathBuf,
        /// The name.
        tensor: String,
    },
    /// The format has no such dtype.
    #[error("{}: tensor `{tensor}`: unknown dtype `{found}`", file.display())]
    UnknownDtype {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// The dtype's name as found.
        found: String,
    },
    /// A shape's product is more than the machine can address.
    #[error("{}: tensor `{tensor}`: shape {shape:?} is too large", file.display())]
    ShapeTooLarge {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape.
        shape: Vec<usize>,
    },
    /// The bytes reserved for a tensor do not match its dtype and shape.
    #[error("{}: tensor `{tensor}`: {dtype} {shape:?} takes {expected} bytes, its offsets span {found}", file.display())]
    TensorBytes {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its dtype.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// Bytes that dtype and shape ask for.
        expected: u64,
        /// Bytes between its offsets.
        found: u64,
    },
    /// A tensor's offsets are reversed, overlap the tensor before it, or leave a hole after it.
    #[error("{}: tensor `{tensor}`: expected to begin at byte {expected}, found {begin}..{end}", file.display())]
    Offsets {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Where the tensor before it ends.
        expected: u64,
        /// Begin as found.
        begin: u64,
        /// End as found.
        end: u64,
    },
    /// A tensor ends after the end of the file.
    #[error("{}: tensor `{tensor}` ends at byte {end} of the data, the file holds {available}", file.display())]
    OutOfRange {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its end offset.
        end: u64,
        /// Bytes of data in the file.
        available: u64,
    },
    /// The file goes on after the last tensor.
    #[error("{}: {found} bytes follow the last tensor, expected none", file.display())]
    TrailingBytes {
        /// The file.
        file: PathBuf,
        /// How many.
        found: u64,
    },

    // A model directory.
    /// The folder holds neither `model.safetensors` nor an index of shards.
    #[error("{}: expected model.safetensors or model.safetensors.index.json, found neither{}", path.display(), half_fetched(unfinished))]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// A file that a download left half.
        unfinished: Option<String>,
    },
    /// A file of PyTorch is not the zip archive that `torch.save` has written since version 1.6.
    #[error("{} is a Python pickle of PyTorch before 1.6 or something else, which ligo does not read; convert it in its folder with: {CONVERT_COMMAND}", path.display())]
    PytorchBin {
        /// The file.
        path: PathBuf,
    },
    /// A file of PyTorch is damaged, or holds no dictionary of tensors.
    #[error("{}: no dictionary of tensors that can be read: {reason}", file.display())]
    Pickle {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of PyTorch names something beyond tensors, which Python would run.
    #[error(
        "{}: its pickle names `{global}`, which a dictionary of plain tensors has no use for, and Python would call on loading; nothing was run. \
         Ask for a safetensors file, or, if you trust whoever made this one, save its tensors alone with PyTorch", file.display()
    )]
    PickleGlobal {
        /// The file.
        file: PathBuf,
        /// What it names.
        global: String,
    },
    /// `config.json` is absent.
    #[error("{}: expected a config.json, found none", path.display())]
    NoConfig {
        /// The folder or file that was opened.
        path: PathBuf,
    },
    /// A JSON file is malformed or larger than is plausible.
    #[error("{}: {message}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A shard's name in the index is not a plain file name.
    #[error("{}: tensor `{tensor}`: shard `{shard}` is not a file name inside this folder", index.display())]
    ShardOutside {
        /// The index.
        index: PathBuf,
        /// A tensor that is said to be in the shard.
        tensor: String,
        /// The shard's name as found, escaped.
        shard: String,
    },
    /// The index names a shard that does not exist.
    #[error("{}: shard `{shard}` does not exist; tensor `{tensor}` should be in it{}", index.display(), half_fetched(unfinished))]
    ShardMissing {
        /// The index.
        index: PathBuf,
        /// The first tensor that should be in the shard.
        tensor: String,
        /// The shard.
        shard: String,
        /// A file that a download left half.
        unfinished: Option<String>,
    },
    /// Two shards hold a tensor, and it is not the same.
    #[error("tensor `{tensor}` is in {} and in {}, and they differ", first.display(), second.display())]
    Contradiction {
        /// The tensor.
        tensor: String,
        /// One shard.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// Two tensors have the same name once aliases are applied.
    #[error("{}: tensors `{first}` and `{second}` both map to `{tensor}`", path.display())]
    AliasClash {
        /// The model.
        path: PathBuf,
        /// The name both map to.
        tensor: String,
        /// One stored name.
        first: String,
        /// The other stored name.
        second: String,
    },
    /// The model has no such tensor.
    #[error("{}: no tensor `{tensor}`", path.display())]
    NoTensor {
        /// The model.
        path: PathBuf,
        /// The name asked for.
        tensor: String,
    },
    /// The tensor's dtype cannot be read as `f32`.
    #[error("{}: tensor `{tensor}`: expected dtype F32, F64, F16 or BF16, found {found}", file.display())]
    NotFloat {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its dtype.
        found: Dtype,
    },
    /// The model does not fit its family's table.
    #[error("{} does not fit its architecture: {report}", path.display())]
    Mismatch {
        /// The model.
        path: PathBuf,
        /// Everything that is missing, misshapen, unreadable or extra.
        report: Box<Report>,
    },

    // Writing.
    /// Tensors must be written in the order in which they were declared.
    #[error("{}: expected tensor {}, got `{found}`", path.display(), expected.as_ref().map_or_else(|| "no further tensor".to_string(), |name| format!("`{name}`")))]
    WriteOrder {
        /// The model being written.
        path: PathBuf,
        /// The next declared tensor; `None` when all are written.
        expected: Option<String>,
        /// The tensor that was handed in.
        found: String,
    },
    /// A payload's length does not match its declaration.
    #[error("{}: tensor `{tensor}`: {expected} {unit} were declared, got {found}", path.display())]
    PayloadLength {
        /// The model being written.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// "elements" or "bytes".
        unit: &'static str,
        /// As declared.
        expected: usize,
        /// As handed in.
        found: usize,
    },
    /// The writer was finished before all declared tensors were written.
    #[error("{}: {missing} declared tensors were not written, the first is `{first}`", path.display())]
    Unfinished {
        /// The model being written.
        path: PathBuf,
        /// How many are missing.
        missing: usize,
        /// The first of them.
        first: String,
    },
    /// A finite value is too large for the dtype that was asked for.
    #[error("{}: tensor `{tensor}`: value {value} at element {element} does not fit {dtype}", path.display())]
    Overflow {
        /// The model being written.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Position in the flat tensor.
        element: usize,
        /// The value.
        value: f32,
        /// The dtype asked for.
        dtype: Dtype,
    },
    /// A dtype that values cannot be converted to.
    #[error("{}: tensor `{tensor}`: f32 values can be written as F32, F16 or BF16, {found} was declared", path.display())]
    NotWritable {
        /// The model being written.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The dtype declared.
        found: Dtype,
    },
    /// A name cannot be used for a file in an atomic directory.
    #[error("{}: `{name}` cannot be used as a file name here", path.display())]
    FileName {
        /// The directory.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// The directory to replace was not written by this crate and is not empty.
    #[error("{} exists, is not empty and has no {}; it is left as it is", path.display(), MANIFEST_FILE)]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },

    // Manifest.
    /// The directory has no manifest: it was not completed.
    #[error("{}: no {}, so the directory is incomplete", path.display(), MANIFEST_FILE)]
    NoManifest {
        /// The directory.
        path: PathBuf,
    },
    /// The manifest is not what this crate writes, byte for byte.
    #[error("{}: damaged manifest: {message}", path.display())]
    BadManifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The manifest is of another format version.
    #[error("{}: expected format version {expected}, found {found}", path.display())]
    ManifestVersion {
        /// The manifest.
        path: PathBuf,
        /// The version this crate writes.
        expected: u64,
        /// The version found.
        found: u64,
    },
    /// A file listed in the manifest is absent.
    #[error("{} is listed in the manifest and missing", path.display())]
    FileMissing {
        /// The file.
        path: PathBuf,
    },
    /// A file is not listed in the manifest.
    #[error("{} is not listed in the manifest", path.display())]
    FileExtra {
        /// The file.
        path: PathBuf,
    },
    /// A file's size differs from the manifest.
    #[error("{}: expected {expected} bytes, found {found}", path.display())]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Size in the manifest.
        expected: u64,
        /// Size on disk.
        found: u64,
    },
    /// A file's content differs from the manifest.
    #[error("{}: expected sha256 {expected}, found {found}", path.display())]
    FileHash {
        /// The file.
        path: PathBuf,
        /// Hash in the manifest.
        expected: String,
        /// Hash of the content.
        found: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io { path, action, source }
    }

    pub(crate) fn json(path: &Path, message: impl ToString) -> Error {
        Error::Json {
            path: path.to_path_buf(),
            message: message.to_string().chars().map(escaped).collect(),
        }
    }
}

/// Messages of parsers may quote the file.
fn escaped(c: char) -> String {
    if c.is_control() {
        c.escape_debug().to_string()
    } else {
        c.into()
    }
}
