//! Which family of tokenizers a description belongs to.

use serde_json::Value;

/// The conventions a tokenizer follows, as far as this crate has to know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerKind {
    /// WordPiece as BERT has it: `[CLS] … [SEP]`.
    WordPiece,
    /// Byte-level BPE as GPT-2 has it: nothing around a text, `<|endoftext|>` between documents.
    Gpt2,
    /// Byte-level BPE as RoBERTa has it: `<s> … </s>`, and a `<mask>` that swallows the space before it.
    Roberta,
    /// Any other `tokenizer.json`: Llama's, for one.
    Other,
}

impl TokenizerKind {
    /// Reads the kind off the contents of a `tokenizer.json`.
    pub(super) fn of(description: &Value) -> Self {
        let kind = |part: &str| description[part]["type"].as_str().unwrap_or_default();
        match (kind("model"), kind("pre_tokenizer")) {
            ("WordPiece", _) => Self::WordPiece,
            ("BPE", "ByteLevel") => {
                let has = |token: &str| match description["added_tokens"].as_array() {
                    Some(added) if !added.is_empty() => added.iter().any(|t| t["content"] == token),
                    _ => description["model"]["vocab"].get(token).is_some(),
                };
                if kind("post_processor") == "RobertaProcessing" || has("<mask>") && has("<s>") {
                    Self::Roberta
                } else {
                    Self::Gpt2
                }
            }
            _ => Self::Other,
        }
    }
}
