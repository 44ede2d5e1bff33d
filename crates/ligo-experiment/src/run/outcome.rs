//! What a training run leaves: the trained model, and what it did in numbers.

use std::path::Path;

use ligo_train::TrainResult;

use super::stage::{self, read_json};
use crate::Failure;
use crate::files::write_json;

/// What a training run did.
pub(super) const RESULT_JSON: &str = "result.json";
/// The trained model.
pub(super) const MODEL: &str = "model";

/// Writes what a run did.
///
/// # Errors
/// The folder cannot be written.
pub fn save_result(folder: &Path, result: &TrainResult) -> Result<(), Failure> {
    write_json(&folder.join(RESULT_JSON), result)
}

/// Reads what a run did.
///
/// # Errors
/// The file is missing or damaged.
pub fn read_result(folder: &Path) -> Result<TrainResult, Failure> {
    stage::check_file(folder, RESULT_JSON)?;
    read_json(&folder.join(RESULT_JSON))
}
