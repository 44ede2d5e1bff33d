use serde::Serialize;

use crate::Failure;

/// A value as people read JSON.
///
/// # Errors
/// It has no JSON.
pub fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Failure::other(error.to_string(), "this is a fault of ligo; please report it"))
}
