//! Why what a model computes cannot be written, read or compared.

use std::path::{Path, PathBuf};

use ligo_pretrained::LoadError;

/// The errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model cannot be computed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A dump cannot be read.
    #[error(transparent)]
    Dump(#[from] ligo_checkpoint::Error),
    /// A dump does not hold what it should.
    #[error("{}: {reason}", path.display())]
    BadDump {
        /// The dump.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A dump cannot be written.
    #[error(transparent)]
    Replace(#[from] ligo_metrics::Error),
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The device returned something that cannot be read.
    #[error("the device returned unreadable data: {0}")]
    Device(String),
    /// The reference reads other tensors from the directory than ligo.
    #[error("{library} finds missing keys [{missing}], unexpected keys [{unexpected}], misshapen keys [{mismatched}]")]
    Keys {
        /// `transformers` or `timm`.
        library: &'static str,
        /// Keys that it lacks.
        missing: String,
        /// Keys that it has no place for.
        unexpected: String,
        /// Keys of other shapes.
        mismatched: String,
    },
    /// The Python that was named cannot be used.
    #[error("{program} cannot compare: {reason}")]
    Python {
        /// The program.
        program: String,
        /// Why.
        reason: String,
    },
}

/// `path` for messages of [`Error::Write`].
pub(crate) fn write_error(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Write {
        path: path.clone(),
        source,
    }
}
