//! The processes that share one run.

mod layers;
mod shares;
mod state;
mod threads;
mod tree;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use crate::Error;

pub use layers::{LayerRanks, LayerSums};
pub(crate) use shares::{AT_A_TIME, Shares};
pub use shares::{largest_share, shares};
pub(crate) use state::{broadcast_progress, broadcast_state, check_replicas, hash_of};
pub use threads::ThreadRank;
pub use tree::sum_blocks;
pub(crate) use tree::{Tree, absent};

/// The ranks that share the micro-batches of one run. All of them call the same functions in the same order, and each call ends only when
/// every rank has made it.
///
/// [`Alone`] is a run of one rank, [`ThreadRank`] one of several in a process; another program or library brings its own body.
pub trait Collective: Debug {
    /// This rank, from 0. Rank 0 alone writes and speaks.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// What every rank gave, in the order of the ranks; all give equally many numbers.
    ///
    /// # Errors
    /// [`Error::RankLost`].
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, Error>;

    /// Replaces the numbers by their sums over the ranks, with the additions in the order of [`sum_blocks`]: so the sums do not depend on how
    /// messages travel. All ranks give equally many.
    ///
    /// # Errors
    /// [`Error::RankLost`].
    fn sum(&self, values: &mut Vec<f32>) -> Result<(), Error>;

    /// The sums over the ranks of one part of the numbers, with the additions in the order of [`sum_blocks`]. Part `r` has `parts[r]` numbers
    /// and is for rank `r`; all ranks give all parts, one after the other.
    ///
    /// # Errors
    /// [`Error::RankLost`].
    fn sum_parts(&self, mut values: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        self.sum(&mut values)?;
        let first = parts.iter().take(self.rank()).sum();
        Ok(values
            .into_iter()
            .skip(first)
            .take(part_of(parts, self.rank()))
            .collect())
    }

    /// What every rank gave, in the order of the ranks: `parts[r]` numbers by rank `r`.
    ///
    /// # Errors
    /// [`Error::RankLost`].
    fn gather_parts(&self, mine: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        let before: usize = parts.iter().take(self.rank()).sum();
        let all: usize = parts.iter().sum();
        let mut values: Vec<f32> = absent(before).chain(mine).collect();
        values.extend(absent(all.saturating_sub(values.len())));
        self.sum(&mut values)?;
        Ok(values)
    }

    /// Replaces the bytes by those of rank 0, however many those are.
    ///
    /// # Errors
    /// [`Error::RankLost`].
    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error>;

    /// Waits until all ranks have come here. One may be long about work that it does for all, so nobody is impatient.
    ///
    /// # Errors
    /// [`Error::RankLost`].
    fn meet(&self) -> Result<(), Error> {
        self.all_gather(&[]).map(drop)
    }
}

impl<T: Collective + ?Sized> Collective for Arc<T> {
    fn rank(&self) -> usize {
        self.as_ref().rank()
    }

    fn size(&self) -> usize {
        self.as_ref().size()
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, Error> {
        self.as_ref().all_gather(mine)
    }

    fn sum(&self, values: &mut Vec<f32>) -> Result<(), Error> {
        self.as_ref().sum(values)
    }

    fn sum_parts(&self, values: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        self.as_ref().sum_parts(values, parts)
    }

    fn gather_parts(&self, mine: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        self.as_ref().gather_parts(mine, parts)
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.as_ref().broadcast(bytes)
    }

    fn meet(&self) -> Result<(), Error> {
        self.as_ref().meet()
    }
}

/// How many numbers are for a rank.
fn part_of(parts: &[usize], rank: usize) -> usize {
    parts.get(rank).copied().unwrap_or_default()
}

/// A run of one rank.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, Error> {
        Ok(mine.to_vec())
    }

    fn sum(&self, _: &mut Vec<f32>) -> Result<(), Error> {
        Ok(())
    }

    fn broadcast(&self, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}

/// The micro-steps of a step that this rank computes: neighbors, so that what is added first within a rank is what one rank would add first.
pub(crate) fn share(ranks: &dyn Collective, accumulation: usize) -> Range<usize> {
    let each = accumulation / ranks.size();
    let first = each * ranks.rank();
    first..first + each
}

/// # Errors
/// [`Error::UnevenShares`].
pub(crate) fn check_shares(ranks: &dyn Collective, accumulation: usize) -> Result<(), Error> {
    if accumulation.is_multiple_of(ranks.size()) {
        return Ok(());
    }
    Err(Error::UnevenShares {
        accumulation,
        ranks: ranks.size(),
    })
}

/// What rank 0 says.
///
/// # Errors
/// [`Error::RankLost`].
pub(crate) fn as_first_says(ranks: &dyn Collective, mine: bool) -> Result<bool, Error> {
    let all = ranks.all_gather(&[u64::from(mine)])?;
    Ok(all.first().is_some_and(|first| *first == 1))
}

/// Whether any rank says so.
///
/// # Errors
/// [`Error::RankLost`].
pub(crate) fn any(ranks: &dyn Collective, mine: bool) -> Result<bool, Error> {
    Ok(ranks.all_gather(&[u64::from(mine)])?.contains(&1))
}

/// Refuses ranks whose runs differ from that of rank 0.
///
/// # Errors
/// [`Error::OtherRank`] and [`Error::RankLost`].
pub(crate) fn check_agreement(ranks: &dyn Collective, run: u64) -> Result<(), Error> {
    let all = ranks.all_gather(&[run])?;
    match all.iter().position(|other| *other != all[0]) {
        Some(rank) => Err(Error::OtherRank { rank }),
        None => Ok(()),
    }
}
