//! From a corpus to a trained tokenizer.

use std::path::Path;

use serde_json::Value;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::Tokenizer;
use super::bert::BertStyle;
use super::byte_level::{self, BpeFlavour};
use super::chunk::Cut;
use super::count::{count_words, words_of};
use super::wordpiece::{self, Settings};
use crate::{Corpus, Result, Watch};

/// BERT's special tokens, in the order of their ids in a trained vocabulary.
pub const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// In place of a path, in messages about a tokenizer that no file holds yet.
const TRAINED: &str = "(trained)";

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

/// How to train a byte-level BPE tokenizer.
#[derive(Debug, Clone, PartialEq)]
pub struct BpeTraining {
    /// Entries wanted, special tokens and the 256 bytes included.
    pub vocab_size: usize,
    /// A merge must occur this often.
    pub min_frequency: u64,
    /// Whose special tokens it has.
    pub flavour: BpeFlavour,
    /// Train on the first documents up to this many bytes of text.
    pub sample_bytes: u64,
}

impl Default for BpeTraining {
    fn default() -> Self {
        Self {
            vocab_size: 50_257,
            min_frequency: 2,
            flavour: BpeFlavour::Gpt2,
            sample_bytes: 256 << 20,
        }
    }
}

impl Tokenizer {
    /// Trains a BERT tokenizer: `BertNormalizer`, `BertPreTokenizer`, WordPiece with prefix `##`, [`SPECIAL_TOKENS`] as ids 0 to 4. The same
    /// documents give the same files, byte for byte.
    ///
    /// # Errors
    /// Those of reading the corpus; [`crate::Error::EmptyCorpus`]; [`crate::Error::VocabTooSmall`]; [`crate::Error::Interrupted`].
    pub fn train(corpus: &Corpus, training: &WordPieceTraining, watch: Watch<'_>) -> Result<Self> {
        let normalizer = BertNormalizer::new(true, true, None, training.lowercase);
        let split = |piece: &str| words_of(piece, Some(&normalizer), &BertPreTokenizer);
        let word_counts = count_words(corpus, training.sample_bytes, Cut::AtSpaces, split, watch)?;
        let automatic = (training.vocab_size / 16).clamp(100, 1000);
        let settings = Settings {
            vocab_size: training.vocab_size,
            min_frequency: training.min_frequency,
            alphabet_limit: training.alphabet_limit.unwrap_or(automatic),
            merges: training.merges,
            special_tokens: &SPECIAL_TOKENS,
        };
        let tokens = wordpiece::learn(&word_counts, &settings, watch)?;
        let style = BertStyle {
            lowercase: training.lowercase,
            ..BertStyle::default()
        };
        Self::from_wordpiece(Path::new(TRAINED), &tokens, &style, &Value::Null)
    }

    /// Trains a byte-level BPE tokenizer as GPT-2 or RoBERTa have it: no prefix space, the 256 bytes and merges by frequency. The same
    /// documents give the same files, byte for byte.
    ///
    /// # Errors
    /// As [`Self::train`].
    pub fn train_bpe(corpus: &Corpus, training: &BpeTraining, watch: Watch<'_>) -> Result<Self> {
        let pre_tokenizer = ByteLevel::new(false, true, true);
        let split = |piece: &str| words_of(piece, None::<&BertNormalizer>, &pre_tokenizer);
        let word_counts = count_words(corpus, training.sample_bytes, Cut::BeforeSpaces, split, watch)?;
        let (vocab_size, min_frequency) = (training.vocab_size, training.min_frequency);
        let bpe = byte_level::learn(&word_counts, vocab_size, min_frequency, training.flavour, watch)?;
        Self::from_bpe(Path::new(TRAINED), &bpe, training.flavour, &Value::Null)
    }
}
