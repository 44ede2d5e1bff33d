//! The ranks of a run as processes of an MPI world: [`ligo_train::Collective`] over MPI.
//!
//! `mpirun` or `srun` starts the processes, connects them and notices when one dies; what is sent is little and all of it blocking. Everything
//! is behind the feature `mpi`, since building it needs an installation of MPI. [`launched`] tells without one how a process was started.
//!
//! Behind the feature `nccl` is `Nccl`, which lets NCCL carry gradients for ranks of any kind. It was written without a GPU and has not been run.
//!
//! ```no_run
//! # #[cfg(feature = "mpi")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ligo_mpi::{Mpi, Options};
//! use ligo_train::Collective;
//!
//! let (mpi, _membership) = Mpi::join(&Options::default())?;
//! let ranks = mpi.all_gather(&[mpi.rank() as u64])?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "mpi"))]
//! # fn main() {}
//! ```

mod error;
mod launch;
#[cfg(feature = "mpi")]
mod machines;
#[cfg(feature = "nccl")]
mod nccl;
#[cfg(feature = "mpi")]
mod watch;
#[cfg(feature = "mpi")]
mod world;

pub use error::Error;
pub use launch::{Launch, check_world, launched, launched_rank};
#[cfg(feature = "nccl")]
pub use nccl::{Libraries, Nccl};
#[cfg(feature = "mpi")]
pub use world::{Membership, Mpi, Options};
