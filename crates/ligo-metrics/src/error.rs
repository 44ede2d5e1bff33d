//! What can go wrong while the numbers of a run are written or read.

use std::path::{Path, PathBuf};

/// The errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A line of `metrics.jsonl` (not the last, which may be torn) is no record.
    #[error("{path}, line {line}: expected a metrics record, found something else ({source})")]
    BadRecord {
        /// The metrics file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },

    /// A record would go back in time.
    #[error("{path}: expected a {kind} record after step {last}, found step {found}")]
    StepOrder {
        /// The metrics file.
        path: PathBuf,
        /// `train`, `eval` or `event`.
        kind: &'static str,
        /// The last step of this kind in the file.
        last: u64,
        /// The step that was offered.
        found: u64,
    },

    /// A value could not be written as JSON.
    #[error("cannot write {what} as JSON: {source}")]
    Encode {
        /// What was to be written.
        what: &'static str,
        /// What the encoder said.
        source: serde_json::Error,
    },
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

/// Short for a result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
