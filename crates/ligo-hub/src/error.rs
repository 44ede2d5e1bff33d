use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What can go wrong between an address and a file. The program `ligo-hub` tells it to whoever started it.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Error {
    /// A text begins with `hf://` and is not an address on the hub.
    #[error("`{address}` is not an address on the hub: expected {expected}")]
    BadAddress {
        /// The text.
        address: String,
        /// What should stand there.
        expected: String,
    },
    /// The hub has no such repository, revision or path.
    #[error("`{address}` is not on the hub: there is no such {what}")]
    NotFound {
        /// The address.
        address: String,
        /// What is missing.
        what: Missing,
    },
    /// The repository is there and holds nothing that is looked for.
    #[error("`{address}` holds no {wanted}; there are {found}")]
    NothingWanted {
        /// The address.
        address: String,
        /// What was looked for.
        wanted: String,
        /// The first files that are there.
        found: String,
    },
    /// The hub wants to know who asks.
    #[error(
        "the hub refuses `{address}` (HTTP {status}): it is private or gated, or does not exist; accept its conditions on {endpoint} and set HF_TOKEN to a token of an account that may read it"
    )]
    Denied {
        /// The address.
        address: String,
        /// 401 without a valid token, 403 with one that may not.
        status: u16,
        /// The server.
        endpoint: String,
    },
    /// The hub takes no files from who asks.
    #[error(
        "the hub does not let this account write to {repository} (HTTP {status}); set HF_TOKEN to a token that may write there, from {endpoint}/settings/tokens"
    )]
    MayNotWrite {
        /// `OWNER/NAME`.
        repository: String,
        /// 401 without a valid token, 403 with one that may not.
        status: u16,
        /// The server.
        endpoint: String,
    },
    /// HF_HUB_OFFLINE forbids to ask the hub, and the cache does not have it.
    #[error("`{address}` is not in the cache `{}`, and HF_HUB_OFFLINE forbids to download it", cache.display())]
    NotCached {
        /// The address.
        address: String,
        /// The folder of the cache.
        cache: PathBuf,
    },
    /// A file of the cache is a link that leads nowhere.
    #[error(
        "`{address}` is in the cache, but `{}` there is a link to `{}`, which does not exist; remove the link, and it is downloaded again",
        link.display(), target.display()
    )]
    BrokenLink {
        /// The address.
        address: String,
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// HF_HUB_OFFLINE forbids to ask the hub.
    #[error("HF_HUB_OFFLINE forbids to upload {repository}")]
    Offline {
        /// `OWNER/NAME`.
        repository: String,
    },
    /// The hub cannot be reached or answers something strange.
    #[error("cannot get `{address}` from the hub: {reason}")]
    Failed {
        /// The address, or the server.
        address: String,
        /// The chain of reasons.
        reason: String,
    },
    /// Files cannot be sent.
    #[error("cannot upload to {repository}: {reason}")]
    NotSent {
        /// `OWNER/NAME`.
        repository: String,
        /// The chain of reasons.
        reason: String,
    },
    /// The program that talks to the hub is not there.
    #[error(
        "`{wanted}` needs the program ligo-hub, which is neither beside ligo nor in PATH; build it with `cargo build --release --package ligo-hub --features client`, or start ligo by `cargo xtask`, which does"
    )]
    NoHelper {
        /// The address, or what was to be done.
        wanted: String,
    },
    /// The program that talks to the hub does not do its work.
    #[error("{program} ended without an answer ({reason})")]
    Helper {
        /// The program.
        program: PathBuf,
        /// How it ended, with what it wrote last.
        reason: String,
    },
    /// The caller asked to stop.
    #[error("stopped as asked")]
    Interrupted,
}

/// What is missing on the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Nobody of that name has a repository of that name.
    Repository,
    /// No branch, tag or commit.
    Revision,
    /// No file, no folder.
    Path,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Repository => "repository",
            Self::Revision => "revision",
            Self::Path => "path",
        })
    }
}
