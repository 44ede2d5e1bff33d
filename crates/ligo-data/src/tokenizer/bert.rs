//! A BERT tokenizer from its vocabulary.

use std::path::Path;

use serde_json::{Value, json};

use super::Tokenizer;
use super::template::{Part, template};
use super::train::SPECIAL_TOKENS;
use super::wordpiece::{MAX_WORD_CHARS, PREFIX};
use crate::Result;

impl Tokenizer {
    /// Puts a BERT tokenizer together from its vocabulary; `config` is what stands in `tokenizer_config.json`, or null.
    pub(super) fn from_wordpiece(path: &Path, tokens: &[String], style: &BertStyle, config: &Value) -> Result<Self> {
        let id_of = |token: &str| tokens.iter().position(|t| t == token);
        let special: Vec<(usize, &str)> = SPECIAL_TOKENS
            .iter()
            .filter_map(|&token| id_of(token).map(|id| (id, token)))
            .collect();
        let added: Vec<_> = special
            .iter()
            .map(|(id, token)| {
                json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
            })
            .collect();
        let vocab: serde_json::Map<String, Value> = tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.clone(), id.into()))
            .collect();
        let post_processor = match (id_of("[CLS]"), id_of("[SEP]")) {
            (Some(cls), Some(sep)) => {
                let first = [Part::Token("[CLS]", 0), Part::Text("A", 0), Part::Token("[SEP]", 0)];
                let second = [Part::Text("B", 1), Part::Token("[SEP]", 1)];
                let tokens = [("[CLS]", cls as u32), ("[SEP]", sep as u32)];
                template(&tokens, &first, &[first.as_slice(), &second].concat())
            }
            _ => Value::Null,
        };
        let description = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": true,
                "handle_chinese_chars": style.split_chinese,
                "strip_accents": style.strip_accents,
                "lowercase": style.lowercase,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": post_processor,
            "decoder": {"type": "WordPiece", "prefix": PREFIX, "cleanup": true},
            "model": {
                "type": "WordPiece",
                "unk_token": "[UNK]",
                "continuing_subword_prefix": PREFIX,
                "max_input_chars_per_word": MAX_WORD_CHARS,
                "vocab": vocab,
            },
        });
        let tokenizer = Self::read(path, description.to_string().as_bytes(), config)?;
        tokenizer.special().check_bert(path)?;
        Ok(tokenizer)
    }
}

/// What `tokenizer_config.json` says about a BERT vocabulary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BertStyle {
    pub lowercase: bool,
    pub strip_accents: Option<bool>,
    pub split_chinese: bool,
}

impl Default for BertStyle {
    fn default() -> Self {
        Self {
            lowercase: true,
            strip_accents: None,
            split_chinese: true,
        }
    }
}

impl BertStyle {
    /// Reads `do_lower_case`, `strip_accents` and `tokenize_chinese_chars`.
    pub(super) fn of(config: &Value) -> Self {
        let style = Self::default();
        Self {
            lowercase: config["do_lower_case"].as_bool().unwrap_or(style.lowercase),
            strip_accents: config["strip_accents"].as_bool(),
            split_chinese: config["tokenize_chinese_chars"]
                .as_bool()
                .unwrap_or(style.split_chinese),
        }
    }
}
