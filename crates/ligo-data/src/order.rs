//! The order of samples as a pure function of (seed, epoch, index).
//!
//! A stored shuffle costs memory and a file that must survive a crash. A Feistel network is a permutation that can be evaluated at one point:
//! it maps `0..4^k` to itself for any round function, and walking the cycle until the value falls below `len` restricts it to `0..len`
//! (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).

use serde::{Deserialize, Serialize};

use crate::rng;

const ROUNDS: usize = 8;

/// A place in the stream of samples: which pass over the corpus, and how many samples of it are already used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Pass over the corpus, from 0.
    pub epoch: u64,
    /// Samples of this epoch already used.
    pub index: u64,
}

/// The order in which the samples of every epoch are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleOrder {
    seed: u64,
    len: u64,
    shuffle: bool,
    repeats: u64,
}

/// One step of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    /// Pass over the corpus.
    pub epoch: u64,
    /// The sample.
    pub sample: u64,
    /// How often it was visited right before in this epoch.
    pub copy: u64,
}

impl SampleOrder {
    /// The order of `len` samples. With `shuffle` off every epoch counts from 0 to `len - 1`.
    pub fn new(seed: u64, len: u64, shuffle: bool) -> Self {
        Self {
            seed,
            len,
            shuffle,
            repeats: 1,
        }
    }

    /// The same order with every sample visited `repeats` times in a row (0 counts as 1). An epoch has as many steps as before, so it ends
    /// after a share of the samples; another share comes in the next epoch, when samples are shuffled.
    #[must_use]
    pub fn with_repeats(self, repeats: u64) -> Self {
        Self {
            repeats: repeats.max(1),
            ..self
        }
    }

    /// Steps in an epoch: as many as there are samples.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing to visit.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The sample visited at `index` of `epoch`: without repeats a bijection of `0..len` for every epoch. `index` must be below [`Self::len`].
    pub fn sample(&self, epoch: u64, index: u64) -> u64 {
        debug_assert!(index < self.len);
        if !self.shuffle || self.len < 2 {
            return index / self.repeats;
        }
        self.epoch(epoch).sample(index / self.repeats)
    }

    /// The sample ids of the next `count` steps from `cursor`, running on into the following epochs, each with the epoch it belongs to;
    /// and the cursor behind them.
    pub fn take(&self, cursor: Cursor, count: usize) -> (Vec<(u64, u64)>, Cursor) {
        let (visits, cursor) = self.visits(cursor, count);
        (visits.iter().map(|visit| (visit.epoch, visit.sample)).collect(), cursor)
    }

    /// [`Self::take`] with the number of each copy.
    pub(crate) fn visits(&self, cursor: Cursor, count: usize) -> (Vec<Visit>, Cursor) {
        let mut cursor = cursor;
        let mut visits = Vec::with_capacity(count);
        if self.len == 0 {
            return (visits, cursor);
        }
        let mut permutation = self.epoch(cursor.epoch);
        for _ in 0..count {
            if cursor.index >= self.len {
                cursor = Cursor {
                    epoch: cursor.epoch + 1,
                    index: 0,
                };
                permutation = self.epoch(cursor.epoch);
            }
            let place = cursor.index / self.repeats;
            visits.push(Visit {
                epoch: cursor.epoch,
                sample: if self.shuffle && self.len > 1 {
                    permutation.sample(place)
                } else {
                    place
                },
                copy: cursor.index % self.repeats,
            });
            cursor.index += 1;
        }
        // A cursor is always a place where a sample is waiting, so equal places compare equal.
        if cursor.index >= self.len {
            cursor = Cursor {
                epoch: cursor.epoch + 1,
                index: 0,
            };
        }
        (visits, cursor)
    }

    fn epoch(&self, epoch: u64) -> Permutation {
        // Both halves get the same width, so the domain is at most four times as large as `len` and the walk is short.
        let bits = 64 - self.len.saturating_sub(1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(1);
        let mut keys = [0; ROUNDS];
        for (round, slot) in keys.iter_mut().enumerate() {
            *slot = rng::key(&[self.seed, epoch, round as u64]);
        }
        Permutation {
            keys,
            half_bits,
            half_mask: (1u64 << half_bits) - 1,
            len: self.len,
        }
    }
}

/// The permutation of one epoch with its round keys worked out.
struct Permutation {
    keys: [u64; ROUNDS],
    half_bits: u32,
    half_mask: u64,
    len: u64,
}

impl Permutation {
    fn sample(&self, index: u64) -> u64 {
        let mut value = index;
        loop {
            value = self.feistel(value);
            if value < self.len {
                return value;
            }
        }
    }

