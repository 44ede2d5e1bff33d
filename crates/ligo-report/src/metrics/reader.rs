//! Reading `metrics.jsonl`.

use std::path::Path;

use super::Record;
use crate::{Error, Result};

/// Reads all complete records of a metrics file.
///
/// A last line without its line break was torn by a kill or a full disk and is left out.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::BadRecord`] when a complete line is no record.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Record>> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    Ok(complete_lines(path, &bytes)?
        .into_iter()
        .map(|line| line.record)
        .collect())
}

/// A record and where its line ends in the file.
pub(super) struct Line {
    pub record: Record,
    pub end: u64,
}

/// The records of all lines that end in a line break.
pub(super) fn complete_lines(path: &Path, bytes: &[u8]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut start = 0;
    while let Some(length) = bytes[start..].iter().position(|&byte| byte == b'\n') {
        let record = serde_json::from_slice(&bytes[start..start + length]).map_err(|source| Error::BadRecord {
            path: path.to_path_buf(),
            line: lines.len() + 1,
            source,
        })?;
        start += length + 1;
        lines.push(Line {
            record,
            end: start as u64,
        });
    }
    Ok(lines)
}
