use std::fmt::{self, Debug};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::tree::{absent, sum_blocks};
use super::{Collective, part_of};
use crate::Error;

/// One of several ranks within a process, each of which runs in a thread of its own: for the GPUs of one machine, and for tests.
///
/// A rank that is dropped, by the end of its thread or by a panic, is gone: whoever waits for it gets [`Error::RankLost`].
pub struct ThreadRank {
    rank: usize,
    meeting: Arc<Meeting>,
}

/// Where ranks exchange what they have.
struct Meeting {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Exchanges that are complete.
    rounds: u64,
    /// What was given for the next one.
    given: Vec<Option<Given>>,
    /// What all gave for the last one.
    complete: Arc<Vec<Given>>,
    gone: Option<usize>,
}

#[derive(Clone, Debug)]
enum Given {
    Numbers(Vec<u64>),
    Values(Vec<f32>),
    Bytes(Vec<u8>),
}

impl ThreadRank {
    /// The ranks of a run, each to be moved into its thread.
    pub fn all(size: usize) -> Vec<Self> {
        let meeting = Arc::new(Meeting {
            size,
            state: Mutex::new(State {
                rounds: 0,
                given: vec![None; size],
                complete: Arc::default(),
                gone: None,
            }),
            changed: Condvar::new(),
        });
        let rank = |rank| Self {
            rank,
            meeting: Arc::clone(&meeting),
        };
        (0..size).map(rank).collect()
    }

    /// What every rank gave, once all have given.
    fn exchange(&self, mine: Given) -> Result<Arc<Vec<Given>>, Error> {
        let meeting = &*self.meeting;
        let mut state = meeting.lock();
        let round = state.rounds;
        state.given[self.rank] = Some(mine);
        if state.given.iter().all(Option::is_some) {
            state.complete = Arc::new(state.given.iter_mut().filter_map(Option::take).collect());
            state.rounds += 1;
            meeting.changed.notify_all();
        }
        while state.rounds == round {
            if let Some(rank) = state.gone {
                return Err(Error::RankLost {
                    rank: Some(rank),
                    reason: "it has ended".into(),
                });
            }
            state = meeting.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(Arc::clone(&state.complete))
    }

    /// The ranks did not call the same function with equally much.
    fn out_of_step(rank: usize) -> Error {
        Error::RankLost {
            rank: Some(rank),
            reason: "it does something else than the others".into(),
        }
    }

    /// Lists of values of the same length, by rank.
    fn exchange_values(&self, mine: Vec<f32>) -> Result<Arc<Vec<Given>>, Error> {
        let len = mine.len();
        let all = self.exchange(Given::Values(mine))?;
        let fits = |given: &Given| matches!(given, Given::Values(values) if values.len() == len);
        match all.iter().position(|given| !fits(given)) {
            Some(rank) => Err(Self::out_of_step(rank)),
            None => Ok(all),
        }
    }
}

impl Meeting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ThreadRank {
    fn drop(&mut self) {
        let mut state = self.meeting.lock();
        state.gone = state.gone.or(Some(self.rank));
        self.meeting.changed.notify_all();
    }
}

impl Debug for ThreadRank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {} threads", self.rank, self.meeting.size)
    }
}

