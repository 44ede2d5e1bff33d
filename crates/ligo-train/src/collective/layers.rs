use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ligo_ops::Group;

use super::Collective;
use crate::Error;

/// Ranks that compute the layers of a model together ([`ligo_models::SplitModel`]), over any [`Collective`], with what they send counted.
///
/// All of them go through the same batches; they are no ranks of [`Trainer::with_ranks`](crate::Trainer::with_ranks), which go through different ones.
#[derive(Debug)]
pub struct LayerRanks<C> {
    ranks: C,
    sums: AtomicU64,
    bytes: AtomicU64,
    /// The rank that was lost first, and how.
    lost: Mutex<Option<(Option<usize>, String)>>,
}

/// What [`LayerRanks`] have summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerSums {
    /// How often.
    pub count: u64,
    /// Bytes that each rank gave to them; as many came back. What goes over the network depends on the [`Collective`]: about twice as many times `(N - 1) / N`.
    pub bytes: u64,
}

impl<C: Collective> LayerRanks<C> {
    /// Ranks that have summed nothing yet.
    pub fn new(ranks: C) -> Self {
        Self {
            ranks,
            sums: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            lost: Mutex::new(None),
        }
    }

    /// The ranks, for what else they have to say to each other.
    pub fn ranks(&self) -> &C {
        &self.ranks
    }

    /// What was summed up to now.
    pub fn sums(&self) -> LayerSums {
        LayerSums {
            count: self.sums.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Whether all sums came about.
    ///
    /// # Errors
    /// [`Error::RankLost`], again and again: what was computed since is NaN.
    pub fn check(&self) -> Result<(), Error> {
        match self.lost() {
            None => Ok(()),
            Some((rank, reason)) => Err(Error::RankLost { rank, reason }),
        }
    }

    fn lost(&self) -> Option<(Option<usize>, String)> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<C: Collective + Send + Sync> Group for LayerRanks<C> {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn size(&self) -> usize {
        self.ranks.size()
    }

    fn sum(&self, mut values: Vec<f32>) -> Vec<f32> {
        let count = values.len();
        let nothing = || vec![f32::NAN; count];
        // After a sum that failed, the others are somewhere else, or gone.
        if self.lost().is_some() {
            return nothing();
        }
        self.sums.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(4 * count as u64, Ordering::Relaxed);
        match self.ranks.sum(&mut values) {
            Ok(()) => values,
            Err(error) => {
                let lost = match error {
                    Error::RankLost { rank, reason } => (rank, reason),
                    other => (None, other.to_string()),
                };
                *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(lost);
                nothing()
            }
        }
    }

    fn fault(&self) -> Option<String> {
        self.check().err().map(|error| error.to_string())
    }
}
