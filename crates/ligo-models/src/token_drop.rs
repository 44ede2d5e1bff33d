use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};

use ligo_ops::traffic;

use crate::Error;
use crate::dropout::mix;

/// Token dropping (Hou et al., arXiv:2203.13240) with tokens chosen at random, as the LiGO paper uses it: in the middle of the stack only
/// some tokens of each sequence are processed; the others keep their states, and all are together again for the layers above.
///
/// Every sequence keeps the same number of tokens, in their order. Which ones is a function of the seed, the sequence's place in the batch
/// and the token's place in the sequence. Tokens that stand for a whole sequence always stay: the first of BERT and RoBERTa, class and
/// distillation tokens of ViT and DeiT. Masks, documents, positions and rotations are those of the tokens that are left, and windows of
/// attention count those that are not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenDrop {
    /// The first layer that runs on the kept tokens only, 0 for the lowest.
    pub from_layer: usize,
    /// The first layer above it that runs on all tokens again; the number of layers to merge behind the last one.
    pub to_layer: usize,
    /// The share of tokens that is kept, more than 0 and up to 1.
    pub keep: f64,
    /// Decides which tokens are kept. Give every step its own.
    pub seed: u64,
}

impl TokenDrop {
    /// The number of tokens of a sequence of `seq_len` that the layers in the middle process: `keep · seq_len`, rounded, and at least one.
    /// (A DeiT keeps its two extra tokens even where this is less.)
    pub fn kept_tokens(&self, seq_len: usize) -> usize {
        // A cast of a float saturates, and NaN becomes 0.
        ((self.keep * seq_len as f64).round() as usize).clamp(1.min(seq_len), seq_len)
    }

    /// The layers in the middle.
    pub(crate) fn layers(&self) -> Range<usize> {
        self.from_layer..self.to_layer
    }

    pub(crate) fn check(&self, depth: usize) -> Result<(), Error> {
        let Self {
            from_layer: from,
            to_layer: to,
            keep,
            ..
        } = *self;
        if from >= to || to > depth {
            return Err(Error::WrongSpan { from, to, depth });
        }
        if keep > 0.0 && keep <= 1.0 {
            Ok(())
        } else {
            Err(Error::WrongShare { keep })
        }
    }

    /// Divides the tokens of a batch, of which the first `staying` of each sequence are kept; `None` when all are.
    pub(crate) fn divide(&self, [batch, length]: [usize; 2], staying: usize, device: &Device) -> Option<Division> {
        let kept = self.kept_tokens(length).max(staying.min(length));
        if kept == length {
            return None;
        }
        let seed = mix(self.seed);
        let mut chosen = Vec::with_capacity(batch * kept);
        let mut others = Vec::with_capacity(batch * (length - kept));
        let mut origin = Vec::with_capacity(batch * length);
        for sequence in 0..batch {
            let start = sequence * length;
            let mut order: Vec<usize> = (0..length).collect();
            // Those that stay have the smallest keys; the place decides between equal ones.
            order.sort_by_key(|&l| {
                if l < staying {
                    (0, 0)
                } else {
                    (1, mix(seed ^ mix((start + l) as u64)))
                }
            });
            let (front, back) = order.split_at_mut(kept);
            front.sort_unstable();
            back.sort_unstable();
            chosen.extend(front.iter().map(|l| start + l));
            others.extend(back.iter().map(|l| start + l));
            let mut places = vec![0; length];
            for (place, &l) in order.iter().enumerate() {
                places[l] = start + place;
            }
            origin.extend(places);
        }
        let table = |rows: Vec<usize>, width: usize| {
            let rows: Vec<i64> = rows.into_iter().map(|row| row as i64).collect();
            traffic::upload::<2, Int>(TensorData::new(rows, [batch, width]), device)
        };
        Some(Division {
            kept: table(chosen, kept),
            others: table(others, length - kept),
            origin: table(origin, length),
        })
    }
}

/// Which tokens of a batch are processed and which are not. Rows are counted through the batch: `b · L + l`.
#[derive(Clone, Debug)]
pub(crate) struct Division {
    /// Rows of the kept tokens, `[B, K]`.
    kept: Tensor<2, Int>,
    /// Rows of the others, `[B, L - K]`.
    others: Tensor<2, Int>,
    /// Where each token is when the kept ones of its sequence stand in front of the others, `[B, L]`.
    origin: Tensor<2, Int>,
}

impl Division {
    /// The states of the kept tokens and of the others: `[B, K, D]` and `[B, L - K, D]` of `[B, L, D]`.
    pub(crate) fn split(&self, x: Tensor<3>) -> [Tensor<3>; 2] {
        [&self.kept, &self.others].map(|rows| pick(x.clone(), rows))
    }

    /// All tokens in their places again: the inverse of [`Division::split`].
    pub(crate) fn merge(&self, kept: Tensor<3>, others: Tensor<3>) -> Tensor<3> {
        pick(Tensor::cat(vec![kept, others], 1), &self.origin)
    }

