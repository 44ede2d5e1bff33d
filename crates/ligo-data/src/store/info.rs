//! `store.json`: what a token store says about itself.

use serde::{Deserialize, Serialize};

use crate::hash::{BlockHashes, Promise};
use crate::sealed::{Promised, Sealed};
use crate::{Error, Masking, Result, SpecialIds};
use std::path::Path;

/// The version of the layout described in [`crate::TokenStore`].
pub(super) const FORMAT_VERSION: u32 = 2;
/// The layout without hashes of blocks and of the description itself. Its stores are still read.
const FORMAT_WITHOUT_BLOCKS: u32 = 1;

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
    /// Version of the layout; 2, or 1 in stores of earlier versions.
    pub format_version: u32,
    /// Width of one token.
    pub dtype: TokenWidth,
    /// Tokens in `tokens.bin`, the separators between documents included.
    pub tokens: u64,
    /// Documents that gave at least one token.
    pub documents: u64,
    /// Bytes of UTF-8 text that were tokenized.
    pub text_bytes: u64,
    /// Rows an embedding needs; every id is below it.
    pub vocab_size: usize,
    /// Ids of the special tokens.
    pub special: SpecialIds,
    /// The token in front of every document ([`crate::Tokenizer::document_start`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_start: Option<u32>,
    /// [`crate::Tokenizer::hash`] of the tokenizer that was used.
    pub tokenizer_sha256: String,
    /// SHA-256 over all documents, each preceded by its length in bytes as eight little-endian bytes.
    pub corpus_sha256: String,
    /// SHA-256 of `tokens.bin`.
    pub tokens_sha256: String,
    /// How often each id occurs.
    pub unigram_counts: Vec<u64>,
    /// SHA-256 of the blocks of `tokens.bin`; none in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_blocks: Option<BlockHashes>,
    /// SHA-256 of this description without this field; none in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description_sha256: Option<String>,
}

impl StoreInfo {
    /// Whether both stores were made by the same tokenizer in the same way.
    pub(super) fn is_made_like(&self, other: &Self) -> bool {
        let recipe = |info: &Self| {
            (
                info.format_version,
                info.dtype,
                info.vocab_size,
                info.special,
                info.document_start,
            )
        };
        recipe(self) == recipe(other) && self.tokenizer_sha256 == other.tokenizer_sha256
    }

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
        let (shares, measured) = self.distributions(of)?;
        let losses = shares.iter().zip(&measured).filter(|(_, e)| **e > 0.0);
        Some(losses.map(|(u, e)| -e * u.ln()).sum())
    }

    /// Masked-language-model loss, in nats, of the best predictor that sees the token at the masked position and nothing around it.
    ///
    /// It is lower than [`Self::unigram_loss`], because a masked position sometimes keeps its token: where token `x` is visible, the
    /// token to predict is `y` with probability
    ///
    /// ```text
    /// q(y | x) = (keep · [x = y] · u(y) + random · u(y) / K) / (keep · u(x) + random / K)
    /// ```
    ///
    /// with `u` the unigram distribution here, `K` the number of ids that are not special, and `keep` and `random` the masking's shares.
    /// A model above this loss has learnt nothing from context.
    pub fn context_free_loss(&self, of: &Self, masking: &Masking) -> Option<f64> {
        let (shares, measured) = self.distributions(of)?;
        let count = shares.len() as f64;
        let (masked, random) = (masking.mask_share, masking.random_share);
        let keep = (1.0 - masked - random).max(0.0);
        let visible = |u: f64| keep * u + random / count;
        let log_visible: f64 = shares.iter().map(|u| visible(*u).ln()).sum();
        let mut loss = 0.0;
        for (&u, &e) in shares.iter().zip(&measured).filter(|(_, e)| **e > 0.0) {
            loss -= e * masked * u.ln();
            if keep + random > 0.0 {
                let kept = visible(u).ln() - (keep * u + random * u / count).ln();
                loss += e * keep * kept;
                if random > 0.0 {
                    let others = log_visible - visible(u).ln() - (count - 1.0) * (u.ln() + (random / count).ln());
                    loss += e * random * (others + kept) / count;
                }
            }
        }
        Some(loss)
    }

    /// The add-one-smoothed unigram distribution here and the plain one of `of`, over ids that are not special.
    fn distributions(&self, of: &Self) -> Option<(Vec<f64>, Vec<f64>)> {
        if self.vocab_size != of.vocab_size {
            return None;
        }
        let ordinary = |info: &Self| -> Vec<f64> {
            let counts = info.unigram_counts.iter().enumerate();
            counts
                .filter(|&(id, _)| !self.special.contains(id as u32))
                .map(|(_, &count)| count as f64)
                .collect()
        };
        let (here, there) = (ordinary(self), ordinary(of));
        let total = here.iter().sum::<f64>() + here.len() as f64;
        let measured: f64 = there.iter().sum();
        (measured > 0.0).then(|| {
            let shares = here.iter().map(|c| (c + 1.0) / total).collect();
            (shares, there.iter().map(|e| e / measured).collect())
        })
    }

    /// What `tokens.bin` must be.
    pub(super) fn tokens_promise(&self) -> Promise<'_> {
        Promise {
            whole: &self.tokens_sha256,
            blocks: self.tokens_blocks.as_ref(),
        }
    }

    /// Why the description cannot be the one that was written.
    fn damage(&self) -> Option<String> {
        let miscounted = || {
            let counted = self.unigram_counts.iter().try_fold(0_u64, |sum, &n| sum.checked_add(n));
            (counted != Some(self.tokens))
                .then(|| format!("its unigram counts do not sum to the {} tokens", self.tokens))
        };
        self.damage_of_hashes().or_else(miscounted)
    }

    pub(super) fn from_json(path: &Path, json: &[u8]) -> Result<Self> {
        let bad = |reason: String| Error::BadStore {
            path: path.to_path_buf(),
            reason,
        };
        let info: Self = serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
        if let Some(damage) = info.damage() {
            return Err(bad(damage));
        }
        if info.unigram_counts.len() != info.vocab_size {
            let found = info.unigram_counts.len();
            return Err(bad(format!(
                "expected {} unigram counts, found {found}",
                info.vocab_size
            )));
        }
        let mut special = info.special.ids().chain(info.document_start);
        if let Some(id) = special.find(|&id| id as usize >= info.vocab_size) {
            return Err(bad(format!(
                "the special id {id} is not below the vocabulary size {}",
                info.vocab_size
            )));
        }
        Ok(info)
    }
}

