//! A `config.json` that a user wrote for a model that is yet to be made.

use std::path::Path;

use ligo_arch::{ModelConfig, Task};

use crate::Failure;

/// What does not grow, as a field that the large model's file may leave out, and its value.
pub fn kept(small: &ModelConfig) -> (&'static str, usize) {
    match small.task() {
        Task::ImageClassification { labels } => ("num_labels", labels),
        _ => ("vocab_size", small.vocab_size()),
    }
}

/// Reads a configuration file and adds one field, such as the vocabulary size, when the file leaves it out.
///
/// # Errors
/// The file cannot be read or is not a valid configuration.
pub fn read_config(path: &Path, (field, value): (&str, usize)) -> Result<ModelConfig, Failure> {
    let text = std::fs::read(path).map_err(Failure::io("read", path))?;
    let not_json = |e: serde_json::Error| {
        Failure::other(
            format!("{} is not JSON: {e}", path.display()),
            "expected a Hugging Face config.json",
        )
    };
    let mut json: serde_json::Value = serde_json::from_slice(&text).map_err(not_json)?;
    if let Some(fields) = json.as_object_mut() {
        let named = field == "num_labels" && fields.contains_key("id2label");
        if !named {
            fields.entry(field).or_insert_with(|| value.into());
        }
    }
    Ok(ModelConfig::from_json(&json)?)
}
