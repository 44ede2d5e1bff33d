//! Which rank keeps the optimizer's state of which parameter (ZeRO-1, arXiv:1910.02054): whole tensors, since the norm of a gradient and Muon's
//! step are sums over a tensor, whose bits hang on where they are cut.

use std::cmp::Reverse;

use super::{Collective, part_of};
use crate::store::download;
use crate::{Error, ParamStore};

/// Numbers that all ranks together exchange at a time: as many are on the host of each beside the gradients.
pub(crate) const AT_A_TIME: usize = 1 << 24;

/// The rank that each tensor is dealt to: the largest first, each to the rank that has the fewest numbers so far.
///
/// `counts` are the numbers of the tensors. No share is larger than an even one by more than the largest tensor.
pub fn shares(counts: &[usize], ranks: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|i| Reverse(counts[*i]));
    let mut dealt = vec![0; ranks.max(1)];
    let mut owners = vec![0; counts.len()];
    for i in order {
        let least = (0..dealt.len()).min_by_key(|rank| dealt[*rank]).unwrap_or_default();
        dealt[least] += counts[i];
        owners[i] = least;
    }
    owners
}

/// The part of all numbers that the rank with the largest of [`shares`] has.
pub fn largest_share(counts: &[usize], ranks: usize) -> f64 {
    let mut dealt = vec![0; ranks.max(1)];
    for (owner, count) in shares(counts, ranks).into_iter().zip(counts) {
        dealt[owner] += count;
    }
    let most = dealt.into_iter().max().unwrap_or_default();
    most as f64 / counts.iter().sum::<usize>().max(1) as f64
}

/// The shares of a run's parameters.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    owners: Vec<usize>,
    counts: Vec<usize>,
    rank: usize,
    size: usize,
}

/// The tensors of one rank as one row of numbers, of which some are exchanged at a time.
#[derive(Debug)]
pub(crate) struct Lane {
    places: std::vec::IntoIter<usize>,
    /// What is left of the tensor that is read.
    rest: std::vec::IntoIter<f32>,
    /// What is there of the tensor that is written.
    begun: Vec<f32>,
}

impl Shares {
    pub(crate) fn new(counts: Vec<usize>, ranks: &dyn Collective) -> Self {
        Self {
            owners: shares(&counts, ranks.size()),
            counts,
            rank: ranks.rank(),
            size: ranks.size(),
        }
    }

    /// How many tensors there are.
    pub(crate) fn len(&self) -> usize {
        self.owners.len()
    }

    pub(crate) fn is_mine(&self, i: usize) -> bool {
        self.owner(i) == self.rank
    }

    pub(crate) fn owner(&self, i: usize) -> usize {
        self.owners.get(i).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self, i: usize) -> usize {
        self.counts.get(i).copied().unwrap_or_default()
    }

    /// The tensors of each rank among these.
    pub(crate) fn lanes(&self, places: &[usize]) -> Vec<Lane> {
        (0..self.size).map(|rank| self.lane(rank, places)).collect()
    }

    /// The tensors of this rank among these.
    pub(crate) fn lane(&self, rank: usize, places: &[usize]) -> Lane {
        let places = places.iter().copied().filter(|i| self.owner(*i) == rank);
        Lane {
            places: places.collect::<Vec<_>>().into_iter(),
            rest: Vec::new().into_iter(),
            begun: Vec::new(),
        }
    }

    /// How many numbers each rank's lane has in every exchange: the same of each, as long as it lasts.
    pub(crate) fn rounds(&self, places: &[usize]) -> Vec<Vec<usize>> {
        let mut left = vec![0; self.size];
        for i in places {
            left[self.owner(*i)] += self.count(*i);
        }
        let each = (AT_A_TIME / self.size).max(1);
        let mut rounds = Vec::new();
        while left.iter().any(|numbers| *numbers > 0) {
            let parts: Vec<usize> = left.iter().map(|numbers| each.min(*numbers)).collect();
            left.iter_mut().zip(&parts).for_each(|(left, part)| *left -= part);
            rounds.push(parts);
        }
        rounds
    }

    /// Gives all ranks the values of the tensors at these places, each from the rank that has updated it.
    ///
    /// # Errors
    /// [`Error::RankLost`], and failures of the device.
    pub(crate) fn gather(&self, ranks: &dyn Collective, store: &mut ParamStore, places: &[usize]) -> Result<(), Error> {
        let (mut mine, mut all) = (self.lane(self.rank, places), self.lanes(places));
        let names: Vec<String> = store.infos().iter().map(|info| info.name.clone()).collect();
        for parts in self.rounds(places) {
            let mut given = Vec::with_capacity(part_of(&parts, self.rank));
            let read = |i: usize| download(&names[i], &store.values()[i]);
            mine.read(part_of(&parts, self.rank), &mut given, read)?;
            let values = ranks.gather_parts(given, &parts)?;
            let theirs = all.iter_mut().zip(parts_of(&values, &parts)).enumerate();
            for (_, (lane, values)) in theirs.filter(|(rank, _)| *rank != self.rank) {
                lane.write(values, self, |i, values| store.set(&names[i], values))?;
            }
        }
        Ok(())
    }

