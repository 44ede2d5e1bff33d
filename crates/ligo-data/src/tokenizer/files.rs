//! Reading tokenizer files as Hugging Face lays them out.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::Tokenizer;
use super::bert::BertStyle;
use super::byte_level::{Bpe, BpeFlavour, END_OF_TEXT};
use crate::{Error, Result, input};

pub(super) const TOKENIZER_JSON: &str = "tokenizer.json";
pub(super) const VOCAB_TXT: &str = "vocab.txt";
pub(super) const VOCAB_JSON: &str = "vocab.json";
pub(super) const MERGES_TXT: &str = "merges.txt";
pub(super) const TOKENIZER_CONFIG_JSON: &str = "tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
pub(super) const ADDED_TOKENS: &str = "added_tokens.json";
const CONFIG_JSON: &str = "config.json";
/// What is looked for in a folder, in this order.
const OPENED: [&str; 3] = [TOKENIZER_JSON, VOCAB_JSON, VOCAB_TXT];

fn found_in(folder: &Path) -> Option<&'static str> {
    OPENED.into_iter().find(|name| folder.join(name).is_file())
}

impl Tokenizer {
    /// Opens a tokenizer: a folder with `tokenizer.json` (preferred), GPT-2's or RoBERTa's `vocab.json` and `merges.txt`, or a BERT
    /// `vocab.txt`; or one of these files itself.
    ///
    /// The `tokenizer_config.json` beside it, if any, says which special tokens there are (and `special_tokens_map.json` where that says nothing), for `vocab.txt` also `do_lower_case` (default true),
    /// `strip_accents` and `tokenize_chinese_chars`, and for `vocab.json` `add_prefix_space` (default false). Whether a `vocab.json` is
    /// GPT-2's or RoBERTa's is told by the class named there, else by the model type in `config.json`, else by its special tokens.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotUtf8`], [`Error::BadTokenizer`], [`Error::DuplicateToken`], [`Error::BadMerge`],
    /// [`Error::MissingSpecialToken`].
    pub fn open(path: &Path) -> Result<Self> {
        let file = if path.is_dir() {
            let found = found_in(path);
            path.join(found.ok_or_else(|| Error::BadTokenizer {
                path: path.to_path_buf(),
                reason: format!("the folder holds none of {}", OPENED.join(", ")),
            })?)
        } else {
            path.to_path_buf()
        };
        let config = config_beside(&file)?;
        match file.file_name().and_then(|name| name.to_str()) {
            Some(VOCAB_JSON | MERGES_TXT) => Self::open_bpe(&file.with_file_name(VOCAB_JSON), &config),
            Some(name) if name.ends_with(".json") => {
                let bytes = input::read(&file, input::VOCABULARY)?;
                refuse_empty(&file, &bytes)?;
                Self::read(&file, &bytes, &config)
            }
            _ => Self::open_vocab(&file, &config),
        }
    }

    /// Whether a folder holds a tokenizer that [`Self::open`] would read.
    pub fn is_in(folder: &Path) -> bool {
        found_in(folder).is_some()
    }

    fn open_vocab(path: &Path, config: &Value) -> Result<Self> {
        let text = read_some(path)?;
        let mut first_lines = HashMap::new();
        let mut tokens = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            if let Some(first_line) = first_lines.insert(line, line_number) {
                return Err(Error::DuplicateToken {
                    path: path.to_path_buf(),
                    line: line_number,
                    first_line,
                    token: line.to_owned(),
                });
            }
            tokens.push(line.to_owned());
        }
        Self::from_wordpiece(path, &tokens, &BertStyle::of(config), config)
    }

    fn open_bpe(path: &Path, config: &Value) -> Result<Self> {
        let vocab = read_vocab(path)?;
        let merges = read_merges(&path.with_file_name(MERGES_TXT))?;
        let model = read_json(&path.with_file_name(CONFIG_JSON))?.unwrap_or_default();
        let flavour = flavour(path, &vocab, config, &model)?;
        Self::from_bpe(path, &Bpe { vocab, merges }, flavour, config)
    }
}

