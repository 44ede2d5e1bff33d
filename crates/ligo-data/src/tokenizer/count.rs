//! Counting the words of a corpus, from which a vocabulary is learnt.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::chunk::Cut;
use crate::{Corpus, Error, Result, Watch};

/// Counts the words of the first `sample_bytes` of text. Pieces are counted first and taken apart once each, which is much faster than
/// taking apart the running text and gives the same words (see [`super::chunk`]).
pub(super) fn count_words(
    corpus: &Corpus,
    sample_bytes: u64,
    cut: Cut,
    words_of: impl Fn(&str) -> tokenizers::Result<Vec<String>> + Sync,
    watch: Watch<'_>,
) -> Result<BTreeMap<String, u64>> {
    let mut pieces: HashMap<String, u64> = HashMap::new();
    let mut documents = corpus.documents();
    let total = corpus.total_bytes();
    let mut bytes = 0;
    while bytes < sample_bytes {
        let Some(document) = documents.next() else { break };
        let text = document?.text;
        for piece in cut.pieces(&text) {
            match pieces.get_mut(piece) {
                Some(count) => *count += 1,
                None => {
                    pieces.insert(piece.to_owned(), 1);
                }
            }
        }
        bytes += text.len() as u64;
        watch.check()?;
        watch.report(documents.bytes_read().min(total), total);
    }
    if pieces.is_empty() {
        return Err(corpus.empty_error());
    }
    let words = pieces
        .into_par_iter()
        .map(|(piece, count)| {
            let words = words_of(&piece).map_err(|reason| Error::Encode {
                start: piece.chars().take(40).collect(),
                reason: reason.to_string(),
            })?;
            Ok((words, count))
        })
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

/// The words that a normalizer, if any, and a pre-tokenizer make of a piece.
pub(super) fn words_of(
    piece: &str,
    normalizer: Option<&impl Normalizer>,
    pre_tokenizer: &impl PreTokenizer,
) -> tokenizers::Result<Vec<String>> {
    let mut normalized = NormalizedString::from(piece);
    if let Some(normalizer) = normalizer {
        normalizer.normalize(&mut normalized)?;
    }
    let mut split = PreTokenizedString::from(normalized);
    pre_tokenizer.pre_tokenize(&mut split)?;
    let words = split.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    Ok(words
        .into_iter()
        .map(|(word, ..)| word.to_owned())
        .filter(|word| !word.is_empty())
        .collect())
}
