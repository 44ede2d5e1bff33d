//! The record of how far an unfinished store is.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder::{sync_folder, write_synced};
use super::info::StoreInfo;
use crate::hash::sha256_hex;
use crate::{Error, Result};

/// Another version may tokenize or frame documents otherwise, so it begins anew.
const MADE_BY: &str = env!("CARGO_PKG_VERSION");

/// An unfinished store as of the end of some document: everything before it is tokenized and on the disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    made_by: String,
    /// Documents taken from the corpus, also those without a token.
    pub texts: u64,
    /// The description of a store that ended here.
    pub store: StoreInfo,
}

impl Progress {
    pub(super) fn new(texts: u64, store: StoreInfo) -> Self {
        Self {
            made_by: MADE_BY.to_owned(),
            texts,
            store,
        }
    }

    /// Replaces the record: a line of JSON and a line with its SHA-256. The tokens it speaks of must be on the disk.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string(self)
            .map_err(io::Error::other)
            .map_err(Error::io("write", path))?;
        let new = path.with_extension("new");
        write_synced(&new, format!("{json}\n{}\n", sha256_hex(json.as_bytes())).as_bytes())?;
        fs::rename(&new, path).map_err(Error::io("write", path))?;
        path.parent().map_or(Ok(()), sync_folder)
    }

    /// Reads a record; `None` when there is none, and as a reason when it is of no use to a store that begins like `store`.
    pub(super) fn read(path: &Path, store: &StoreInfo) -> Result<Option<std::result::Result<Self, &'static str>>> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(Error::io("read", path))?,
        };
        let Some(progress) = Self::parse(&bytes) else {
            return Ok(Some(Err("the record of its progress is damaged")));
        };
        let same_format = progress.store.format_version == store.format_version;
        Ok(Some(if progress.made_by != MADE_BY || !same_format {
            Err("it was begun by another version of this program")
        } else if !progress.store.is_made_like(store) {
            Err("it was begun with another tokenizer")
        } else {
            Ok(progress)
        }))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (json, hash) = text.strip_suffix('\n')?.split_once('\n')?;
        if sha256_hex(json.as_bytes()) != hash {
            return None;
        }
        serde_json::from_str(json).ok()
    }
}
