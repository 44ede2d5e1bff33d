//! Writing tokenizer files as `transformers` reads them.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::around::ADD_BOS;
use super::files::{MERGES_TXT, SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG_JSON, TOKENIZER_JSON, VOCAB_JSON, VOCAB_TXT};
use super::{SpecialIds, Tokenizer, TokenizerKind, class};
use crate::store::{sync_folder, write_synced};
use crate::{Error, Result};

/// A file's name and what it holds.
pub(super) type Written = (&'static str, String);

impl Tokenizer {
    /// Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and, for a tokenizer as BERT's, `vocab.txt`, as GPT-2's and
    /// RoBERTa's `vocab.json` and `merges.txt` into an existing folder, so that
    /// `transformers.AutoTokenizer.from_pretrained(folder)` gives the same ids. A class is named only where it makes the same tokenizer of the vocabulary
    /// alone; all others are a `PreTrainedTokenizerFast`. The files are written in place, and are on the disk when this returns: put them into a folder
    /// that is renamed when whole. A tokenizer that was given goes along unchanged with [`Self::save_as_given`].
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadTokenizer`] when `tokenizers` cannot write its own description.
    pub fn save(&self, folder: &Path) -> Result<()> {
        for (name, text) in self.written()? {
            write_synced(&folder.join(name), text.as_bytes())?;
        }
        sync_folder(folder)
    }

    /// The files that [`Self::save`] writes.
    pub(super) fn written(&self) -> Result<Vec<Written>> {
        let mut files = Vec::new();
        let mut write = |name: &'static str, text: String| files.push((name, text));
        let bad = |reason: String| Error::BadTokenizer {
            path: TOKENIZER_JSON.into(),
            reason,
        };
        let description = self.inner.to_string(true).map_err(|error| bad(error.to_string()))?;
        let value: Value = serde_json::from_str(&description).map_err(|error| bad(error.to_string()))?;
        write(TOKENIZER_JSON, description);
        let mut names = Map::new();
        for (role, id) in self.special().roles() {
            if let Some(token) = id.and_then(|id| self.token(id)) {
                names.insert(role.to_owned(), token.into());
            }
        }
        mark_lstrip(&mut names, &value["added_tokens"]);
        write(SPECIAL_TOKENS_MAP, pretty(&Value::Object(names.clone())));
        let mut config = names;
        for token in config.values_mut().filter_map(Value::as_object_mut) {
            token.insert("__type".to_owned(), "AddedToken".into());
        }
        self.deny_spellings(&mut config);
        match class::of(&value, self.kind()) {
            Some(class @ "BertTokenizer") => {
                write(VOCAB_TXT, self.vocab_lines());
                let normalizer = &value["normalizer"];
                let flag = |name: &str| normalizer[name].as_bool().unwrap_or(false);
                config.insert("tokenizer_class".to_owned(), class.into());
                config.insert("do_lower_case".to_owned(), flag("lowercase").into());
                config.insert("strip_accents".to_owned(), normalizer["strip_accents"].clone());
                let chinese = flag("handle_chinese_chars");
                config.insert("tokenize_chinese_chars".to_owned(), chinese.into());
            }
            Some(class) => {
                write(VOCAB_JSON, compact(&value["model"]["vocab"], &value["added_tokens"]));
                write(MERGES_TXT, merge_lines(&value["model"]["merges"]));
                config.insert("tokenizer_class".to_owned(), class.into());
                let prefix = value["pre_tokenizer"]["add_prefix_space"] == true;
                config.insert("add_prefix_space".to_owned(), prefix.into());
            }
            None => {
                config.insert("tokenizer_class".to_owned(), "PreTrainedTokenizerFast".into());
            }
        }
        if self.document_start().is_some() && self.document_start() == self.special().bos {
            config.insert(ADD_BOS.to_owned(), true.into());
        }
        let byte_level = matches!(self.kind(), TokenizerKind::Gpt2 | TokenizerKind::Roberta);
        config.insert("clean_up_tokenization_spaces".to_owned(), json!(!byte_level));
        write(TOKENIZER_CONFIG_JSON, pretty(&Value::Object(config)));
        Ok(files)
    }

    /// Says `null` for parts that a reader would guess by a token's spelling though this tokenizer has no such part.
    fn deny_spellings(&self, config: &mut Map<String, Value>) {
        let guessed = SpecialIds::by_spelling(|token| self.id(token));
        for ((role, id), (_, guess)) in self.special().roles().into_iter().zip(guessed.roles()) {
            if id.is_none() && guess.is_some() {
                config.insert(role.to_owned(), Value::Null);
            }
        }
    }

    /// One token a line, in the order of their ids.
    fn vocab_lines(&self) -> String {
        let mut tokens: Vec<(u32, String)> = self
            .inner
            .get_vocab(true)
            .into_iter()
            .map(|(token, id)| (id, token))
            .collect();
        tokens.sort();
        tokens
            .into_iter()
            .flat_map(|(_, token)| [token, "\n".to_owned()])
            .collect()
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The model's vocabulary with the added tokens that it lacks, in the order of the ids.
fn compact(vocab: &Value, added: &Value) -> String {
    let mut entries: Vec<(u64, &str)> = vocab
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(token, id)| Some((id.as_u64()?, token.as_str())))
        .chain(
            added
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|token| Some((token["id"].as_u64()?, token["content"].as_str()?))),
        )
        .collect();
    entries.sort_unstable();
    entries.dedup();
    let object: Map<String, Value> = entries
        .into_iter()
        .map(|(id, token)| (token.to_owned(), id.into()))
        .collect();
    format!("{}\n", Value::Object(object))
}

fn merge_lines(merges: &Value) -> String {
    let mut text = "#version: 0.2\n".to_owned();
    for pair in merges.as_array().into_iter().flatten() {
        if let (Some(first), Some(second)) = (pair[0].as_str(), pair[1].as_str()) {
            text.push_str(&format!("{first} {second}\n"));
        }
    }
    text
}

/// A token that swallows the space before it, as RoBERTa's `<mask>` does, is written as an object that says so.
fn mark_lstrip(names: &mut Map<String, Value>, added: &Value) {
    let added = added.as_array().map(Vec::as_slice).unwrap_or_default();
    for value in names.values_mut() {
        if added.iter().any(|t| t["content"] == *value && t["lstrip"] == true) {
            *value =
                json!({"content": value, "lstrip": true, "normalized": false, "rstrip": false, "single_word": false});
        }
    }
}
