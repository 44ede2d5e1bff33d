//! Reading `metrics.jsonl`.

use std::path::Path;

use crate::{Error, Record, Result, files};

/// Reads all complete records of a metrics file.
///
/// A last line without its line break was torn by a kill or a full disk and is left out.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::BadRecord`] when a complete line is no record.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Record>> {
    let path = path.as_ref();
    let bytes = files::read(path)?;
    complete_lines(path, &bytes).map(|line| Ok(line?.record)).collect()
}

/// A record and where its line ends in the file.
pub(super) struct Line {
    pub record: Record,
    pub end: u64,
}

/// The records of all lines that end in a line break; nothing after the first one that is no record.
pub(super) fn complete_lines(path: &Path, bytes: &[u8]) -> impl Iterator<Item = Result<Line>> {
    let (mut start, mut number, mut ended) = (0, 0, false);
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let length = bytes[start..].iter().position(|&byte| byte == b'\n')?;
        number += 1;
        let record = serde_json::from_slice(&bytes[start..start + length]).map_err(|source| Error::BadRecord {
            path: path.to_path_buf(),
            line: number,
            source,
        });
        ended = record.is_err();
        start += length + 1;
        let end = start as u64;
        Some(record.map(|record| Line { record, end }))
    })
}