    fn feistel(&self, value: u64) -> u64 {
        let (mut left, mut right) = (value >> self.half_bits, value & self.half_mask);
        for key in self.keys {
            (left, right) = (right, left ^ (rng::mix(right ^ key) & self.half_mask));
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_epoch_visits_every_sample_once(seed: u64, epoch in 0u64..5, len in 1u64..3000) {
            let order = SampleOrder::new(seed, len, true);
            let mut seen = vec![false; len as usize];
            for index in 0..len {
                let id = order.sample(epoch, index) as usize;
                prop_assert!(!seen[id], "sample {id} comes twice");
                seen[id] = true;
            }
        }

        #[test]
        fn a_huge_corpus_stays_in_range(seed: u64, len in 1u64..u64::MAX / 2, index: u64) {
            let order = SampleOrder::new(seed, len, true);
            prop_assert!(order.sample(3, index % len) < len);
        }
    }

    #[test]
    fn repeats_visit_a_share_of_the_samples_several_times_in_a_row_and_other_ones_in_the_next_epoch() {
        let (plain, order) = (
            SampleOrder::new(5, 100, true),
            SampleOrder::new(5, 100, true).with_repeats(3),
        );
        let (visits, end) = order.visits(Cursor::default(), 200);
        assert_eq!((order.len(), end), (100, Cursor { epoch: 2, index: 0 }));
        for (step, visit) in visits.iter().enumerate() {
            let (epoch, index) = (step as u64 / 100, step as u64 % 100);
            assert_eq!((visit.epoch, visit.copy), (epoch, index % 3));
            assert_eq!(visit.sample, plain.sample(epoch, index / 3));
            assert_eq!(visit.sample, order.sample(epoch, index));
        }
        let seen = |epoch: usize| -> std::collections::BTreeSet<u64> {
            visits[epoch * 100..][..100].iter().map(|visit| visit.sample).collect()
        };
        assert_eq!((seen(0).len(), seen(1).len()), (34, 34));
        assert_ne!(seen(0), seen(1));
        assert_eq!(plain.with_repeats(0), plain.with_repeats(1));
        assert_eq!(plain.with_repeats(1), plain);
    }

    #[test]
    fn taking_in_pieces_equals_taking_at_once() {
        for (shuffle, repeats) in [(false, 1), (true, 1), (true, 3)] {
            let order = SampleOrder::new(7, 23, shuffle).with_repeats(repeats);
            let (whole, end) = order.take(Cursor::default(), 60);
            let (mut pieces, mut cursor) = (Vec::new(), Cursor::default());
            for piece in [1, 22, 5, 17, 15] {
                let (ids, next) = order.take(cursor, piece);
                pieces.extend(ids);
                cursor = next;
            }
            assert_eq!(pieces, whole);
            assert_eq!(cursor, end);
            assert_eq!(whole[23].0, 1);
        }
    }

    #[test]
    fn epochs_and_seeds_differ_and_a_plain_order_counts() {
        let ids = |seed, epoch| {
            (0..100)
                .map(|i| SampleOrder::new(seed, 100, true).sample(epoch, i))
                .collect::<Vec<_>>()
        };
        assert_ne!(ids(1, 0), ids(1, 1));
        assert_ne!(ids(1, 0), ids(2, 0));
        assert_eq!(
            (0..5)
                .map(|i| SampleOrder::new(1, 5, false).sample(9, i))
                .collect::<Vec<_>>(),
            [0, 1, 2, 3, 4]
        );
    }

    #[test]
    fn neighbors_do_not_stay_neighbors() {
        // A uniform permutation of n has one expected pair (i, i + 1) that stays adjacent in order; allow a wide margin.
        let order = SampleOrder::new(11, 10_000, true);
        let kept = (0..9_999)
            .filter(|&i| order.sample(0, i) + 1 == order.sample(0, i + 1))
            .count();
        assert!(kept < 10, "{kept} neighbors kept");
    }
}
