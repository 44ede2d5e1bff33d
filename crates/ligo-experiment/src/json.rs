//! JSON that people read.

use serde::Serialize;

use crate::Failure;

/// A value as people read JSON.
///
/// # Errors
/// It has no JSON.
pub fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(Failure::fault)
}