impl Sealed for StoreInfo {
    fn promised(&self) -> Promised<'_> {
        Promised {
            format_version: self.format_version,
            formats: [FORMAT_WITHOUT_BLOCKS, FORMAT_VERSION],
            bytes: self.tokens.saturating_mul(self.dtype.bytes() as u64),
            blocks: self.tokens_blocks.as_ref(),
            seal: self.description_sha256.as_deref(),
        }
    }

    fn seal_mut(&mut self) -> &mut Option<String> {
        &mut self.description_sha256
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn info(counts: &[u64]) -> StoreInfo {
        let mut unigram_counts = vec![0; 5];
        unigram_counts.extend_from_slice(counts);
        StoreInfo {
            format_version: 1,
            dtype: TokenWidth::U16,
            tokens: counts.iter().sum(),
            documents: 1,
            text_bytes: 1,
            vocab_size: unigram_counts.len(),
            special: SpecialIds {
                pad: Some(0),
                unk: Some(1),
                cls: Some(2),
                sep: Some(3),
                mask: Some(4),
                ..SpecialIds::default()
            },
            document_start: None,
            tokenizer_sha256: String::new(),
            corpus_sha256: String::new(),
            tokens_sha256: String::new(),
            unigram_counts,
            tokens_blocks: None,
            description_sha256: None,
        }
    }

    /// The same expectation summed over every pair of true and visible token.
    fn by_enumeration(counts: &[u64], masking: &Masking) -> f64 {
        let total: u64 = counts.iter().map(|c| c + 1).sum();
        let u: Vec<f64> = counts.iter().map(|c| (c + 1) as f64 / total as f64).collect();
        let sum: u64 = counts.iter().sum();
        let (k, keep) = (counts.len() as f64, 1.0 - masking.mask_share - masking.random_share);
        let mut loss = 0.0;
        for (y, count) in counts.iter().enumerate() {
            let e = *count as f64 / sum as f64;
            loss -= e * masking.mask_share * u[y].ln();
            for x in 0..counts.len() {
                let same = f64::from(u8::from(x == y));
                let seen = keep * same + masking.random_share / k;
                let q = seen * u[y] / (keep * u[x] + masking.random_share / k);
                loss -= e * seen * q.ln();
            }
        }
        loss
    }

    #[test]
    fn the_context_free_loss_equals_the_sum_over_all_pairs_and_lies_below_the_unigram_loss() {
        let counts = [500, 90, 41, 7, 1, 30];
        let masking = Masking::default();
        let store = info(&counts);
        let loss = store.context_free_loss(&store, &masking).unwrap();
        assert!((loss - by_enumeration(&counts, &masking)).abs() < 1e-12);
        assert!(loss < store.unigram_loss(&store).unwrap());
    }

    #[test]
    fn without_kept_and_random_tokens_the_context_free_loss_is_the_unigram_loss() {
        let store = info(&[500, 90, 41, 7]);
        let masking = Masking {
            mask_share: 1.0,
            random_share: 0.0,
            ..Masking::default()
        };
        let loss = store.context_free_loss(&store, &masking).unwrap();
        assert!((loss - store.unigram_loss(&store).unwrap()).abs() < 1e-12);
    }
}
