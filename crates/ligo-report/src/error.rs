//! What can go wrong while a report is written or read.

use std::path::PathBuf;

/// The errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] ligo_metrics::Error),

    /// A summary is not what this version writes.
    #[error("{path}: not a summary of a comparison ({source})")]
    BadSummary {
        /// The summary file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },

    /// A summary was written by a newer version.
    #[error("{path}: expected a summary of format {expected} or older, found format {found}")]
    SummaryFormat {
        /// The summary file.
        path: PathBuf,
        /// The newest format this version reads.
        expected: u32,
        /// The format of the file.
        found: u32,
    },

    /// A value could not be written as JSON.
    #[error("cannot write {what} as JSON: {source}")]
    Encode {
        /// What was to be written.
        what: &'static str,
        /// What the encoder said.
        source: serde_json::Error,
    },

    /// A matrix does not hold as many numbers as its shape says.
    #[error("matrix {name}: expected {rows} × {columns} = {expected} values, found {found}")]
    MatrixShape {
        /// The matrix.
        name: String,
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// Rows times columns.
        expected: usize,
        /// How many values there are.
        found: usize,
    },

    /// A picture could not be turned into pixels.
    #[error("cannot draw the picture: {reason}")]
    Picture {
        /// Why.
        reason: String,
    },
}

/// Short for a result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
