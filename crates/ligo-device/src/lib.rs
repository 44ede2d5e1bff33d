//! Devices: what can compute here, which of it is taken, how fast it is, and what energy and memory it uses.
//!
//! The only crate but `ligo-ops` that names burn's backends. Each GPU backend is a feature; the CPU is always in.
//!
//! A graphics driver may hang, crash or give wrong numbers, so no GPU is used before a second process has tried it:
//! the program starts itself as `ligo __probe-gpu …` ([`run_probe`]), and only what comes back alive and correct is chosen. A program of your
//! own that wants [`pick`] to find GPUs answers to that command too; one that knows its device makes a [`Picked`] of it.
//!
//! ```
//! use ligo_device::{DeviceChoice, pick};
//!
//! let picked = pick(DeviceChoice::Cpu)?;
//! assert!(!picked.is_gpu);
//! # Ok::<(), ligo_device::DeviceError>(())
//! ```

mod catalog;
mod choice;
mod cpu;
mod describe;
mod description;
mod gpu;
mod kernel_cache;
mod peak;
mod picked;
pub mod power;
mod probe;
mod process;
mod processor;
mod this_program;

pub use catalog::{Auto, Catalog, Listed, NotBuilt, catalog};
pub use choice::{DeviceChoice, DeviceError, Gpu, gpus, of_rank, pick};
pub use cpu::{THREADS_VARIABLE, cpu, cpu_model, threads};
pub use description::{Adapter, Class, Description, Driver, Limits, Matmul, Processor};
pub use kernel_cache::{CACHE_VARIABLE, notes as kernel_notes};
pub use peak::matmul_peak;
pub use picked::Picked;
pub use probe::{COMMAND as PROBE_COMMAND, Depth, run_probe};
pub use this_program::this_program;
