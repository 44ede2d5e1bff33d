//! Ranges of numbers in settings.

use crate::{Error, Result};

/// Refuses a number outside of its range.
pub(super) fn check_range(name: &'static str, value: f64, low: f64, high: f64) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let expected = match (low, high) {
        (0.0, 1.0) => "between 0 and 1",
        (0.0, 10.0) => "between 0 and 10",
        (0.0, 100.0) => "between 0 and 100",
        (0.0, 1e3) => "between 0 and 1000",
        _ => "between 0 and 1, the least first",
    };
    Err(Error::BadSetting {
        name,
        expected,
        found: value.to_string(),
    })
}
