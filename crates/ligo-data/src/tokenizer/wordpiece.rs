//! Learning a WordPiece vocabulary, the same bytes on every run and machine: merges by frequency (see [`super::merge`]) over words whose
//! characters after the first carry the prefix `##`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::merge::{Merger, Vocab, Word};
use crate::{Error, Result, Watch};

/// Prefix of a piece that continues a word.
pub(super) const PREFIX: &str = "##";
/// Words beyond this many characters become `[UNK]`, so they teach nothing.
pub(super) const MAX_WORD_CHARS: usize = 100;

/// What to learn from word counts.
pub(super) struct Settings<'a> {
    pub vocab_size: usize,
    pub min_frequency: u64,
    pub alphabet_limit: usize,
    pub merges: bool,
    pub special_tokens: &'a [&'a str],
}

/// Learns the vocabulary: special tokens, characters, `##` characters, then merges from frequent to rare. May be smaller than asked for
/// when the corpus has no more pairs that occur `min_frequency` times.
pub(super) fn learn(
    word_counts: &BTreeMap<String, u64>,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Vec<String>> {
    let alphabet = alphabet(word_counts, settings);
    let mut vocab = Vocab::default();
    for token in settings.special_tokens {
        vocab.id((*token).to_owned());
    }
    for character in &alphabet {
        vocab.id(character.to_string());
    }
    let spelt: Vec<(&str, u64)> = word_counts
        .iter()
        .filter(|(word, _)| word.chars().count() <= MAX_WORD_CHARS && word.chars().all(|c| alphabet.contains(&c)))
        .map(|(word, &count)| (word.as_str(), count))
        .collect();
    let continuing: BTreeSet<char> = spelt.iter().flat_map(|(word, _)| word.chars().skip(1)).collect();
    for character in continuing {
        vocab.id(format!("{PREFIX}{character}"));
    }
    if !settings.merges {
        return Ok(vocab.tokens);
    }
    if vocab.tokens.len() > settings.vocab_size {
        return Err(Error::VocabTooSmall {
            vocab_size: settings.vocab_size,
            needed: vocab.tokens.len(),
        });
    }
    let words = spelt
        .iter()
        .map(|&(word, count)| {
            let pieces = word.char_indices().map(|(at, character)| {
                vocab.id(if at == 0 {
                    character.to_string()
                } else {
                    format!("{PREFIX}{character}")
                })
            });
            Word {
                pieces: pieces.collect(),
                count,
            }
        })
        .collect();
    Merger::new(words).run(&mut vocab, settings.vocab_size, settings.min_frequency, PREFIX, watch)?;
    Ok(vocab.tokens)
}

/// The most frequent characters, ties broken by code point.
fn alphabet(word_counts: &BTreeMap<String, u64>, settings: &Settings<'_>) -> BTreeSet<char> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in word_counts {
        for character in word.chars() {
            *counts.entry(character).or_default() += count;
        }
    }
    let mut ranked: Vec<(char, u64)> = counts
        .into_iter()
        .filter(|&(_, n)| n >= settings.min_frequency)
        .collect();
    ranked.sort_by_key(|&(character, count)| (Reverse(count), character));
    ranked
        .into_iter()
        .take(settings.alphabet_limit)
        .map(|(character, _)| character)
        .collect()
}
