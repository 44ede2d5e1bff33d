//! Which class of `transformers` makes the same tokenizer of a vocabulary alone.

use serde_json::{Value, json};

use super::TokenizerKind;
use super::byte_level::END_OF_TEXT;
use super::train::SPECIAL_TOKENS;
use super::wordpiece::{MAX_WORD_CHARS, PREFIX};

/// RoBERTa's special tokens.
const ROBERTA: [&str; 5] = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];

/// The class that builds this description (the contents of a `tokenizer.json`) from its vocabulary and the flags that we write beside it, in transformers 4
/// and 5: the latter looks at nothing else. `None` when the description has anything of its own.
pub(super) fn of(description: &Value, kind: TokenizerKind) -> Option<&'static str> {
    let (model, normalizer) = (&description["model"], &description["normalizer"]);
    let (pre_tokenizer, around) = (&description["pre_tokenizer"], &description["post_processor"]);
    match kind {
        TokenizerKind::WordPiece => {
            let usual = normalizer["type"] == "BertNormalizer"
                && normalizer["clean_text"] == true
                && pre_tokenizer["type"] == "BertPreTokenizer"
                && around["type"] == "TemplateProcessing"
                && model["unk_token"] == "[UNK]"
                && model["continuing_subword_prefix"] == PREFIX
                && model["max_input_chars_per_word"] == MAX_WORD_CHARS;
            (usual && adds_only(description, &SPECIAL_TOKENS)).then_some("BertTokenizer")
        }
        TokenizerKind::Gpt2 if around["type"] == "ByteLevel" => {
            (is_byte_level(description) && adds_only(description, &[END_OF_TEXT])).then_some("GPT2Tokenizer")
        }
        TokenizerKind::Roberta if around["type"] == "RobertaProcessing" => {
            (is_byte_level(description) && adds_only(description, &ROBERTA)).then_some("RobertaTokenizer")
        }
        TokenizerKind::Gpt2 | TokenizerKind::Roberta | TokenizerKind::Other => None,
    }
}

/// Whether text becomes ids as in GPT-2, whatever is put around them.
fn is_byte_level(description: &Value) -> bool {
    let model = &description["model"];
    let is_off = |key: &str| [json!(null), json!(false), json!("")].contains(&model[key]);
    let off = [
        "dropout",
        "unk_token",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "byte_fallback",
        "ignore_merges",
    ];
    description["normalizer"].is_null()
        && description["pre_tokenizer"]["use_regex"] != false
        && off.iter().all(|key| is_off(key))
}

/// Whether all tokens outside of the model are special ones of these.
fn adds_only(description: &Value, tokens: &[&str]) -> bool {
    let added = description["added_tokens"].as_array();
    added.into_iter().flatten().all(|token| {
        token["special"] == true
            && token["content"]
                .as_str()
                .is_some_and(|content| tokens.contains(&content))
    })
}
