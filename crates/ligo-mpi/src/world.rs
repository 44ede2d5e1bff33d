use std::fmt::{self, Debug};
use std::panic;
use std::time::Duration;

use ferrompi::{Communicator, ReduceOp, ThreadLevel};
use ligo_train::{Collective, Error as TrainError, sum_blocks};

use crate::machines::Machines;
use crate::watch::{Calls, Watch};
use crate::{Error, check_world, launched};

/// This process in the world that `mpirun` or `srun` started.
///
/// A panic in any rank ends all of them. Whoever ends with an error must call [`Mpi::abort`], since the other ranks would wait for it.
pub struct Mpi {
    world: Communicator,
    local_rank: usize,
    machines: Option<Machines>,
    calls: Calls,
}

/// How to join.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A rank that keeps the others waiting for longer ends the run; zero waits for ever.
    pub patience: Duration,
    /// How many ranks are on a machine, where that is not to be found out.
    pub ranks_per_machine: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(1800),
            ranks_per_machine: None,
        }
    }
}

/// How long this process belongs to the world: when it is dropped, on the thread that joined, the process leaves.
pub struct Membership {
    /// Ends before MPI does, hence first.
    watch: Option<Watch>,
    world: Communicator,
    _mpi: ferrompi::Mpi,
}

/// Bytes that are broadcast at a time: MPI counts in 31 bits.
const AT_A_TIME: usize = 1 << 30;

impl Mpi {
    /// Joins the world, once in a process.
    ///
    /// # Errors
    /// MPI could not be started, and [`Error::Singletons`].
    pub fn join(options: &Options) -> Result<(Self, Membership), Error> {
        let failed = |error: ferrompi::Error| Error::Start {
            reason: error.to_string(),
        };
        let mpi = ferrompi::Mpi::init_thread(ThreadLevel::Multiple).map_err(failed)?;
        if mpi.thread_level() < ThreadLevel::Multiple {
            return Err(Error::Threads {
                level: format!("{:?}", mpi.thread_level()),
            });
        }
        let world = mpi.world();
        let launch = launched(|name| std::env::var(name).ok());
        check_world(launch, Some(world.size() as usize))?;
        end_all_on_panic(mpi.world());
        let machine = match options.ranks_per_machine {
            None => world.split_shared().map(Some),
            Some(count) => world.split(Some(world.rank() / count.max(1) as i32), world.rank()),
        };
        let machine = machine.map_err(failed)?.unwrap_or_else(|| mpi.world());
        let local_rank = machine.rank() as usize;
        let machines = Machines::new(&world, machine).map_err(failed)?;
        let calls = Calls::default();
        let watch = if world.size() > 1 && !options.patience.is_zero() {
            let apart = world.duplicate().map_err(failed)?;
            Some(Watch::start(apart, calls.clone(), options.patience))
        } else {
            None
        };
        let membership = Membership {
            watch,
            world: mpi.world(),
            _mpi: mpi,
        };
        let this = Self {
            world,
            local_rank,
            machines,
            calls,
        };
        Ok((this, membership))
    }

    /// This rank among those of its machine, from 0.
    pub fn local_rank(&self) -> usize {
        self.local_rank
    }

    /// Ends all ranks at once, with this exit code.
    pub fn abort(&self, code: i32) -> ! {
        self.world.abort(code)
    }

    /// Replaces the numbers by their sums over the ranks by `MPI_Allreduce`, with the additions in an order of MPI's own choice. What
    /// [`Collective::sum`] takes longer is the price of the fixed one.
    ///
    /// # Errors
    /// [`ligo_train::Error::RankLost`].
    pub fn all_reduce(&self, values: &mut [f32]) -> Result<(), TrainError> {
        self.together(|world| world.allreduce_inplace(values, ReduceOp::Sum))
    }

    /// A call that all ranks make. While it lasts, the others are watched.
    fn together<T>(&self, call: impl FnOnce(&Communicator) -> ferrompi::Result<T>) -> Result<T, TrainError> {
        let _inside = self.calls.enter();
        call(&self.world).map_err(lost)
    }
}

