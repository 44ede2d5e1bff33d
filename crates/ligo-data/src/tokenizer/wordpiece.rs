//! Learning a WordPiece vocabulary, the same bytes on every run and machine.
//!
//! The trainer inside `tokenizers` numbers continuation characters in the order of a randomly seeded hash map and breaks ties between equally
//! frequent pairs by those numbers, so two runs over one corpus differ. This one sorts the words first and keeps one entry per pair.
//! The algorithm is the same: byte-pair merges by frequency (Sennrich et al., ACL 2016, 1508.07909) over words whose characters after the first
//! carry the prefix `##`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use crate::{Error, Result, Watch};

type Pair = (u32, u32);

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
    Merger::new(words).run(&mut vocab, settings, watch)?;
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

#[derive(Default)]
struct Vocab {
    tokens: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Vocab {
    /// The id of a token, which is added when it is new.
    fn id(&mut self, token: String) -> u32 {
        if let Some(&id) = self.ids.get(&token) {
            return id;
        }
        let id = self.tokens.len() as u32;
        self.tokens.push(token.clone());
        self.ids.insert(token, id);
        id
    }
}

struct Word {
    pieces: Vec<u32>,
    count: u64,
}

#[derive(Default)]
struct PairState {
    count: u64,
    /// Words that hold the pair, or once did.
    words: Vec<u32>,
}

struct Merger {
    words: Vec<Word>,
    pairs: HashMap<Pair, PairState>,
    /// Candidates with the count they had when pushed. Equal entries are interchangeable, so the order of pushing has no influence.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Merger {
    fn new(words: Vec<Word>) -> Self {
        let mut pairs: HashMap<Pair, PairState> = HashMap::new();
        for (index, word) in words.iter().enumerate() {
            for window in word.pieces.windows(2) {
                let state = pairs.entry((window[0], window[1])).or_default();
                state.count += word.count;
                if state.words.last() != Some(&(index as u32)) {
                    state.words.push(index as u32);
                }
            }
        }
        let queue = pairs
            .iter()
            .map(|(&pair, state)| (state.count, Reverse(pair)))
            .collect();
        Self { words, pairs, queue }
    }

    fn run(&mut self, vocab: &mut Vocab, settings: &Settings<'_>, watch: Watch<'_>) -> Result<()> {
        while vocab.tokens.len() < settings.vocab_size {
            watch.check()?;
            let Some((count, Reverse(pair))) = self.queue.pop() else {
                break;
            };
            let now = self.pairs.get(&pair).map_or(0, |state| state.count);
            if now != count {
                // The count fell after this entry was pushed (a rise pushes a new one): put it back where it belongs.
                if now > 0 && now < count {
                    self.queue.push((now, Reverse(pair)));
                }
                continue;
            }
            if count < settings.min_frequency.max(1) {
                break;
            }
            let second = &vocab.tokens[pair.1 as usize];
            let second = second.strip_prefix(PREFIX).unwrap_or(second);
            let merged = format!("{}{second}", vocab.tokens[pair.0 as usize]);
            let id = vocab.id(merged);
            self.merge(pair, id);
        }
        Ok(())
    }

    fn merge(&mut self, pair: Pair, id: u32) {
        let Some(state) = self.pairs.remove(&pair) else { return };
        let mut holders = state.words;
        holders.sort_unstable();
        holders.dedup();
        let mut risen: BTreeSet<Pair> = BTreeSet::new();
        for index in holders {
            let word = &mut self.words[index as usize];
            let old = std::mem::take(&mut word.pieces);
            let mut new = Vec::with_capacity(old.len());
            let mut at = 0;
            while at < old.len() {
                if at + 1 < old.len() && (old[at], old[at + 1]) == pair {
                    new.push(id);
                    at += 2;
                } else {
                    new.push(old[at]);
                    at += 1;
                }
            }
            if new.len() != old.len() {
                for window in old.windows(2) {
                    if let Some(state) = self.pairs.get_mut(&(window[0], window[1])) {
                        state.count = state.count.saturating_sub(word.count);
                    }
                }
                for window in new.windows(2) {
                    let changed = (window[0], window[1]);
                    let state = self.pairs.entry(changed).or_default();
                    state.count += word.count;
                    if window.contains(&id) {
                        if state.words.last() != Some(&index) {
                            state.words.push(index);
                        }
                        risen.insert(changed);
                    }
                }
            }
            word.pieces = new;
        }
        for pair in risen {
            if let Some(state) = self.pairs.get(&pair) {
                self.queue.push((state.count, Reverse(pair)));
            }
        }
    }
}
