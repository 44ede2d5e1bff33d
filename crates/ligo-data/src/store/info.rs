//! `store.json`: what a token store says about itself.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, SpecialIds};
use std::path::Path;

/// The version of the layout described in [`crate::TokenStore`].
pub(super) const FORMAT_VERSION: u32 = 1;

/// Width of one token in `tokens.bin`, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenWidth {
    /// Two bytes: vocabularies up to 65,536.
    U16,
    /// Four bytes.
    U32,
}

impl TokenWidth {
    pub(super) fn for_vocab(vocab_size: usize) -> Self {
        if vocab_size <= 1 << 16 { Self::U16 } else { Self::U32 }
    }

    /// Bytes per token.
    pub fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }
}

/// The contents of `store.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreInfo {
    /// Version of the layout; 1.
    pub format_version: u32,
    /// Width of one token.
    pub dtype: TokenWidth,
    /// Tokens in `tokens.bin`, the separators between documents included.
    pub tokens: u64,
    /// Documents that gave at least one token.
    pub documents: u64,
    /// Bytes of UTF-8 text that were tokenised.
    pub text_bytes: u64,
    /// Rows an embedding needs; every id is below it.
    pub vocab_size: usize,
    /// Ids of the special tokens.
    pub special: SpecialIds,
    /// [`crate::Tokenizer::hash`] of the tokenizer that was used.
    pub tokenizer_sha256: String,
    /// SHA-256 over all documents, each preceded by its length in bytes as eight little-endian bytes.
    pub corpus_sha256: String,
    /// SHA-256 of `tokens.bin`.
    pub tokens_sha256: String,
    /// How often each id occurs.
    pub unigram_counts: Vec<u64>,
}

impl StoreInfo {
    /// Cross-entropy, in nats per token, of the tokens of `of` under the unigram distribution of `self`, special tokens left out:
    /// what a model reaches that knows how frequent words are and nothing else.
    ///
    /// ```text
    /// loss = - Σ_i e_i ln((c_i + 1) / (C + K)) / Σ_i e_i
    /// ```
    ///
    /// with `c` the counts here, `C` their sum, `K` the number of ids that are not special and `e` the counts of `of`. Returns `None` when
    /// the vocabularies differ in size or `of` holds only special tokens.
    pub fn unigram_loss(&self, of: &Self) -> Option<f64> {
        if self.vocab_size != of.vocab_size {
            return None;
        }
        let ordinary = |info: &Self| -> Vec<u64> {
            let counts = info.unigram_counts.iter().enumerate();
            counts
                .filter(|&(id, _)| !self.special.contains(id as u32))
                .map(|(_, &count)| count)
                .collect()
        };
        let (here, there) = (ordinary(self), ordinary(of));
        let total = (here.iter().sum::<u64>() + here.len() as u64) as f64;
        let measured: u64 = there.iter().sum();
        let sum: f64 = here
            .iter()
            .zip(&there)
            .map(|(&c, &e)| {
                if e == 0 {
                    0.0
                } else {
                    -(e as f64) * ((c + 1) as f64 / total).ln()
                }
            })
            .sum();
        (measured > 0).then(|| sum / measured as f64)
    }

    pub(super) fn from_json(path: &Path, text: &str) -> Result<Self> {
        let bad = |reason: String| Error::BadStore {
            path: path.to_path_buf(),
            reason,
        };
        let info: Self = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        if info.format_version != FORMAT_VERSION {
            return Err(bad(format!(
                "expected format version {FORMAT_VERSION}, found {}",
                info.format_version
            )));
        }
        if info.unigram_counts.len() != info.vocab_size {
            let found = info.unigram_counts.len();
            return Err(bad(format!(
                "expected {} unigram counts, found {found}",
                info.vocab_size
            )));
        }
        if let Some(id) = info
            .special
            .as_array()
            .into_iter()
            .find(|&id| id as usize >= info.vocab_size)
        {
            return Err(bad(format!(
                "the special id {id} is not below the vocabulary size {}",
                info.vocab_size
            )));
        }
        Ok(info)
    }
}
