//! Byte-level BPE: learning it, and GPT-2's and RoBERTa's tokenizers from their vocabulary and merges.
//!
//! Every byte has a printable character (Radford et al., 2019), so any text can be spelt and there is no unknown token.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::merge::{Merger, Vocab, Word};
use super::special::need;
use super::{Tokenizer, TokenizerKind};
use crate::{Error, Result, Watch};

/// GPT-2's only special token.
pub(super) const END_OF_TEXT: &str = "<|endoftext|>";

/// Whose conventions a byte-level BPE tokenizer follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BpeFlavour {
    /// GPT-2: nothing around a text; `<|endoftext|>`, with the last id, between documents.
    #[default]
    Gpt2,
    /// RoBERTa: `<s>`, `<pad>`, `</s>`, `<unk>` with ids 0 to 3, `<mask>` with the last.
    Roberta,
}

impl BpeFlavour {
    /// Special tokens in front of the bytes and behind the merges.
    fn special_tokens(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Gpt2 => (&[], &[END_OF_TEXT]),
            Self::Roberta => (&["<s>", "<pad>", "</s>", "<unk>"], &["<mask>"]),
        }
    }

    /// The token that ends a document.
    pub fn end_token(self) -> &'static str {
        match self {
            Self::Gpt2 => END_OF_TEXT,
            Self::Roberta => "</s>",
        }
    }

    /// The kind of tokenizer that follows these conventions.
    pub fn kind(self) -> TokenizerKind {
        match self {
            Self::Gpt2 => TokenizerKind::Gpt2,
            Self::Roberta => TokenizerKind::Roberta,
        }
    }
}

/// A vocabulary with its merges, in the order they are applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bpe {
    /// Tokens with their ids.
    pub vocab: Vec<(String, u32)>,
    /// Two tokens that become one, the first merge first.
    pub merges: Vec<(String, String)>,
}

/// Learns a vocabulary of at most `vocab_size` entries from words that are spelt in byte characters.
pub(super) fn learn(
    word_counts: &BTreeMap<String, u64>,
    vocab_size: usize,
    min_frequency: u64,
    flavour: BpeFlavour,
    watch: Watch<'_>,
) -> Result<Bpe> {
    let (before, after) = flavour.special_tokens();
    // In the order of their code points, which is GPT-2's.
    let mut bytes: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    bytes.sort_unstable();
    let needed = before.len() + bytes.len() + after.len();
    if vocab_size < needed {
        return Err(Error::VocabTooSmall { vocab_size, needed });
    }
    let mut vocab = Vocab::default();
    for byte in bytes {
        vocab.id(byte.to_string());
    }
    let words = word_counts
        .iter()
        .map(|(word, &count)| Word {
            pieces: word.chars().map(|byte| vocab.id(byte.to_string())).collect(),
            count,
        })
        .collect();
    let ordinary = vocab_size - before.len() - after.len();
    let merges = Merger::new(words).run(&mut vocab, ordinary, min_frequency, "", watch)?;
    let merges = merges
        .into_iter()
        .map(|(a, b)| (vocab.tokens[a as usize].clone(), vocab.tokens[b as usize].clone()))
        .collect();
    // No merge spells a special token: GPT-2's expression takes their letters and their brackets apart.
    let owned = |tokens: &[&str]| tokens.iter().map(|token| (*token).to_owned()).collect::<Vec<_>>();
    let tokens = owned(before).into_iter().chain(vocab.tokens).chain(owned(after));
    Ok(Bpe {
        vocab: tokens.zip(0..).collect(),
        merges,
    })
}

impl Tokenizer {
    /// Puts a byte-level tokenizer together; `config` is what stands in `tokenizer_config.json`, or null.
    pub(super) fn from_bpe(path: &Path, bpe: &Bpe, flavour: BpeFlavour, config: &Value) -> Result<Self> {
        let id_of = |token: &str| bpe.vocab.iter().find(|(t, _)| t == token).map(|&(_, id)| id);
        let id = |role, token: &str| need(id_of(token), path, role, &[token]);
        let (special, post_processor) = match flavour {
            BpeFlavour::Gpt2 => (
                vec![(id("end of text", END_OF_TEXT)?, END_OF_TEXT)],
                json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}),
            ),
            BpeFlavour::Roberta => {
                let (cls, sep) = (id("opening", "<s>")?, id("separating", "</s>")?);
                let mut special = vec![(cls, "<s>"), (sep, "</s>")];
                special.push((id("padding", "<pad>")?, "<pad>"));
                special.push((id("mask", "<mask>")?, "<mask>"));
                special.extend(id_of("<unk>").map(|unk| (unk, "<unk>")));
                special.sort_unstable();
                let processor = json!({
                    "type": "RobertaProcessing",
                    "sep": ["</s>", sep],
                    "cls": ["<s>", cls],
                    "trim_offsets": true,
                    "add_prefix_space": config["add_prefix_space"] == true,
                });
                (special, processor)
            }
        };
        let added: Vec<Value> = special
            .into_iter()
            .map(|(id, token)| {
                json!({
                    "id": id, "content": token, "single_word": false, "lstrip": token == "<mask>", "rstrip": false,
                    "normalized": false, "special": true,
                })
            })
            .collect();
        let vocab: serde_json::Map<String, Value> = bpe
            .vocab
            .iter()
            .map(|(token, id)| (token.clone(), (*id).into()))
            .collect();
        let description = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": {
                "type": "ByteLevel",
                "add_prefix_space": config["add_prefix_space"] == true,
                "trim_offsets": true,
                "use_regex": true,
            },
            "post_processor": post_processor,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "",
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": false,
                "vocab": vocab,
                "merges": bpe.merges,
            },
        });
        Self::read(path, description.to_string().as_bytes(), config)
    }
}
