//! Growth operators beside explicit matrices, the laws that they keep and what their authors computed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod authors;
#[path = "../common/mod.rs"]
mod common;
mod copied;
mod copies;
mod explicit;
mod files;
mod gains;
mod laws;
mod novelty;
mod pull_back;
mod stream;
