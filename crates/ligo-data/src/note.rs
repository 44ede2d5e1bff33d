//! What a long task tells its caller beside progress.

use std::path::PathBuf;

/// Something a user may want to know about a task that goes on all the same. It is written for people by `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A store that was begun earlier is continued.
    Continued {
        /// The store.
        path: PathBuf,
        /// Documents that need not be tokenized again.
        documents: u64,
        /// Their tokens, with those between them.
        tokens: u64,
    },
    /// A store that was begun earlier cannot be continued and is built from the start.
    BegunAnew {
        /// The store.
        path: PathBuf,
        /// What does not fit, as a sentence without its full stop.
        reason: &'static str,
    },
    /// Lines of JSONL and rows of parquet without text were left out.
    WithoutText {
        /// How many.
        count: u64,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Continued {
                path,
                documents,
                tokens,
            } => write!(
                f,
                "`{}` was begun earlier: continuing behind its {documents} documents ({tokens} tokens)",
                path.display()
            ),
            Self::BegunAnew { path, reason } => write!(
                f,
                "`{}` was begun earlier and cannot be continued: {reason}; beginning anew",
                path.display()
            ),
            Self::WithoutText { count } => write!(f, "{count} lines or rows have no text and are left out"),
        }
    }
}
