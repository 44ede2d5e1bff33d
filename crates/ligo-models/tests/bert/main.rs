//! BERT: its parameters, what it computes, and that `transformers` computes the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod behaviour;
#[path = "../common/mod.rs"]
mod common;
mod parameters;
mod parity;
