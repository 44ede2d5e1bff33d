//! The post-processor of `tokenizer.json` that puts special tokens around texts.

use serde_json::{Map, Value, json};

/// One thing after another in an encoded text or pair.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// A special token, and the number of the text it counts to.
    Token(&'a str, u8),
    /// The text `A` or `B`, and its number.
    Text(&'static str, u8),
}

/// A `TemplateProcessing` of `tokens` (with their ids) for single texts and for pairs.
pub(super) fn template(tokens: &[(&str, u32)], single: &[Part<'_>], pair: &[Part<'_>]) -> Value {
    let list = |parts: &[Part<'_>]| -> Vec<Value> {
        let item = |part: &Part<'_>| match *part {
            Part::Token(id, type_id) => json!({"SpecialToken": {"id": id, "type_id": type_id}}),
            Part::Text(id, type_id) => json!({"Sequence": {"id": id, "type_id": type_id}}),
        };
        parts.iter().map(item).collect()
    };
    let special: Map<String, Value> = tokens
        .iter()
        .map(|&(token, id)| (token.to_owned(), json!({"id": token, "ids": [id], "tokens": [token]})))
        .collect();
    json!({"type": "TemplateProcessing", "single": list(single), "pair": list(pair), "special_tokens": special})
}