/// MPI waits for a rank that has panicked until that one is gone.
#[allow(clippy::print_stderr, reason = "the last words of the process")]
fn end_all_on_panic(world: Communicator) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        before(info);
        eprintln!(
            "rank {} has panicked, which ends all {} ranks",
            world.rank(),
            world.size()
        );
        world.abort(101);
    }));
}

fn lost(error: ferrompi::Error) -> TrainError {
    TrainError::RankLost {
        rank: None,
        reason: error.to_string(),
    }
}

/// Each rank gets its part of the numbers from all others, adds them up in the fixed order, and gives the sums to all: as many bytes as an
/// all-reduce sends. `MPI_Allreduce` would add in an order of its own choice.
pub(crate) fn sum_on(ranks: &Communicator, values: &mut Vec<f32>) -> ferrompi::Result<()> {
    let (len, size) = (values.len(), ranks.size() as usize);
    let part = len.div_ceil(size);
    values.resize(part * size, 0.0);
    let mut parts = vec![0.0; part * size];
    ranks.alltoall(values, &mut parts)?;
    sum_blocks(&mut parts, part);
    ranks.allgather(&parts[..part], values)?;
    values.truncate(len);
    Ok(())
}

/// Each rank gets its part of the numbers from all others and adds them up in the fixed order. `parts[r]` numbers are for rank `r`.
pub(crate) fn sum_parts_on(ranks: &Communicator, values: &[f32], parts: &[usize]) -> ferrompi::Result<Vec<f32>> {
    let mine = parts.get(ranks.rank() as usize).copied().unwrap_or_default();
    let (given, taken) = (blocks(parts), blocks(&vec![mine; parts.len()]));
    let mut sums = vec![0.0; mine * parts.len()];
    ranks.alltoallv(values, &given.0, &given.1, &mut sums, &taken.0, &taken.1)?;
    sum_blocks(&mut sums, mine);
    sums.truncate(mine);
    Ok(sums)
}

/// What every rank gave, `parts[r]` numbers by rank `r`.
pub(crate) fn gather_parts_on(ranks: &Communicator, mine: &[f32], parts: &[usize]) -> ferrompi::Result<Vec<f32>> {
    let (counts, places) = blocks(parts);
    let mut all = vec![0.0; parts.iter().sum()];
    ranks.allgatherv(mine, &mut all, &counts, &places)?;
    Ok(all)
}

/// Lengths and beginnings of blocks that follow one another. What is exchanged at a time is far below the end of MPI's numbers.
fn blocks(lens: &[usize]) -> (Vec<i32>, Vec<i32>) {
    let mut end = 0;
    let begin = |len: &usize| {
        end += len;
        (end - len) as i32
    };
    let places = lens.iter().map(begin).collect();
    (lens.iter().map(|len| *len as i32).collect(), places)
}

impl Drop for Membership {
    fn drop(&mut self) {
        // All ranks leave together: one that ended its watch alone would seem to be gone.
        if self.watch.is_some() {
            let _ = self.world.barrier();
        }
        self.watch = None;
    }
}

impl Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {} processes", self.rank(), self.size())
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, TrainError> {
        let mut all = vec![0; mine.len() * self.size()];
        self.together(|world| world.allgather(mine, &mut all))?;
        Ok(all)
    }

    /// Nobody is watched here.
    fn meet(&self) -> Result<(), TrainError> {
        self.world.barrier().map_err(lost)
    }

    fn sum(&self, values: &mut Vec<f32>) -> Result<(), TrainError> {
        self.together(|world| match &self.machines {
            Some(machines) => machines.sum(values),
            None => sum_on(world, values),
        })
    }

    fn sum_parts(&self, values: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, TrainError> {
        self.together(|world| match &self.machines {
            Some(machines) => machines.sum_parts(&values, parts),
            None => sum_parts_on(world, &values, parts),
        })
    }

    fn gather_parts(&self, mine: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, TrainError> {
        self.together(|world| match &self.machines {
            Some(machines) => machines.gather_parts(&mine, parts),
            None => gather_parts_on(world, &mine, parts),
        })
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), TrainError> {
        let mut len = [bytes.len() as u64];
        self.together(|world| world.broadcast(&mut len, 0))?;
        bytes.resize(len[0] as usize, 0);
        for some in bytes.chunks_mut(AT_A_TIME) {
            self.together(|world| world.broadcast(some, 0))?;
        }
        Ok(())
    }
}