/// GPT-2 or RoBERTa: by the tokenizer's class, else by the model's type, else by the special tokens.
fn flavour(path: &Path, vocab: &[(String, u32)], config: &Value, model: &Value) -> Result<BpeFlavour> {
    for named in [&config["tokenizer_class"], &config["model_type"], &model["model_type"]] {
        let name = named.as_str().unwrap_or_default().to_ascii_lowercase();
        // `GPT2TokenizerFast`, `RobertaTokenizer`, `gpt2`, `roberta`.
        if name.starts_with("gpt2") {
            return Ok(BpeFlavour::Gpt2);
        } else if name.starts_with("roberta") {
            return Ok(BpeFlavour::Roberta);
        }
    }
    let has = |token: &str| vocab.iter().any(|(t, _)| t == token);
    // RoBERTa's published vocabulary still holds GPT-2's `<|endoftext|>`.
    if has("<s>") && has("<mask>") {
        Ok(BpeFlavour::Roberta)
    } else if has(END_OF_TEXT) {
        Ok(BpeFlavour::Gpt2)
    } else {
        Err(Error::BadTokenizer {
            path: path.to_path_buf(),
            reason: format!("it has neither GPT-2's `{END_OF_TEXT}` nor RoBERTa's `<s>` and `<mask>`"),
        })
    }
}

/// `vocab.json`: one object, token to id. No id may stand for two tokens.
fn read_vocab(path: &Path) -> Result<Vec<(String, u32)>> {
    let bad = |reason: String| Error::BadTokenizer {
        path: path.to_path_buf(),
        reason,
    };
    let text = read_some(path)?;
    let entries: serde_json::Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| bad(format!("expected one object, token to id: {error}")))?;
    let mut vocab = Vec::with_capacity(entries.len());
    let mut owners: HashMap<u32, String> = HashMap::with_capacity(entries.len());
    for (token, value) in entries {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        let id = id.ok_or_else(|| bad(format!("expected an id for `{token}`, found {value}")))?;
        if let Some(other) = owners.insert(id, token.clone()) {
            return Err(bad(format!("`{other}` and `{token}` both have the id {id}")));
        }
        vocab.push((token, id));
    }
    Ok(vocab)
}

/// The text of a vocabulary that is not empty.
fn read_some(path: &Path) -> Result<String> {
    let text = input::read_text(path, input::VOCABULARY)?;
    refuse_empty(path, text.as_bytes())?;
    Ok(text)
}

/// A file without content is what a failed download leaves, and its name deserves to be told.
fn refuse_empty(path: &Path, content: &[u8]) -> Result<()> {
    match content.iter().all(u8::is_ascii_whitespace) {
        true => Err(Error::BadTokenizer {
            path: path.to_path_buf(),
            reason: "the file is empty; copy or download it again".to_owned(),
        }),
        false => Ok(()),
    }
}

/// `merges.txt`: two tokens a line; a first line `#version: …` is a comment.
fn read_merges(path: &Path) -> Result<Vec<(String, String)>> {
    let text = input::read_text(path, input::VOCABULARY)?;
    let mut merges = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || index == 0 && line.starts_with("#version") {
            continue;
        }
        let pair = line.split_once(' ');
        let (first, second) = pair
            .filter(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains(' '))
            .ok_or_else(|| Error::BadMerge {
                path: path.to_path_buf(),
                line: index + 1,
                found: line.chars().take(80).collect(),
            })?;
        merges.push((first.to_owned(), second.to_owned()));
    }
    Ok(merges)
}

/// What `tokenizer_config.json` says, with the special tokens that only `special_tokens_map.json` names.
fn config_beside(file: &Path) -> Result<Value> {
    let config = read_json(&file.with_file_name(TOKENIZER_CONFIG_JSON))?;
    let Some(Value::Object(map)) = read_json(&file.with_file_name(SPECIAL_TOKENS_MAP))? else {
        return Ok(config.unwrap_or_default());
    };
    let mut config = match config {
        Some(Value::Object(config)) => config,
        _ => serde_json::Map::new(),
    };
    for (role, token) in map {
        let said = config.entry(role).or_insert(Value::Null);
        if said.is_null() {
            *said = token;
        }
    }
    Ok(Value::Object(config))
}

/// The contents of a JSON file; `None` when it is not there.
fn read_json(path: &Path) -> Result<Option<Value>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = input::read_text(path, input::CONFIG)?;
    let value = serde_json::from_str(&text).map_err(|error| Error::BadTokenizer {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    Ok(Some(value))
}
