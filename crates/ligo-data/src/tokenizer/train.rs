//! From a corpus to a trained tokenizer.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rayon::prelude::*;
use serde_json::json;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::wordpiece::{self, MAX_WORD_CHARS, PREFIX, Settings};
use super::{Tokenizer, chunk};
use crate::{Corpus, Error, Result, Watch};

/// BERT's special tokens, in the order of their ids in a trained vocabulary.
pub const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// How to train a WordPiece tokenizer.
#[derive(Debug, Clone, PartialEq)]
pub struct WordPieceTraining {
    /// Entries wanted, special tokens included.
    pub vocab_size: usize,
    /// A character or a merge must occur this often.
    pub min_frequency: u64,
    /// Most different characters kept; `None` takes a sixteenth of the vocabulary, at least 100 and at most 1,000.
    pub alphabet_limit: Option<usize>,
    /// Merge pieces until the vocabulary is full; without, it is single characters and `vocab_size` does not matter.
    pub merges: bool,
    /// Lower-case the text and strip accents, as the uncased BERT models do.
    pub lowercase: bool,
    /// Train on the first documents up to this many bytes of text.
    pub sample_bytes: u64,
}

impl Default for WordPieceTraining {
    fn default() -> Self {
        Self {
            vocab_size: 30_522,
            min_frequency: 2,
            alphabet_limit: None,
            merges: true,
            lowercase: true,
            sample_bytes: 256 << 20,
        }
    }
}

impl Tokenizer {
    /// Trains a BERT tokenizer: `BertNormalizer`, `BertPreTokenizer`, WordPiece with prefix `##`, [`SPECIAL_TOKENS`] as ids 0 to 4. The same
    /// documents give the same files, byte for byte.
    ///
    /// # Errors
    /// Those of reading the corpus; [`Error::EmptyCorpus`]; [`Error::VocabTooSmall`]; [`Error::Interrupted`].
    pub fn train(corpus: &Corpus, training: &WordPieceTraining, watch: Watch<'_>) -> Result<Self> {
        let normalizer = BertNormalizer::new(true, true, None, training.lowercase);
        let word_counts = count_words(corpus, training.sample_bytes, &normalizer, watch)?;
        let automatic = (training.vocab_size / 16).clamp(100, 1000);
        let settings = Settings {
            vocab_size: training.vocab_size,
            min_frequency: training.min_frequency,
            alphabet_limit: training.alphabet_limit.unwrap_or(automatic),
            merges: training.merges,
            special_tokens: &SPECIAL_TOKENS,
        };
        let tokens = wordpiece::learn(&word_counts, &settings, watch)?;
        Self::from_wordpiece(
            Path::new("(trained)"),
            &tokens,
            &BertStyle {
                lowercase: training.lowercase,
                ..BertStyle::default()
            },
        )
    }

    /// Puts a BERT tokenizer together from its vocabulary.
    pub(super) fn from_wordpiece(path: &Path, tokens: &[String], style: &BertStyle) -> Result<Self> {
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
        let vocab: serde_json::Map<String, serde_json::Value> = tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.clone(), id.into()))
            .collect();
        let wrap = |parts: &[(&str, u8)]| {
            let item = |&(name, type_id): &(&str, u8)| {
                if name.len() == 1 {
                    json!({"Sequence": {"id": name, "type_id": type_id}})
                } else {
                    json!({"SpecialToken": {"id": name, "type_id": type_id}})
                }
            };
            parts.iter().map(item).collect::<Vec<_>>()
        };
        let post_processor = match (id_of("[CLS]"), id_of("[SEP]")) {
            (Some(cls), Some(sep)) => json!({
                "type": "TemplateProcessing",
                "single": wrap(&[("[CLS]", 0), ("A", 0), ("[SEP]", 0)]),
                "pair": wrap(&[("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1)]),
                "special_tokens": {
                    "[CLS]": {"id": "[CLS]", "ids": [cls], "tokens": ["[CLS]"]},
                    "[SEP]": {"id": "[SEP]", "ids": [sep], "tokens": ["[SEP]"]},
                },
            }),
            _ => serde_json::Value::Null,
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
        Self::from_json(path, description.to_string().as_bytes())
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

/// Counts the words of the first `sample_bytes` of text. Pieces between spaces are counted first and normalised once each, which is much
/// faster than normalising the running text and gives the same words (see [`chunk`]).
fn count_words(
    corpus: &Corpus,
    sample_bytes: u64,
    normalizer: &BertNormalizer,
    watch: Watch<'_>,
) -> Result<BTreeMap<String, u64>> {
    let mut chunks: HashMap<String, u64> = HashMap::new();
    let mut documents = corpus.documents();
    let total = corpus.total_bytes();
    let mut bytes = 0;
    while bytes < sample_bytes {
        let Some(document) = documents.next() else { break };
        let text = document?.text;
        for piece in chunk::pieces(&text) {
            match chunks.get_mut(piece) {
                Some(count) => *count += 1,
                None => {
                    chunks.insert(piece.to_owned(), 1);
                }
            }
        }
        bytes += text.len() as u64;
        watch.check()?;
        watch.report(documents.bytes_read().min(total), total);
    }
    if chunks.is_empty() {
        return Err(corpus.empty_error());
    }
    let words = chunks
        .into_par_iter()
        .map(|(piece, count)| Ok((words_of(&piece, normalizer)?, count)))
        .collect::<Result<Vec<_>>>()?;
    watch.check()?;
    let mut counts = BTreeMap::new();
    for (words, count) in words {
        for word in words {
            *counts.entry(word).or_insert(0) += count;
        }
    }
    Ok(counts)
}

fn words_of(piece: &str, normalizer: &BertNormalizer) -> Result<Vec<String>> {
    let failed = |reason: tokenizers::Error| Error::Encode {
        start: piece.chars().take(40).collect(),
        reason: reason.to_string(),
    };
    let mut normalized = NormalizedString::from(piece);
    normalizer.normalize(&mut normalized).map_err(failed)?;
    let mut split = PreTokenizedString::from(normalized);
    BertPreTokenizer.pre_tokenize(&mut split).map_err(failed)?;
    let words = split.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    Ok(words
        .into_iter()
        .map(|(word, ..)| word.to_owned())
        .filter(|word| !word.is_empty())
        .collect())
}