    /// The tensor at this place, from who keeps it; `mine` is asked on that rank alone.
    ///
    /// # Errors
    /// [`Error::RankLost`], and those of `mine`.
    pub(crate) fn fetch(
        &self,
        ranks: &dyn Collective,
        i: usize,
        mine: impl FnOnce() -> Result<Vec<f32>, Error>,
    ) -> Result<Vec<f32>, Error> {
        let mut parts = vec![0; self.size];
        parts[self.owner(i)] = self.count(i);
        let given = if self.is_mine(i) { mine()? } else { Vec::new() };
        ranks.gather_parts(given, &parts)
    }
}

impl Lane {
    /// Appends the next numbers of the lane; `read` has the tensor at a place.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn read(
        &mut self,
        count: usize,
        into: &mut Vec<f32>,
        mut read: impl FnMut(usize) -> Result<Vec<f32>, Error>,
    ) -> Result<(), Error> {
        let end = into.len() + count;
        while into.len() < end {
            if self.rest.len() == 0 {
                let Some(place) = self.places.next() else { break };
                self.rest = read(place)?.into_iter();
            }
            into.extend(self.rest.by_ref().take(end - into.len()));
        }
        Ok(())
    }

    /// Takes the next numbers of the lane; `done` gets each tensor that is whole.
    ///
    /// # Errors
    /// Those of `done`.
    pub(crate) fn write(
        &mut self,
        mut numbers: &[f32],
        shares: &Shares,
        mut done: impl FnMut(usize, Vec<f32>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while let Some(place) = self.places.as_slice().first() {
            let count = shares.count(*place);
            let lacking = count - self.begun.len();
            let (now, later) = numbers.split_at(lacking.min(numbers.len()));
            self.begun.reserve_exact(lacking);
            self.begun.extend_from_slice(now);
            numbers = later;
            if self.begun.len() < count {
                break;
            }
            done(*place, std::mem::take(&mut self.begun))?;
            self.places.next();
        }
        Ok(())
    }
}

/// Cuts what was gathered into what each rank gave.
pub(crate) fn parts_of<'a>(values: &'a [f32], parts: &'a [usize]) -> impl Iterator<Item = &'a [f32]> {
    let mut rest = values;
    (0..parts.len()).map(move |rank| {
        let (now, later) = rest.split_at(part_of(parts, rank).min(rest.len()));
        rest = later;
        now
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tensors_are_dealt_out_evenly_and_all_of_them() {
        assert_eq!(shares(&[5, 5, 5, 5], 2), [0, 1, 0, 1]);
        assert_eq!(shares(&[1, 10, 2, 3, 4], 2), [1, 0, 1, 1, 1]);
        assert_eq!(shares(&[3, 4], 5), [1, 0]);
        assert!(shares(&[], 3).is_empty());
        assert_eq!(largest_share(&[5, 5, 5, 5], 2), 0.5);
        assert_eq!(largest_share(&[6, 1, 1], 4), 0.75);
        assert_eq!(largest_share(&[6, 2], 1), 1.0);
        let counts: Vec<usize> = (0..97).map(|i| i * 7919 % 1000 + 1).collect();
        for ranks in [1, 2, 3, 8] {
            let mut sums = vec![0; ranks];
            let owners = shares(&counts, ranks);
            owners
                .iter()
                .zip(&counts)
                .for_each(|(owner, count)| sums[*owner] += count);
            assert_eq!(sums.iter().sum::<usize>(), counts.iter().sum::<usize>());
            let even = counts.iter().sum::<usize>() / ranks;
            assert!(sums.iter().all(|sum| sum.abs_diff(even) < 20), "{sums:?}");
        }
    }

    #[test]
    fn a_lane_that_is_cut_anywhere_gives_the_tensors_that_were_put_in() {
        let counts = vec![3, 7, 1, 5, 2];
        let shares = Shares {
            owners: vec![0, 1, 0, 0, 1],
            counts: counts.clone(),
            rank: 0,
            size: 2,
        };
        let tensor = |i: usize| (0..counts[i]).map(|k| (10 * i + k) as f32).collect::<Vec<_>>();
        for cut in 1..10 {
            let [mut from, mut to] = [(); 2].map(|()| shares.lanes(&[0, 2, 3]).swap_remove(0));
            let mut found = Vec::new();
            let mut left = 9;
            while left > 0 {
                let now = cut.min(left);
                let mut numbers = Vec::new();
                from.read(now, &mut numbers, |i| Ok(tensor(i))).unwrap();
                assert_eq!(numbers.len(), now);
                let mut done = |i, values| {
                    found.push((i, values));
                    Ok(())
                };
                to.write(&numbers, &shares, &mut done).unwrap();
                left -= now;
            }
            assert_eq!(found, [0, 2, 3].map(|i| (i, tensor(i))));
        }
        assert_eq!(shares.rounds(&[0, 1, 2, 3, 4]), [[9, 9]]);
        let parts: Vec<_> = parts_of(&[1.0, 2.0, 3.0], &[2, 0, 1]).map(<[f32]>::to_vec).collect();
        assert_eq!(parts, [vec![1.0, 2.0], vec![], vec![3.0]]);
    }
}
