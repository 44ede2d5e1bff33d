//! Small files that appear whole or not at all.

use std::path::Path;

use serde::Serialize;

use crate::Failure;
use crate::json::pretty;

/// Writes a small file of JSON by one rename.
///
/// # Errors
/// The folder cannot be written.
pub fn write_json(path: &Path, content: &impl Serialize) -> Result<(), Failure> {
    let text = pretty(content)?;
    write_whole(path, text.as_bytes())
}

/// Writes a small file by one rename.
///
/// # Errors
/// The folder cannot be written.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), Failure> {
    Ok(ligo_metrics::files::replace(path, content)?)
}
