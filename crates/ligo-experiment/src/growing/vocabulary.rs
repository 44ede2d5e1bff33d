//! Another tokenizer for the large model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ligo_arch::{ModelConfig, Task};
use ligo_data::Tokenizer;
use ligo_pretrained::Source;
use serde_json::Value;
use tempfile::TempDir;

use crate::run::text::{Opened, open_tokenizer};
use crate::{Failure, Listener};

/// A new vocabulary in terms of the small model's.
pub struct Vocabulary {
    /// For each new token the old ones that it is made of.
    pub pieces: Arc<Vec<Vec<u32>>>,
    /// Tells it from others.
    pub hash: String,
    /// The folder whose files go with the model.
    pub files: PathBuf,
    /// The numbers of special tokens, as configurations call them.
    pub special: Vec<(&'static str, Option<usize>)>,
    /// Where `files` was written for the purpose.
    _written: Option<TempDir>,
}

/// The folder of its files: as they were given where they say whose they are, since `transformers` takes those of the model's family otherwise.
fn files(new: &Opened, given: &Path) -> Result<(PathBuf, Option<TempDir>), Failure> {
    let folder = new.given.clone().unwrap_or_else(|| given.to_path_buf());
    let config = std::fs::read(folder.join("tokenizer_config.json")).ok();
    let config: Option<Value> = config.and_then(|text| serde_json::from_slice(&text).ok());
    let names_class = config.is_some_and(|config| config["tokenizer_class"].is_string());
    if names_class && folder.join("tokenizer.json").is_file() {
        return Ok((folder, None));
    }
    let written = tempfile::tempdir().map_err(Failure::io("create", &std::env::temp_dir()))?;
    new.tokenizer.save(written.path())?;
    Ok((written.path().to_path_buf(), Some(written)))
}

impl Vocabulary {
    /// Opens a tokenizer and translates its tokens into those of the model's own.
    ///
    /// # Errors
    /// One of the two cannot be read.
    pub fn open(given: &Path, small: &Source, listener: &dyn Listener) -> Result<Self, Failure> {
        let own = small.dir.path();
        if !Tokenizer::is_in(own) {
            return Err(Failure::other(
                format!(
                    "{} has no tokenizer of its own, whose tokens those of --tokenizer could take over",
                    own.display()
                ),
                "put the files of its tokenizer beside its weights, or leave --tokenizer out",
            ));
        }
        let new = open_tokenizer(given, listener)?;
        let old = open_tokenizer(own, listener)?.tokenizer;
        let pieces = new.tokenizer.in_terms_of(&old)?;
        let count = |test: &dyn Fn(&Vec<u32>) -> bool| pieces.iter().filter(|pieces| test(pieces)).count();
        listener.say(&format!(
            "tokenizer: of {} tokens {} begin as one of the small model's, {} as the mean of their pieces there, {} have none",
            pieces.len(),
            count(&|pieces| pieces.len() == 1),
            count(&|pieces| pieces.len() > 1),
            count(&Vec::is_empty),
        ));
        let special = new.tokenizer.special();
        if small.config.task() == Task::MaskedLm && special.mask.is_none() {
            listener.say("tokenizer: it has no token that hides another one; training with masked words needs one");
        }
        let (files, written) = files(&new, given)?;
        let named = [
            ("pad_token_id", special.pad),
            ("bos_token_id", special.bos.or(special.cls)),
            ("eos_token_id", special.eos.or(special.sep)),
        ];
        Ok(Self {
            pieces: Arc::new(pieces),
            hash: new.tokenizer.hash().to_owned(),
            files,
            special: named.map(|(field, id)| (field, id.map(|id| id as usize))).to_vec(),
            _written: written,
        })
    }

    /// The model with this vocabulary, filled up to a multiple where one is given.
    ///
    /// # Errors
    /// Its positions would be counted from another padding.
    pub fn of(&self, config: &ModelConfig, multiple: Option<usize>) -> Result<ModelConfig, Failure> {
        let entries = match multiple.filter(|multiple| *multiple > 0) {
            Some(multiple) => self.pieces.len().next_multiple_of(multiple),
            None => self.pieces.len(),
        };
        let padding = match config {
            ModelConfig::Bert(bert) => bert.position_padding(),
            _ => None,
        };
        let own = self.special.iter().find(|(field, _)| *field == "pad_token_id");
        let own = own.and_then(|(_, id)| *id);
        if padding.is_some() && own != padding {
            let found = own.map_or("none".to_owned(), |id| id.to_string());
            return Err(Failure::other(
                format!(
                    "this model counts its positions from its padding token, number {}; that of --tokenizer is {found}",
                    padding.unwrap_or_default()
                ),
                "give the padding token of the new tokenizer the number that it has in the small model's",
            ));
        }
        Ok(config.with_vocabulary(entries, &self.special)?)
    }

    /// What `generation_config.json` says, with the numbers that its special tokens have now; those of tokens that are there no more are left out. Returned
    /// with it is what was left out.
    pub fn generation(&self, mut settings: Value) -> (Value, Vec<String>) {
        let mut dropped = Vec::new();
        if let Some(fields) = settings.as_object_mut() {
            for (field, id) in &self.special {
                if let (Some(known), Some(id)) = (fields.get_mut(*field), id) {
                    *known = (*id).into();
                }
            }
            let is_known = |name: &str| self.special.iter().any(|(field, id)| *field == name && id.is_some());
            let names_tokens =
                |name: &str| name.ends_with("token_id") || name.ends_with("token_ids") || TOKENS.contains(&name);
            let stale = fields.keys().filter(|name| names_tokens(name) && !is_known(name));
            dropped = stale.cloned().collect();
            dropped.iter().for_each(|name| drop(fields.shift_remove(name)));
        }
        (settings, dropped)
    }
}

/// Settings of a generation that name tokens by their numbers.
const TOKENS: [&str; 5] = [
    "suppress_tokens",
    "begin_suppress_tokens",
    "bad_words_ids",
    "force_words_ids",
    "forced_decoder_ids",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_of_a_generation_follow_the_tokens() {
        let vocabulary = Vocabulary {
            pieces: Arc::default(),
            hash: String::new(),
            files: PathBuf::new(),
            special: vec![
                ("eos_token_id", Some(3)),
                ("bos_token_id", Some(1)),
                ("pad_token_id", None),
            ],
            _written: None,
        };
        let before = json!({"eos_token_id": [50256, 7], "pad_token_id": 0, "temperature": 0.7, "suppress_tokens": [9], "max_new_tokens": 20});
        let (after, dropped) = vocabulary.generation(before);
        assert_eq!(
            after,
            json!({"eos_token_id": 3, "temperature": 0.7, "max_new_tokens": 20})
        );
        assert_eq!(dropped, ["pad_token_id", "suppress_tokens"]);
    }
}
