//! What the program `ligo-hub` tells whoever started it: a JSON object a line on standard output.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Error;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Message {
    /// A file that is on the hub.
    Listed {
        /// Its path in the repository.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// How far it is.
    Progress {
        /// Bytes that are through.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A file that is in the cache now.
    Local {
        /// Where.
        path: PathBuf,
    },
    /// Files that are on the hub now.
    Sent {
        /// Where people can look at them.
        url: String,
    },
    /// It went wrong; nothing follows.
    Failed {
        /// How.
        error: Error,
    },
}
