//! What the models hold and compute.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod bert;
#[path = "../common/mod.rs"]
mod common;
mod decoders;
mod filled;
mod fixtures;
mod images;
mod parity;
mod passes;