    /// What every token has, of the kept ones: `[B, K]` of `[B, L]`.
    pub(crate) fn keep(&self, x: Tensor<2>) -> Tensor<2> {
        x.gather(1, self.places())
    }

    /// [`Division::keep`] of integers.
    pub(crate) fn keep_ids(&self, x: Tensor<2, Int>) -> Tensor<2, Int> {
        x.gather(1, self.places())
    }

    /// The place of each kept token in its sequence, `[B, K]`.
    pub(crate) fn places(&self) -> Tensor<2, Int> {
        let [_, length] = self.origin.dims();
        self.kept.clone().remainder_scalar(length as i64)
    }
}

/// Rows of all the sequences' tokens: `[B, N, D]` of `x [B, L, D]` and `rows [B, N]`.
fn pick(x: Tensor<3>, rows: &Tensor<2, Int>) -> Tensor<3> {
    let [batch, length, width] = x.dims();
    // The table's gradient is a sum over equal ids; here no id comes twice, so it is a copy.
    ligo_ops::embedding(x.reshape([batch * length, width]), rows.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(keep: f64, seed: u64) -> TokenDrop {
        TokenDrop {
            from_layer: 1,
            to_layer: 2,
            keep,
            seed,
        }
    }

    /// The places of the kept tokens of two sequences of ten.
    fn places(drop: &TokenDrop, staying: usize) -> [Vec<i64>; 2] {
        let division = drop
            .divide([2, 10], staying, &Device::flex())
            .unwrap_or_else(|| panic!("all are kept"));
        let places: Vec<i64> = division.places().into_data().iter().collect();
        let (first, second) = places.split_at(places.len() / 2);
        [first.to_vec(), second.to_vec()]
    }

    #[test]
    fn every_sequence_keeps_as_many_tokens_in_their_order() {
        for keep in [0.01, 0.26, 0.5, 0.85] {
            for kept in places(&drop(keep, 3), 0) {
                assert_eq!(kept.len(), drop(keep, 3).kept_tokens(10));
                assert!(kept.is_sorted() && kept.iter().all(|l| (0..10).contains(l)));
                assert!(kept.windows(2).all(|pair| pair[0] != pair[1]));
            }
        }
        assert_eq!(
            [0.01, 0.26, 0.5, 0.85, 1.0].map(|keep| drop(keep, 3).kept_tokens(10)),
            [1, 3, 5, 9, 10]
        );
        assert_eq!(drop(0.5, 3).kept_tokens(0), 0);
    }

    #[test]
    fn the_seed_decides_which_tokens_are_kept() {
        assert_eq!(places(&drop(0.5, 3), 1), places(&drop(0.5, 3), 1));
        assert_ne!(places(&drop(0.5, 3), 1), places(&drop(0.5, 4), 1));
        let [first, second] = places(&drop(0.5, 3), 1);
        assert_ne!(first, second);
    }

    #[test]
    fn every_token_is_kept_as_often_as_any_other_but_for_those_that_stay() {
        let mut counts = [0; 10];
        for seed in 0..1000 {
            for kept in places(&drop(0.4, seed), 2) {
                kept.iter().for_each(|&l| counts[l as usize] += 1);
            }
        }
        assert_eq!(counts[..2], [2000, 2000]);
        // Two of the other eight: 500 times each in 2000 draws, with a standard deviation of 19.
        assert!(counts[2..].iter().all(|count| (420..580).contains(count)), "{counts:?}");
    }

    #[test]
    fn tokens_that_stay_are_kept_however_small_the_share() {
        assert_eq!(places(&drop(0.1, 5), 2), [vec![0, 1], vec![0, 1]]);
        assert!(drop(0.1, 5).divide([2, 2], 2, &Device::flex()).is_none());
        assert!(drop(1.0, 5).divide([2, 10], 0, &Device::flex()).is_none());
    }

    #[test]
    fn what_is_split_and_merged_is_what_it_was() {
        let device = Device::flex();
        let values: Vec<f32> = (0..60).map(|i| i as f32).collect();
        let x = Tensor::<3>::from_data(TensorData::new(values, [2, 10, 3]), &device);
        let division = drop(0.6, 9)
            .divide([2, 10], 1, &device)
            .unwrap_or_else(|| panic!("all are kept"));
        let [kept, others] = division.split(x.clone());
        assert_eq!((kept.dims(), others.dims()), ([2, 6, 3], [2, 4, 3]));
        let marks = x.clone().slice_dim(2, 0..1).squeeze_dim::<2>(2);
        let expected: Vec<f32> = division.keep(marks).into_data().iter().collect();
        let found: Vec<f32> = kept.clone().slice_dim(2, 0..1).into_data().iter().collect();
        assert_eq!(found, expected);
        assert_eq!(division.merge(kept, others).into_data(), x.into_data());
    }
}
