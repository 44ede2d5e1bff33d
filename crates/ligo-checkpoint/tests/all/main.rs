//! Model directories, checkpoints and locks: written, damaged and broken off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod bad_files;
mod crash;
mod damaged_checkpoints;
mod lock;
mod mutations;
mod progress;
mod round_trip;
mod side_files;
mod support;
mod torch_files;
