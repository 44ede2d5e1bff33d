//! Sums of gradients over NCCL. **Not run**: written and compiled without a GPU; only loading, the id of a group and refusals are tested.

mod library;

use std::fmt::{self, Debug};
use std::path::PathBuf;

use ligo_train::{Collective, Error as TrainError, sum_blocks};

use self::library::{Link, Opened};
use crate::Error;

/// Where the libraries are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libraries {
    /// NCCL: `libnccl.so.2` by default, as the system's loader finds it.
    pub nccl: PathBuf,
    /// CUDA's driver: `libcuda.so.1` by default.
    pub cuda: PathBuf,
}

impl Default for Libraries {
    fn default() -> Self {
        Self {
            nccl: "libnccl.so.2".into(),
            cuda: "libcuda.so.1".into(),
        }
    }
}

/// Ranks that sum over NCCL, each with a GPU. What is small, they tell each other as before, by the ranks that they were made of.
///
/// `ncclAllReduce` adds in an order that depends on the algorithm, the number of channels and how GPUs are connected, so its sums differ in their
/// last bits from one machine to another. It is not used: NCCL only carries numbers, each rank adds its part in the fixed order of [`sum_blocks`] on
/// its host, and NCCL carries the sums. So the bits are those of every other [`Collective`], for two more copies between device and host each step.
///
/// A rank that hangs within NCCL is not noticed by the watch over MPI's calls, which others make only afterward.
pub struct Nccl<C> {
    ranks: C,
    link: Link,
}

impl<C: Collective> Nccl<C> {
    /// Joins all ranks, each with the GPU of this number on its machine. All call it; when one cannot, none does.
    ///
    /// # Errors
    /// [`Error::Library`], [`Error::Call`], and [`Error::Others`] where another rank has failed.
    pub fn join(ranks: C, libraries: &Libraries, device: usize) -> Result<Self, Error> {
        let opened = Opened::load(&libraries.nccl);
        let made = match &opened {
            Ok(opened) if ranks.rank() == 0 => opened.unique_id().map(Vec::from),
            _ => Ok(Vec::new()),
        };
        // Where the first rank has no id it gives one of no bytes, so that nobody waits for it.
        let (mut id, ready) = match made {
            Ok(id) => (id, opened.and_then(|opened| opened.on(&libraries.cuda, device))),
            Err(error) => (Vec::new(), Err(error)),
        };
        let lost = |error: TrainError| Error::Others {
            reason: error.to_string(),
        };
        ranks.broadcast(&mut id).map_err(lost)?;
        let all = ranks.all_gather(&[u64::from(ready.is_ok())]).map_err(lost)?;
        let ready = ready?;
        if let Some(rank) = all.iter().position(|is_ready| *is_ready == 0) {
            let reason = format!("rank {rank} has no NCCL or no GPU");
            return Err(Error::Others { reason });
        }
        let id = id.try_into().map_err(|id: Vec<u8>| Error::Others {
            reason: format!("the first rank gave an id of {} bytes", id.len()),
        })?;
        let link = ready.meet(id, ranks.rank(), ranks.size())?;
        Ok(Self { ranks, link })
    }
}

impl<C: Collective> Debug for Nccl<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, over NCCL", self.ranks)
    }
}

fn lost(error: Error) -> TrainError {
    TrainError::RankLost {
        rank: None,
        reason: error.to_string(),
    }
}

impl<C: Collective> Collective for Nccl<C> {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn size(&self) -> usize {
        self.ranks.size()
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, TrainError> {
        self.ranks.all_gather(mine)
    }

    fn sum(&self, values: &mut Vec<f32>) -> Result<(), TrainError> {
        let (len, size) = (values.len(), self.size());
        let part = len.div_ceil(size);
        values.resize(part * size, 0.0);
        let mut parts = self.link.exchange(values, part).map_err(lost)?;
        sum_blocks(&mut parts, part);
        parts.truncate(part);
        *values = self.link.gather(&parts).map_err(lost)?;
        values.truncate(len);
        Ok(())
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), TrainError> {
        self.ranks.broadcast(bytes)
    }

    fn meet(&self) -> Result<(), TrainError> {
        self.ranks.meet()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stderr)]
    use ligo_train::ThreadRank;

    use super::*;

    /// A library that `LIGO_NCCL` names; NCCL's is in the pip package `nvidia-nccl-cu13`.
    fn named() -> Option<PathBuf> {
        let named = std::env::var_os("LIGO_NCCL").map(PathBuf::from);
        if named.is_none() {
            eprintln!("SKIPPED: LIGO_NCCL names no libnccl.so.2");
        }
        named
    }

    /// What each of two ranks says when they join, the second with libraries of its own.
    fn refusals(of: [&Libraries; 2]) -> Vec<Error> {
        std::thread::scope(|scope| {
            let join = |(rank, libraries)| scope.spawn(move || Nccl::join(rank, libraries, 0).unwrap_err());
            let threads: Vec<_> = ThreadRank::all(2).into_iter().zip(of).map(join).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn where_there_is_no_nccl_all_ranks_say_so_and_nobody_waits() {
        let missing = Libraries {
            nccl: "libno-such-nccl.so.2".into(),
            ..Libraries::default()
        };
        for error in refusals([&missing, &missing]) {
            assert!(
                matches!(&error, Error::Library { library, .. } if library == "libno-such-nccl.so.2"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_library_that_is_another_is_refused_by_what_it_lacks() {
        // The C library, which is everywhere that these tests run.
        let other = Libraries {
            nccl: "libc.so.6".into(),
            ..Libraries::default()
        };
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            let error = refusals([&other, &other]).swap_remove(0);
            assert!(error.to_string().contains("ncclGetUniqueId"), "{error}");
        }
    }

    #[test]
    fn an_id_is_made_without_a_gpu_and_no_two_are_the_same() {
        let Some(nccl) = named() else { return };
        let opened = Opened::load(&nccl).unwrap();
        let (one, other) = (opened.unique_id().unwrap(), opened.unique_id().unwrap());
        assert!(one != other && one.iter().any(|byte| *byte != 0));
    }

    #[test]
    fn where_there_is_no_gpu_each_rank_says_what_it_lacks() {
        let Some(nccl) = named() else { return };
        let no_gpu = Libraries {
            nccl,
            cuda: "libno-such-cuda.so.1".into(),
        };
        let no_nccl = Libraries {
            nccl: "libno-such-nccl.so.2".into(),
            ..no_gpu.clone()
        };
        // The first rank has an id for the others, or has none.
        for of in [[&no_gpu, &no_gpu], [&no_gpu, &no_nccl], [&no_nccl, &no_gpu]] {
            for (error, libraries) in refusals(of).into_iter().zip(of) {
                let lacking = if *libraries == no_gpu {
                    "libno-such-cuda.so.1"
                } else {
                    "libno-such-nccl.so.2"
                };
                assert!(
                    matches!(&error, Error::Library { library, .. } if library == lacking),
                    "{error}"
                );
            }
        }
    }
}
