use thiserror::Error;

/// Why a process could not take part in a run of many ranks.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// MPI could not be started.
    #[error("MPI could not be started: {reason}")]
    Start {
        /// What it said.
        reason: String,
    },
    /// MPI allows fewer threads than are needed.
    #[error(
        "this MPI allows calls from one thread only ({level}), and a rank needs a second one that watches the others; use an MPI that was built with MPI_THREAD_MULTIPLE"
    )]
    Threads {
        /// The level that MPI gave.
        level: String,
    },
    /// Slurm started processes that do not know of each other.
    #[error(
        "Slurm started {tasks} tasks, and MPI says that this one is alone: each would make the same run. Start them with `srun --mpi=pmix` (see `srun --mpi=list`), or with `mpirun` inside of `sbatch`; for one task, give `--ntasks=1`"
    )]
    Singletons {
        /// Tasks that Slurm started.
        tasks: usize,
    },
    /// A launcher started several processes of a program that knows no MPI.
    #[error(
        "this process is one of {ranks} that were started together, and this `ligo` was built without MPI: each would make the same run. Build it with `cargo xtask ligo --with-mpi --version`, or start one process"
    )]
    WithoutMpi {
        /// Processes that were started.
        ranks: usize,
    },
    /// A library that is loaded when it is asked for, or a function of it.
    #[error("{library} cannot be used: {reason}")]
    Library {
        /// Its file.
        library: String,
        /// What the loader said.
        reason: String,
    },
    /// A call of NCCL or of CUDA's driver.
    #[error("{call} failed: {reason}")]
    Call {
        /// Its name.
        call: &'static str,
        /// What the library said.
        reason: String,
    },
    /// Another rank cannot take part.
    #[error("the ranks cannot meet over NCCL: {reason}")]
    Others {
        /// Which, and what it lacks.
        reason: String,
    },
}