impl Collective for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.meeting.size
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, Error> {
        let all = self.exchange(Given::Numbers(mine.to_vec()))?;
        let mut numbers = Vec::with_capacity(mine.len() * all.len());
        for (rank, given) in all.iter().enumerate() {
            match given {
                Given::Numbers(theirs) if theirs.len() == mine.len() => numbers.extend(theirs),
                _ => return Err(Self::out_of_step(rank)),
            }
        }
        Ok(numbers)
    }

    fn sum(&self, values: &mut Vec<f32>) -> Result<(), Error> {
        // Each adds up one part of the numbers.
        let part = values.len().div_ceil(self.size());
        let all = self.exchange_values(std::mem::take(values))?;
        let mut mine = Vec::with_capacity(part * self.size());
        for given in all.iter() {
            let Given::Values(theirs) = given else { continue };
            let begin = (part * self.rank).min(theirs.len());
            let end = (begin + part).min(theirs.len());
            mine.extend(&theirs[begin..end]);
            mine.extend(absent(part - (end - begin)));
        }
        let len = all.first().map_or(0, |given| match given {
            Given::Values(theirs) => theirs.len(),
            Given::Numbers(_) | Given::Bytes(_) => 0,
        });
        sum_blocks(&mut mine, part);
        mine.truncate(part);
        for given in self.exchange_values(mine)?.iter() {
            if let Given::Values(theirs) = given {
                values.extend(theirs);
            }
        }
        values.truncate(len);
        Ok(())
    }

    fn sum_parts(&self, values: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        let begin = parts.iter().take(self.rank).sum();
        let part = part_of(parts, self.rank);
        let all = self.exchange_values(values)?;
        let mut mine = Vec::with_capacity(part * all.len());
        for given in all.iter() {
            if let Given::Values(theirs) = given {
                mine.extend(theirs.iter().skip(begin).take(part));
            }
        }
        sum_blocks(&mut mine, part);
        mine.truncate(part);
        Ok(mine)
    }

    fn gather_parts(&self, mine: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        let all = self.exchange(Given::Values(mine))?;
        let mut values = Vec::with_capacity(parts.iter().sum());
        for (rank, given) in all.iter().enumerate() {
            match given {
                Given::Values(theirs) if theirs.len() == part_of(parts, rank) => values.extend(theirs),
                _ => return Err(Self::out_of_step(rank)),
            }
        }
        Ok(values)
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let mine = if self.rank == 0 {
            std::mem::take(bytes)
        } else {
            Vec::new()
        };
        let all = self.exchange(Given::Bytes(mine))?;
        match all.first() {
            Some(Given::Bytes(first)) => bytes.clone_from(first),
            _ => return Err(Self::out_of_step(0)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What each rank comes to.
    fn each<T: Send>(size: usize, work: impl Fn(ThreadRank) -> T + Sync) -> Vec<T> {
        let work = &work;
        std::thread::scope(|scope| {
            let threads: Vec<_> = ThreadRank::all(size)
                .into_iter()
                .map(|rank| scope.spawn(move || work(rank)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn all_get_what_each_gave_and_the_same_sums() {
        for size in [1, 2, 3, 8] {
            for len in [0, 1, 5, 1000] {
                let found = each(size, |rank| {
                    let mine = rank.rank() as u64;
                    let gathered = rank.all_gather(&[mine, 10 * mine]).unwrap();
                    let mut values: Vec<f32> = (0..len).map(|i| (i as f32 + 0.1) * (mine as f32 - 1.3)).collect();
                    let given = values.clone();
                    rank.sum(&mut values).unwrap();
                    let parts: Vec<usize> = (0..size).map(|r| len * (r + 1) / size - len * r / size).collect();
                    let part = rank.sum_parts(given, &parts).unwrap();
                    assert_eq!(part.len(), parts[rank.rank()]);
                    // Summed in parts and put together it is the same.
                    let again = rank.gather_parts(part, &parts).unwrap();
                    assert!(again.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits()));
                    assert_eq!(again.len(), len);
                    let mut bytes = vec![7; 3 * (mine as usize + 1)];
                    rank.broadcast(&mut bytes).unwrap();
                    (gathered, values, bytes)
                });
                let gathered: Vec<u64> = (0..size as u64).flat_map(|rank| [rank, 10 * rank]).collect();
                for (numbers, values, bytes) in &found {
                    assert_eq!((numbers, bytes.len()), (&gathered, 3));
                    assert_eq!(values.len(), len);
                    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(values), bits(&found[0].1));
                }
                if let Some(last) = found[0].1.last() {
                    let expected: f32 = (0..size).map(|rank| (len as f32 - 0.9) * (rank as f32 - 1.3)).sum();
                    assert!(
                        (last - expected).abs() <= 1e-4 * expected.abs().max(1.0),
                        "{last} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_rank_that_ends_or_does_something_else_is_named_to_those_who_wait() {
        let found = each(3, |rank| match rank.rank() {
            1 => Ok(Vec::new()),
            _ => rank.all_gather(&[1]),
        });
        for rank in [0, 2] {
            assert!(
                matches!(found[rank], Err(Error::RankLost { rank: Some(1), .. })),
                "{found:?}"
            );
        }
        let found = each(2, |rank| match rank.rank() {
            0 => rank.all_gather(&[1]).map(|_| ()),
            _ => rank.sum(&mut vec![1.0]),
        });
        assert!(
            matches!(found[0], Err(Error::RankLost { rank: Some(1), .. })),
            "{found:?}"
        );
    }
}
