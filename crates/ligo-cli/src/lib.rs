//! The `ligo` program: arguments, commands, and what people see of them.
//!
//! Everything that computes is a library of its own: embed `ligo-experiment` for comparisons, the crates below it for their parts. This one
//! talks to a terminal.

mod allocator;
mod args;
mod board;
pub mod commands;
mod dashboard;
mod progress;
mod signals;
mod ui;
mod world;

pub use allocator::Telling;
pub use args::main;
pub use ligo_experiment::Failure;
pub use ui::Ui;
