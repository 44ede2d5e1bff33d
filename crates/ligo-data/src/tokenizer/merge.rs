//! Byte-pair merging by frequency (Sennrich et al., ACL 2016, 1508.07909), the same result on every run and machine.
//!
//! The trainers inside `tokenizers` number characters in the order of a randomly seeded hash map and break ties between equally frequent pairs
//! by those numbers, so two runs over one corpus may differ. Here the words come sorted and there is one entry per pair.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use crate::{Result, Watch};

/// Two pieces that stand side by side.
pub(super) type Pair = (u32, u32);

/// The tokens of a vocabulary in the order of their ids.
#[derive(Default)]
pub(super) struct Vocab {
    pub tokens: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Vocab {
    /// The id of a token, which is added when it is new.
    pub(super) fn id(&mut self, token: String) -> u32 {
        if let Some(&id) = self.ids.get(&token) {
            return id;
        }
        let id = self.tokens.len() as u32;
        self.tokens.push(token.clone());
        self.ids.insert(token, id);
        id
    }
}

/// A word as the pieces it is made of by now.
pub(super) struct Word {
    pub pieces: Vec<u32>,
    pub count: u64,
}

#[derive(Default)]
struct PairState {
    count: u64,
    /// Words that hold the pair, or once did.
    words: Vec<u32>,
}

/// Merges the most frequent pair again and again.
pub(super) struct Merger {
    words: Vec<Word>,
    pairs: HashMap<Pair, PairState>,
    /// Candidates with the count they had when pushed. Equal entries are interchangeable, so the order of pushing has no influence.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Merger {
    pub(super) fn new(words: Vec<Word>) -> Self {
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

    /// Merges until the vocabulary has `vocab_size` entries or no pair occurs `min_frequency` times; returns the merges in their order.
    /// `prefix` marks a piece that continues a word and is dropped from the second piece of a merge; empty for none.
    pub(super) fn run(
        mut self,
        vocab: &mut Vocab,
        vocab_size: usize,
        min_frequency: u64,
        prefix: &str,
        watch: Watch<'_>,
    ) -> Result<Vec<Pair>> {
        let mut merges = Vec::new();
        while vocab.tokens.len() < vocab_size {
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
            if count < min_frequency.max(1) {
                break;
            }
            let second = &vocab.tokens[pair.1 as usize];
            let second = second.strip_prefix(prefix).unwrap_or(second);
            let merged = format!("{}{second}", vocab.tokens[pair.0 as usize]);
            let id = vocab.id(merged);
            merges.push(pair);
            self.merge(pair, id);
        }
        Ok(merges)
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
