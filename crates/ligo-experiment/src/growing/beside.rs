//! Files beside the weights that say something else of the large model.

use std::collections::BTreeMap;
use std::path::Path;

use ligo_arch::ModelConfig;
use ligo_checkpoint::{JsonFile, read_json};
use serde_json::Value;

use super::Vocabulary;
use crate::{Failure, Listener};

const GENERATION: &str = "generation_config.json";
const TOKENIZER: &str = "tokenizer_config.json";

/// What takes the place of the small model's files of these names.
///
/// # Errors
/// One of them cannot be read.
pub fn replaced_beside(
    folder: &Path,
    small: &ModelConfig,
    large: &ModelConfig,
    vocabulary: Option<&Vocabulary>,
    listener: &dyn Listener,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let read = |name: &str| -> Result<Option<Value>, Failure> {
        let file = folder.join(name);
        Ok(file.is_file().then(|| read_json(&file, JsonFile::Config)).transpose()?)
    };
    let mut files = BTreeMap::new();
    let mut write = |name: &str, content: &Value| {
        let text = serde_json::to_string_pretty(content).unwrap_or_default();
        files.insert(name.to_owned(), format!("{text}\n").into_bytes());
    };
    if let Some(vocabulary) = vocabulary {
        if let Some(settings) = read(GENERATION)? {
            let (settings, dropped) = vocabulary.generation(settings);
            if !dropped.is_empty() {
                listener.say(&format!(
                    "{GENERATION}: left out, since the tokens that they name are not there any more: {}",
                    dropped.join(", ")
                ));
            }
            write(GENERATION, &settings);
        }
        return Ok(files);
    }
    let [before, after] = [small, large].map(ModelConfig::max_sequence_tokens);
    let longest = |settings: &Value| settings["model_max_length"].as_u64();
    if after > before
        && let Some(mut settings) = read(TOKENIZER)?
        && longest(&settings) == Some(before as u64)
    {
        settings["model_max_length"] = after.into();
        write(TOKENIZER, &settings);
    }
    Ok(files)
}
