//! Masks for masked-language modelling as a pure function of (seed, epoch, sample).
//!
//! The recipe of BERT (Devlin et al., NAACL 2019, 1810.04805, appendix A.1): 15 % of the positions are to be predicted; of these 80 % show
//! `[MASK]`, 10 % a random token and 10 % the token itself.

use serde::{Deserialize, Serialize};

use crate::rng::{self, Stream};
use crate::{Error, Result, SpecialIds};

/// How many positions of a sample are predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskCount {
    /// Every position is drawn on its own, as `transformers` does; the number varies from sample to sample.
    #[default]
    Independent,
    /// `round(rate × eligible positions)`, as the original BERT does. Unless a sample holds `[UNK]` or separators the number is the same for
    /// all, which keeps the shapes of a training step constant.
    Exact,
}

/// The masking recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Masking {
    /// Share of the positions that are not special to be predicted.
    pub rate: f64,
    /// Share of these that show `[MASK]`.
    pub mask_share: f64,
    /// Share of these that show a random token; the rest shows the token itself.
    pub random_share: f64,
    /// How the number of positions is chosen.
    pub count: MaskCount,
}

impl Default for Masking {
    fn default() -> Self {
        Self {
            rate: 0.15,
            mask_share: 0.8,
            random_share: 0.1,
            count: MaskCount::Independent,
        }
    }
}

impl Masking {
    /// Checks that the shares are shares.
    ///
    /// # Errors
    /// [`Error::BadSetting`].
    pub fn check(&self) -> Result<()> {
        let bad = |name, expected, found: f64| {
            Err(Error::BadSetting {
                name,
                expected,
                found: found.to_string(),
            })
        };
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            return bad("masking.rate", "above 0 and at most 1", self.rate);
        }
        if !(0.0..=1.0).contains(&self.mask_share) {
            return bad("masking.mask_share", "between 0 and 1", self.mask_share);
        }
        if !(0.0..=1.0).contains(&self.random_share) || self.mask_share + self.random_share > 1.0 + 1e-9 {
            return bad(
                "masking.random_share",
                "between 0 and 1 - mask_share",
                self.random_share,
            );
        }
        Ok(())
    }

    /// Masks one sample in place and returns the masked positions in rising order with the ids that stood there. Special tokens are
    /// never masked and never drawn as random tokens. At least one position is masked, unless every token is special.
    pub(crate) fn apply(&self, ids: &mut [i32], vocab: &MaskVocab, sample_key: u64) -> Vec<(usize, i32)> {
        let mut stream = Stream::new(sample_key);
        let mut eligible: Vec<usize> = (0..ids.len())
            .filter(|&at| !vocab.special.contains(ids[at].cast_unsigned()))
            .collect();
        if eligible.is_empty() {
            return Vec::new();
        }
        let chosen = match self.count {
            MaskCount::Independent => {
                let drawn: Vec<usize> = eligible.iter().copied().filter(|_| stream.unit() < self.rate).collect();
                if drawn.is_empty() {
                    vec![eligible[stream.below(eligible.len() as u64) as usize]]
                } else {
                    drawn
                }
            }
            MaskCount::Exact => {
                let count = ((self.rate * eligible.len() as f64).round() as usize).clamp(1, eligible.len());
                // The first `count` steps of a Fisher-Yates shuffle.
                for at in 0..count {
                    let other = at + stream.below((eligible.len() - at) as u64) as usize;
                    eligible.swap(at, other);
                }
                eligible.truncate(count);
                eligible.sort_unstable();
                eligible
            }
        };
        chosen
            .into_iter()
            .map(|at| {
                let label = ids[at];
                let draw = stream.unit();
                if draw < self.mask_share {
                    ids[at] = vocab.mask.cast_signed();
                } else if draw < self.mask_share + self.random_share {
                    ids[at] = vocab.random(&mut stream).cast_signed();
                }
                (at, label)
            })
            .collect()
    }
}

/// What masking knows of the vocabulary.
#[derive(Debug, Clone)]
pub(crate) struct MaskVocab {
    special: SpecialIds,
    mask: u32,
    /// Ids that are not special.
    ordinary: Vec<u32>,
}

impl MaskVocab {
    pub(crate) fn new(special: SpecialIds, mask: u32, vocab_size: usize) -> Self {
        Self {
            special,
            mask,
            ordinary: (0..vocab_size as u32).filter(|&id| !special.contains(id)).collect(),
        }
    }

    fn random(&self, stream: &mut Stream) -> u32 {
        let at = stream.below(self.ordinary.len().max(1) as u64) as usize;
        self.ordinary.get(at).copied().unwrap_or(self.mask)
    }
}

/// The key of one sample's masks. The word in front keeps it apart from the keys of the sample order.
pub(crate) fn sample_key(seed: u64, epoch: u64, sample: u64) -> u64 {
    const MASKS: u64 = 0x6d61_736b;
    rng::key(&[MASKS, seed, epoch, sample])
}
