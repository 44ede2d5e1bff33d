//! Reading and writing tokenizer files as Hugging Face lays them out.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Tokenizer;
use super::train::BertStyle;
use crate::{Error, Result};

const TOKENIZER_JSON: &str = "tokenizer.json";
const VOCAB_TXT: &str = "vocab.txt";
const CONFIG_JSON: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";

impl Tokenizer {
    /// Opens a tokenizer: a folder with `tokenizer.json` (preferred) or a BERT `vocab.txt`, or one of these files itself. With `vocab.txt`
    /// the `tokenizer_config.json` beside it, if any, says `do_lower_case` (default true), `strip_accents` and `tokenize_chinese_chars`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadTokenizer`], [`Error::DuplicateToken`], [`Error::MissingSpecialToken`].
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            let is_json = path.extension().is_some_and(|extension| extension == "json");
            return if is_json {
                Self::open_json(path)
            } else {
                Self::open_vocab(path)
            };
        }
        let (json_file, vocab_file) = (path.join(TOKENIZER_JSON), path.join(VOCAB_TXT));
        if json_file.is_file() {
            Self::open_json(&json_file)
        } else if vocab_file.is_file() {
            Self::open_vocab(&vocab_file)
        } else {
            Err(Error::BadTokenizer {
                path: path.to_path_buf(),
                reason: format!("the folder holds neither {TOKENIZER_JSON} nor {VOCAB_TXT}"),
            })
        }
    }

    fn open_json(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        Self::from_json(path, &bytes)
    }

    fn open_vocab(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let text = String::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
            path: path.to_path_buf(),
            offset: error.utf8_error().valid_up_to() as u64,
        })?;
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
        let style = read_style(&path.with_file_name(CONFIG_JSON))?;
        Self::from_wordpiece(path, &tokens, &style)
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and, for a WordPiece tokenizer, `vocab.txt` into an existing
    /// folder, so that `transformers.AutoTokenizer.from_pretrained(folder)` gives the same ids. The files are written in place: put them into a
    /// folder that is renamed when whole.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadTokenizer`] when `tokenizers` cannot write its own description.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(Error::io("write", &path))
        };
        let description = self.inner.to_string(true).map_err(|error| Error::BadTokenizer {
            path: folder.join(TOKENIZER_JSON),
            reason: error.to_string(),
        })?;
        let value: Value = serde_json::from_str(&description).map_err(|error| Error::BadTokenizer {
            path: folder.join(TOKENIZER_JSON),
            reason: error.to_string(),
        })?;
        write(TOKENIZER_JSON, description)?;
        let special = self.special();
        let token = |id| self.token(id).unwrap_or_default();
        let mut names = serde_json::Map::new();
        for (name, id) in [
            ("unk_token", special.unk),
            ("sep_token", special.sep),
            ("pad_token", special.pad),
            ("cls_token", special.cls),
            ("mask_token", special.mask),
        ] {
            names.insert(name.to_owned(), token(id).into());
        }
        write(SPECIAL_TOKENS_MAP, pretty(&Value::Object(names.clone())))?;
        let mut config = names;
        if value["model"]["type"] == "WordPiece" {
            write(VOCAB_TXT, self.vocab_lines())?;
            let normalizer = &value["normalizer"];
            config.insert("tokenizer_class".to_owned(), "BertTokenizer".into());
            config.insert(
                "do_lower_case".to_owned(),
                normalizer["lowercase"].as_bool().unwrap_or(false).into(),
            );
            config.insert("strip_accents".to_owned(), normalizer["strip_accents"].clone());
            config.insert(
                "tokenize_chinese_chars".to_owned(),
                normalizer["handle_chinese_chars"].as_bool().unwrap_or(false).into(),
            );
        } else {
            config.insert("tokenizer_class".to_owned(), "PreTrainedTokenizerFast".into());
        }
        config.insert("clean_up_tokenization_spaces".to_owned(), json!(true));
        write(CONFIG_JSON, pretty(&Value::Object(config)))
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

fn read_style(path: &Path) -> Result<BertStyle> {
    if !path.is_file() {
        return Ok(BertStyle::default());
    }
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let config: Value = serde_json::from_str(&text).map_err(|error| Error::BadTokenizer {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    let style = BertStyle::default();
    Ok(BertStyle {
        lowercase: config["do_lower_case"].as_bool().unwrap_or(style.lowercase),
        strip_accents: config["strip_accents"].as_bool(),
        split_chinese: config["tokenize_chinese_chars"]
            .as_bool()
            .unwrap_or(style.split_chinese),
    })
}

/// The names of the files that [`Tokenizer::save`] may write; useful when a model folder is copied.
pub const TOKENIZER_FILES: [&str; 4] = [TOKENIZER_JSON, VOCAB_TXT, CONFIG_JSON, SPECIAL_TOKENS_MAP];
