use std::cell::Cell;

use ligo_ops::Dropout;

/// Hands every dropout site of one forward pass its own seed.
///
/// The seed of a site is a pure function of (seed of the stream, number of the site), so two passes with equal
/// streams drop the same elements, whatever ran before. Make one stream per forward pass, with a seed that
/// depends on the run, the step and the micro-step.
///
/// ```
/// use ligo_models::DropoutStream;
///
/// let (a, b) = (DropoutStream::new(7), DropoutStream::new(7));
/// assert_eq!(a.next(0.1), b.next(0.1)); // the first site of either
/// assert_ne!(a.next(0.1), a.next(0.1)); // two sites of one pass
/// assert_eq!(DropoutStream::off().next(0.1), None);
/// ```
#[derive(Clone, Debug)]
pub struct DropoutStream {
    seed: Option<u64>,
    // A `Cell`, not an atomic: passes that run at once must not share a stream, or their order would matter.
    site: Cell<u64>,
}

impl DropoutStream {
    /// No dropout: evaluation.
    pub fn off() -> Self {
        Self {
            seed: None,
            site: Cell::new(0),
        }
    }

    /// Dropout from this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed: Some(seed),
            site: Cell::new(0),
        }
    }

    /// The mask of the next site, which drops elements with probability `probability`; `None` when nothing is
    /// to be dropped.
    pub fn next(&self, probability: f64) -> Option<Dropout> {
        let site = self.site.get();
        // Sites with probability 0 count too, so the numbers follow from the model's structure alone.
        self.site.set(site.wrapping_add(1));
        let seed = self.seed?;
        (probability > 0.0).then(|| Dropout {
            probability,
            seed: mix(mix(seed).wrapping_add(site)),
        })
    }

    /// Passes by sites that this pass does not reach, so that those behind them keep their numbers.
    pub(crate) fn skip(&self, sites: u64) {
        self.site.set(self.site.get().wrapping_add(sites));
    }

    /// The sites from the next one on, which [`DropoutStream::from`] goes through once more.
    pub(crate) fn sites(&self) -> Sites {
        Sites {
            seed: self.seed,
            next: self.site.get(),
        }
    }

    /// The number of the next site.
    #[cfg(test)]
    pub(crate) fn site(&self) -> u64 {
        self.site.get()
    }
}

/// A place in a stream.
#[derive(Clone, Copy)]
pub(crate) struct Sites {
    seed: Option<u64>,
    next: u64,
}

impl From<Sites> for DropoutStream {
    fn from(Sites { seed, next }: Sites) -> Self {
        Self {
            seed,
            site: Cell::new(next),
        }
    }
}

/// The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection that mixes all bits.
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_without_dropout_does_not_shift_the_seeds_of_later_sites() {
        let (a, b) = (DropoutStream::new(3), DropoutStream::new(3));
        a.next(0.0);
        b.next(0.5);
        assert_eq!(a.next(0.1), b.next(0.1));
    }

    #[test]
    fn neighboring_streams_share_no_seed() {
        let seeds = |s: u64| {
            let stream = DropoutStream::new(s);
            (0..100)
                .filter_map(|_| stream.next(0.1).map(|d| d.seed))
                .collect::<Vec<_>>()
        };
        let (a, b) = (seeds(1), seeds(2));
        assert_eq!(a.len(), 100);
        assert!(a.iter().all(|s| !b.contains(s)));
    }
}
