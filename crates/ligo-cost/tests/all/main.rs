//! Costs and savings, calculated.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod counters;
mod format;
mod frontier;
mod law;
mod memory;
mod partial;
mod plan;
mod ranks;
mod savings;
mod seeds;
